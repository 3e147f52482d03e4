package doctor

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/roster"
)

const (
	// Clocks may differ by clockLimit: a ticket that looks older, or not made yet, is
	// refused. From clockWarning on somebody should look.
	clockLimit, clockWarning = 30 * time.Second, 5 * time.Second
	knockers                 = 16 // doors asked together
)

// door is one that the roster names, and what it has answered.
type door struct {
	member roster.Member // zero for a witness outside
	what   string        // "peer hub"
	url    string
	public bool // shows logs and rosters to anybody
	path   string
	pin    roster.Digest // of the certificate; zero: the system's authorities vouch
	got    answer
	good   bool // it is who it should be, and lets this role in
}

// peers asks every door that the roster names, as the role would.
func (e *exam) peers() {
	all := e.named()
	cert := e.survey.Folder.Cert
	var asking sync.WaitGroup
	slots := make(chan struct{}, knockers)
	for _, d := range all {
		asking.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			own := cert
			if d.public {
				own = tls.Certificate{}
			}
			d.got = knock(e.ctx, d.url, d.path, own, e.Now)
		})
	}
	asking.Wait()
	for _, d := range all {
		d.good = e.judge(d)
	}
	e.clock(all)
	e.newer(all)
	e.quorum(all)
	e.copies(all)
}

// named are the doors of all others, and of the witnesses.
func (e *exam) named() (all []*door) {
	r := e.view().Latest()
	for _, m := range append([]roster.Member{r.Hub()}, r.KeyHolders()...) {
		if m.Removed {
			continue
		}
		what := "peer " + m.Name
		if m.Name != e.Name && calls(e.Role, m.Role) {
			for _, at := range m.URLs() {
				all = append(all, &door{member: m, what: what, url: at, path: "/", pin: m.CertKey})
			}
		}
		for _, at := range m.PublicURLs() {
			if at != "" && (m.Name != e.Name || e.Running) {
				all = append(all, &door{member: m, what: what, url: at, path: "/roster/latest", public: true, pin: m.CertKey})
			}
		}
	}
	if e.Role == install.Witness {
		return all
	}
	for _, w := range r.Witnesses {
		name, _, _ := strings.Cut(w.Key, "+")
		all = append(all, &door{what: "witness " + name, url: strings.TrimSuffix(w.URL, "/"), path: "/", public: true, pin: w.CertKey})
	}
	return all
}

// calls reports whether a role calls another: only those are let in.
func calls(from, to roster.Role) bool {
	return from == roster.Gateway || from == roster.KeyHolder && to == roster.KeyHolder
}

// operator is who has to be asked about a door.
func (d *door) operator() string {
	if d.member.Operator == "" {
		return "its operator"
	}
	return "its operator (" + d.member.Operator + ")"
}

// judge says whether who answers is who should.
func (e *exam) judge(d *door) bool {
	switch plain := strings.HasPrefix(d.url, "http://"); {
	case plain && d.got.err == nil:
		return true // a roster has that only for a witness on this machine
	case plain || len(d.got.shown) == 0:
		e.wrongf(d.what, "if others reach it, look at the way from here: name, firewall, proxy; else ask "+d.operator()+" to start it", "%s: %s", d.url, silence(d.got.err))
		return false
	case !e.pinned(d):
		return false
	case !e.dated(d):
		return false
	case d.got.err != nil:
		e.wrongf(d.what, "see that this role's certificate is the one in the roster and has not expired, and ask "+d.operator()+" which roster it has", "%s lets this role not in: %s", d.url, told(d.got.err))
		return false
	}
	return true
}

