package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"filippo.io/age"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/follow"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/translog"
)

// FromDir returns the options to reconcile a whole exchange that keeps its
// folders under dir, running or stopped: the rosters of the hub, the auditor's
// key of governance, and every member's own published log, with the hub's copy
// of the gateways'. It reads published files only.
func FromDir(dir string) (Options, error) {
	hub := install.FolderOf(dir, "hub")
	signed, err := install.Rosters(hub)
	if err != nil {
		return Options{}, err
	}
	var o Options
	trusted, err := readGovernance(filepath.Join(hub, "governance.json"))
	if err != nil {
		return o, err
	}
	if o.Rosters, err = ReadRosters(trusted, signed...); err != nil {
		return o, err
	}
	if o.Identities, err = ReadIdentities(filepath.Join(dir, "governance", "auditor.key")); err != nil {
		return o, err
	}
	o.Evidence, o.Now = evidenceUnder(trusted), time.Now()
	for _, m := range membersEver(o.Rosters) {
		own, err := folders(filepath.Join(install.FolderOf(dir, m.Name), "log", m.Name))
		if err != nil {
			return o, err
		}
		for _, instance := range own {
			s := Source{Member: m.Name, Instance: instance, Former: !current(o.Rosters, m.Name, o.Now)}
			if s.Reader, err = translog.Dir(filepath.Join(install.FolderOf(dir, m.Name), "log", m.Name, instance)); err != nil {
				return o, err
			}
			if copied, err := translog.Dir(filepath.Join(hub, "log", m.Name, instance)); m.Role == roster.Gateway && err == nil {
				s.Copies = append(s.Copies, copied)
			}
			o.Sources = append(o.Sources, s)
		}
		if len(own) == 0 && current(o.Rosters, m.Name, o.Now) {
			o.Sources = append(o.Sources, Source{Member: m.Name, Instance: "1"})
		}
	}
	return o, nil
}

// FromWeb returns the options to reconcile an exchange over HTTPS. The rosters
// say where the logs are, and which certificates to believe; instances are
// looked for by number, from 1.
func FromWeb(ctx context.Context, governanceFile string, rosterFiles, identityFiles []string) (Options, error) {
	var o Options
	trusted, err := readGovernance(governanceFile)
	if err != nil {
		return o, err
	}
	signed, err := readFiles(rosterFiles)
	if err != nil {
		return o, err
	}
	if o.Rosters, err = ReadRosters(trusted, signed...); err != nil {
		return o, err
	}
	if o.Identities, err = ReadIdentities(identityFiles...); err != nil {
		return o, err
	}
	o.Evidence, o.Now = evidenceUnder(trusted), time.Now()
	newest := o.Rosters[len(o.Rosters)-1]
	doors := make(map[string]*http.Client)
	for _, m := range newest.Members {
		if !current(o.Rosters, m.Name, o.Now) && m.From.After(o.Now) {
			continue // has not joined yet
		}
		missing := 0
		for n := 1; n <= maxInstances && missing <= maxGap; n++ {
			prefix, at, err := follow.Prefix(newest, m.Name, strconv.Itoa(n))
			if err != nil {
				return o, err
			}
			if doors[at.Name] == nil {
				doors[at.Name] = pinnedClient(at)
			}
			reader, err := translog.HTTP(doors[at.Name], prefix)
			if err != nil {
				return o, err
			}
			there := n == 1 || published(ctx, reader)
			if missing++; there {
				missing = 0
			}
			s := Source{Unpublished: !there, Member: m.Name, Instance: strconv.Itoa(n), Reader: reader, Former: !current(o.Rosters, m.Name, o.Now)}
			if at.Name != m.Name {
				s.Door = at.Name
			}
			o.Sources = append(o.Sources, s)
		}
	}
	return o, nil
}

// pinnedClient talks to a member's public door.
func pinnedClient(m roster.Member) *http.Client {
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		TLSClientConfig: roster.PinnedTLS(m.CertKey), ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 16 << 10}}
}

func readFiles(names []string) ([][]byte, error) {
	var all [][]byte
	for _, name := range names {
		one, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// maxInstances bounds how many processes of one member are looked for.
const maxInstances = 32

// maxGap is how many numbers in a row may have no log: of a log that was closed for a
// restore there is no checkpoint.
const maxGap = 3

func published(ctx context.Context, r translog.Reader) bool {
	_, err := r.ReadEndpoint(ctx, "checkpoint")
	return !errors.Is(err, fs.ErrNotExist)
}

// membersEver are all that any roster names, as the newest does that names them.
func membersEver(rosters []*roster.Roster) []roster.Member {
	var all []roster.Member
	for _, r := range slices.Backward(rosters) {
		for _, m := range r.Members {
			if !slices.ContainsFunc(all, func(known roster.Member) bool { return known.Name == m.Name }) {
				all = append(all, m)
			}
		}
	}
	return all
}

// current reports whether the newest roster has the member in force: its ledger
// must be there.
func current(rosters []*roster.Roster, name string, now time.Time) bool {
	_, ok := rosters[len(rosters)-1].InForce(now).Member(name)
	return ok
}

// ReadRosters verifies signed rosters from the first that the trusted governance
// signed, in order of version without a gap. Whether they have run out is not
// asked: ledgers are audited for years.
func ReadRosters(trusted roster.Governance, signed ...[]byte) ([]*roster.Roster, error) {
	var list []*roster.Roster
	for _, s := range signed {
		r, err := roster.ParseExpired(s, trusted)
		if err != nil {
			return nil, err
		}
		if n := len(list); n > 0 {
			hash, err := list[n-1].Hash()
			if err != nil {
				return nil, err
			}
			if r.Version != list[n-1].Version+1 || r.Previous != hash {
				return nil, waypost.Errorf(waypost.InvalidArgument, "roster version %d does not continue version %d: give all versions in order", r.Version, list[n-1].Version)
			}
		}
		list, trusted = append(list, r), r.Governance
	}
	if len(list) == 0 {
		return nil, waypost.Errorf(waypost.InvalidArgument, "no roster was given: it says whose ledgers to read")
	}
	return list, nil
}

func readGovernance(file string) (g roster.Governance, err error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return g, err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&g); err != nil {
		return g, fmt.Errorf("%s: %w", file, err)
	}
	return g, nil
}

// ReadIdentities reads age identity files.
func ReadIdentities(files ...string) ([]age.Identity, error) {
	var all []age.Identity
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		identities, err := age.ParseIdentities(bytes.NewReader(raw))
		if err != nil {
			return nil, fmt.Errorf("%s is not an age identity file", name) // the cause could quote it
		}
		all = append(all, identities...)
	}
	return all, nil
}

// evidenceUnder verifies evidence from the governance that is trusted.
func evidenceUnder(trusted roster.Governance) func([]byte) (member, place string, err error) {
	return func(file []byte) (member, place string, err error) {
		e, err := follow.Parse(file)
		if err != nil {
			return "", "", err
		}
		if member, err = e.Verify(trusted); err != nil || len(e.Receipt) == 0 {
			return member, "", err
		}
		receipt, err := waypost.ParseReceipt(e.Receipt)
		if err != nil {
			return "", "", err
		}
		place, err = receipt.Place()
		return member, place, err
	}
}

var instanceShape = regexp.MustCompile(`^[A-Za-z0-9-]{1,32}$`)

// folders lists the instances of a member's log in a folder.
func folders(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && instanceShape.MatchString(e.Name()) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, err
}
