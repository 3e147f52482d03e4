package roster

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/waypost/waypost"
)

// FollowEvery is how often a running role asks for the next roster: a removal
// is known everywhere within seconds.
const FollowEvery = 5 * time.Second

// Follower asks the public doors of the hub and the key holders for the
// successor of the newest roster known here. Each is asked by itself, so that
// one which is silent or withholds stops nobody: the roster comes from another.
type Follower struct {
	intake *Intake
	self   string
	every  time.Duration
	log    *slog.Logger
	client *http.Client
	warned string // status as of the last round
	mu     sync.Mutex
	asking map[string]bool   // by member
	wrong  map[string]string // by member: what was last wrong with its answer
}

// NewFollower returns a follower for a role. Its own door, that of the member
// self, is not asked. every is usually FollowEvery.
func NewFollower(intake *Intake, self string, every time.Duration, log *slog.Logger) *Follower {
	return &Follower{intake: intake, self: self, every: every, log: log,
		asking: make(map[string]bool), wrong: make(map[string]string),
		client: &http.Client{
			Timeout:       10 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				// A roster authenticates itself. The pins of the newest roster known
				// would lock out whoever missed the one that changed them, and a
				// roster that ran out would never be replaced.
				TLSClientConfig:       &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}, //nolint:gosec // see above
				DialContext:           (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
				TLSHandshakeTimeout:   3 * time.Second,
				ResponseHeaderTimeout: 4 * time.Second,
				IdleConnTimeout:       time.Minute,
				MaxIdleConnsPerHost:   1,
				ForceAttemptHTTP2:     true,
			},
		}}
}

// Run asks until the context ends.
func (f *Follower) Run(ctx context.Context) {
	var asking sync.WaitGroup
	defer f.client.CloseIdleConnections()
	defer asking.Wait()
	tick := time.NewTicker(f.every)
	defer tick.Stop()
	for {
		for _, m := range f.intake.view.Latest().Members {
			if m.Public != "" && m.Name != f.self && !m.Removed && f.begin(m.Name) {
				asking.Go(func() { f.end(m.Name, f.askAny(ctx, m.PublicURLs())) })
			}
		}
		if err := f.intake.Take(); err != nil { // records what is not recorded yet
			f.report(f.self, err)
		}
		f.warn()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// warn logs, as often as the words change, that a successor is due: each hour.
func (f *Follower) warn() {
	status, urgent := f.intake.view.Status()
	if urgent && status != f.warned {
		f.log.Warn(status)
	}
	f.warned = status
}

// askAny asks one door of a member after the other until one answers.
func (f *Follower) askAny(ctx context.Context, doors []string) (err error) {
	for _, door := range doors {
		if err = f.ask(ctx, door); err == nil {
			return nil
		}
	}
	return err
}

func (f *Follower) begin(member string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.asking[member] {
		return false
	}
	f.asking[member] = true
	return true
}

func (f *Follower) end(member string, err error) {
	f.report(member, err)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asking[member] = false
}

// report logs what is wrong with a door when it begins and when it is over. A
// roster that cannot be believed is an error, silence only a warning.
func (f *Follower) report(member string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	what := ""
	if err != nil {
		what = err.Error()
	}
	if f.wrong[member] == what {
		return
	}
	f.wrong[member] = what
	switch {
	case err == nil:
		f.log.Info("rosters are had again", "member", member)
	case waypost.CodeOf(err) == waypost.Unavailable:
		f.log.Warn("a member's rosters cannot be had", "member", member, "cause", err)
	default:
		f.log.Error("a member's roster cannot be used", "member", member, "cause", err)
	}
}

// ask gets what a door has beyond the newest roster known here and installs it.
// Versions that are not valid yet wait at the door; those in between, which ran
// out while this role was away, are only the way to a valid one.
func (f *Follower) ask(ctx context.Context, door string) error {
	var found [][]byte
	first := f.intake.view.Latest().Version + 1
	for len(found) < keptVersions {
		signed, err := f.get(ctx, door, first+uint64(len(found)))
		if err != nil {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // the role stops; nothing is wrong with the door
			}
			return err
		}
		if signed == nil {
			break
		}
		found = append(found, signed)
	}
	var err error
	for n := len(found); n > 0; n-- {
		if err = f.intake.Take(found[:n]...); waypost.CodeOf(err) != waypost.Expired {
			return err
		}
	}
	return err
}

// get returns a version, nil if the door does not have it.
func (f *Follower) get(ctx context.Context, door string, version uint64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, door+"/roster/"+strconv.FormatUint(version, 10), nil)
	if err != nil {
		return nil, err
	}
	res, err := f.client.Do(req)
	if err != nil {
		return nil, waypost.Errorf(waypost.Unavailable, "the door does not answer").WithCause(err)
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusNotFound:
		return nil, nil
	case http.StatusOK:
	default:
		return nil, waypost.Errorf(waypost.Unavailable, "the door answers with status %d", res.StatusCode)
	}
	signed, err := io.ReadAll(io.LimitReader(res.Body, maxNote+1))
	if err != nil {
		return nil, waypost.Errorf(waypost.Unavailable, "the answer breaks off").WithCause(err)
	}
	if len(signed) > maxNote {
		return nil, invalid("larger than %d bytes", maxNote)
	}
	return signed, nil
}

// Publish brings a signed roster to one public door. Where the roster names the
// door, the door must show the certificate key that is pinned there; otherwise
// one that the system trusts. A refusal is in the door's own words.
func (r *Roster) Publish(ctx context.Context, door string, signed []byte) error {
	var pin Digest
	for _, m := range r.Members {
		if m.Public == door {
			pin = m.CertKey
		}
	}
	transport := &http.Transport{TLSClientConfig: PinnedTLS(pin), ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, door+"/roster", bytes.NewReader(signed))
	if err != nil {
		return waypost.Errorf(waypost.InvalidArgument, "%s is not the URL of a door", door).WithCause(err)
	}
	res, err := (&http.Client{Transport: transport, Timeout: 20 * time.Second}).Do(req)
	if err != nil {
		return waypost.Errorf(waypost.Unavailable, "%s does not answer", door).WithCause(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	if err != nil {
		return waypost.Errorf(waypost.Unavailable, "the answer of %s breaks off", door).WithCause(err)
	}
	if res.StatusCode != http.StatusOK {
		return waypost.Errorf(waypost.InvalidArgument, "%s refuses it: %s", door, strings.TrimSpace(string(answer)))
	}
	return nil
}