// pinned says whether the key is the one that the roster names.
func (e *exam) pinned(d *door) bool {
	if d.pin == (roster.Digest{}) {
		if err := vouched(d.url, d.got.shown, nil, e.Now()); err != nil {
			e.wrongf(d.what, "ask "+d.operator(), "the certificate that %s shows cannot be trusted: %v", d.url, err)
			return false
		}
		return true
	}
	key := roster.Digest(keyOf(d.got.shown[0]))
	if key == d.pin {
		return true
	}
	if m, ok := e.view().ByCert(key); ok && m.Name == d.member.Name {
		return true // by the version before, within its grace
	} else if ok {
		e.wrongf(d.what, "see where the name and the address of "+d.url+" lead", "%s is answered by %s, where %s is expected", d.url, m.Name, d.member.Name)
		return false
	}
	e.wrongf(d.what, "do not work around it. If its operator has changed the key, a newer roster says so; else somebody is between: ask "+d.operator()+" by telephone",
		"%s shows a certificate that is not the one in roster %d", d.url, e.view().Latest().Version)
	return false
}

// vouched is an error unless authorities, nil for the system's, vouch for the host of a URL
// with what it has shown: its certificate, and those between it and theirs.
func vouched(door string, shown []*x509.Certificate, authorities *x509.CertPool, now time.Time) error {
	at, err := url.Parse(door)
	if err != nil {
		return err
	}
	between := x509.NewCertPool()
	for _, c := range shown[1:] {
		between.AddCert(c)
	}
	_, err = shown[0].Verify(x509.VerifyOptions{DNSName: at.Hostname(), Intermediates: between, Roots: authorities, CurrentTime: now})
	return err
}

// dated says whether the certificate is valid today.
func (e *exam) dated(d *door) bool {
	c := d.got.shown[0]
	switch left := c.NotAfter.Sub(e.Now()); {
	case left <= 0:
		e.wrongf(d.what, "ask "+d.operator()+" to make another certificate for the same key, and to restart", "the certificate at %s expired on %s", d.url, day(c.NotAfter))
		return false
	case e.Now().Before(c.NotBefore):
		e.wrongf(d.what, "look at the clocks here and there", "the certificate at %s is valid only from %s", d.url, day(c.NotBefore))
		return false
	case left < soon:
		e.warnf(d.what, "tell "+d.operator(), "the certificate at %s expires in %s", d.url, about(left))
	}
	return true
}

// told is what a peer said when it hung up.
func told(err error) string {
	for e := err; e != nil; e = errors.Unwrap(e) {
		if text := e.Error(); strings.HasPrefix(text, "remote error: ") {
			return strings.TrimPrefix(text, "remote error: ")
		}
	}
	return "it hung up"
}

func refused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// clock compares the clock here with those of all who answered: where most of them differ
// in the same way, it is this one that is wrong.
func (e *exam) clock(all []*door) {
	skews := make(map[string]time.Duration) // by member or witness
	for _, d := range all {
		if d.good && d.got.known && d.member.Name != e.Name {
			skews[d.what] = d.got.skew
		}
	}
	if len(skews) == 0 {
		return
	}
	var sorted []time.Duration
	for _, s := range skews {
		sorted = append(sorted, s)
	}
	slices.Sort(sorted)
	middle := sorted[len(sorted)/2]
	const next = "have it set by NTP; tickets whose time seems wrong by more than 30 seconds are refused"
	tell := func(what, words string, by time.Duration) {
		switch words := fmt.Sprintf(words, about(by.Abs()), map[bool]string{true: "behind", false: "ahead of"}[by > 0]); {
		case by.Abs() > clockLimit:
			e.wrongf(what, next, "%s", words)
		case by.Abs() > clockWarning:
			e.warnf(what, next, "%s", words)
		}
	}
	if len(sorted) > 1 && middle.Abs() > clockWarning {
		tell("clock", "the clock of this machine is %s %s those of the others", middle)
		return
	}
	for _, what := range sortedKeys(skews) {
		tell(what, "its clock is %s away: this one is %s it", skews[what])
	}
	if middle.Abs() <= clockWarning {
		e.okf("clock", "it agrees with those of the others")
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, cmp.Compare)
	return keys
}
