package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/roster"
)

// rosterInitCommand drafts. A draft is the text that will be signed; until then
// its JSON can be edited.
type rosterInitCommand struct {
	Out  string        `help:"Where to write the draft; an existing file is not overwritten." required:"" type:"path"`
	In   time.Duration `help:"How long from now it begins, like 24h: the time that the officers take to sign." default:"0s"`
	Days int           `help:"For how many days it is valid, at most 7." default:"7"`

	Previous string         `help:"The version that it follows: a file, or a folder of a role or of rosters." group:"Next version" type:"path"`
	Add      []string       `help:"A member's JSON file; it joins 72 hours after the version begins." group:"Next version" type:"existingfile"`
	Remove   []string       `help:"A member to remove at once." group:"Next version"`
	Quota    map[string]int `help:"CA.tickets_per_day=40000: lowered at once, raised after 72 hours." group:"Next version"`
	Ceremony string         `help:"The transcript of a ceremony: the version names the shares that it made." group:"Next version" type:"existingfile"`
	Revoke   bool           `help:"End all earlier versions at once, and what names them." group:"Next version"`

	Environment string   `help:"test or prod." default:"test" enum:"test,prod" group:"First version"`
	Governance  string   `help:"governance.json: threshold and keys." group:"First version" type:"path"`
	Member      []string `help:"A member's JSON file; once for each." group:"First version" type:"existingfile"`
	Threshold   int      `help:"How many key holders make a token. Default: there is no key yet, and no key holder has a share." group:"First version"`
	GroupKey    string   `help:"The key holders' group key, in base64. Default: as above." group:"First version"`
	Purpose     []string `help:"A purpose; once for each. Default: all." group:"First version"`
}

// Help shows examples.
func (rosterInitCommand) Help() string {
	return `Examples:
  waypost roster init --out draft.txt --previous hub/                               (the same again, for a week)
  waypost roster init --out draft.txt --previous hub/ --remove NV --revoke --days 7 (a removal)
  waypost roster init --out draft.txt --previous hub/ --in 24h --quota CA.tickets_per_day=40000
  waypost roster init --out first.txt --governance governance.json --threshold 3 --group-key BASE64 --member hub.json --member keyholder-1.json ...
  waypost roster init --out first.txt --governance governance.json --member hub.json --member keyholder-1.json ...  (before there is a key: see waypost ceremony keygen)
  waypost roster init --out draft.txt --previous hub/ --ceremony refresh.json
Without --previous a first version is drafted. Then: waypost roster sign.`
}

// Run writes a draft that is valid, and that can follow the previous version.
func (c rosterInitCommand) Run(s *session) error {
	begin := time.Now().UTC().Add(c.In).Truncate(time.Second)
	end := begin.Add(time.Duration(c.Days) * 24 * time.Hour)
	var previous, draft *roster.Roster
	var err error
	if c.Previous == "" {
		draft, err = c.first(begin, end)
	} else {
		if _, previous, err = readRoster(c.Previous); err != nil {
			return err
		}
		if draft, err = c.successor(s, previous, begin, end); err == nil {
			err = previous.Precedes(draft)
		}
	}
	if err != nil {
		return err
	}
	text, err := draft.Text()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(c.Out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644) //nolint:gosec // a roster is public
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	printChanges(s.out, previous, draft)
	fmt.Fprintf(s.out, "Draft: %s. Next: waypost roster sign %s --key officer.key\n", c.Out, c.Out)
	return nil
}

func (c rosterInitCommand) first(begin, end time.Time) (*roster.Roster, error) {
	if c.Governance == "" {
		return nil, errors.New("--previous is needed for a next version, --governance for a first one")
	}
	g, err := readGovernance(c.Governance)
	if err != nil {
		return nil, err
	}
	group, err := base64.StdEncoding.DecodeString(c.GroupKey)
	if err != nil {
		return nil, fmt.Errorf("--group-key: %w", err)
	}
	r := &roster.Roster{Version: 1, Environment: waypost.Environment(c.Environment), NotBefore: begin, NotAfter: end,
		Profile: 1, Governance: g}
	if c.GroupKey != "" || c.Threshold != 0 {
		r.Epoch, r.Threshold, r.GroupKey = 1, c.Threshold, group
	}
	for _, p := range c.Purpose {
		r.Purposes = append(r.Purposes, waypost.Purpose(p))
	}
	if len(r.Purposes) == 0 {
		r.Purposes = []waypost.Purpose{waypost.IssueLicence, waypost.IssuePermit, waypost.IssueID, waypost.IssueRealID,
			waypost.Renew, waypost.DuplicateResolution, waypost.PostConviction, waypost.AcceptAsID, waypost.ChangeSOR,
			waypost.ResolvePossibleMatch, waypost.DriverHistory, waypost.MaintainPointer}
	}
	return r, addMembers(r, c.Member)
}

func (c rosterInitCommand) successor(s *session, previous *roster.Roster, begin, end time.Time) (*roster.Roster, error) {
	r, err := previous.Successor(begin, end)
	if err != nil {
		return nil, err
	}
	if c.Revoke {
		r.RevokedBefore = r.Version
	}
	for _, name := range c.Remove {
		if err := r.Remove(name); err != nil {
			return nil, err
		}
	}
	for key, value := range c.Quota {
		name, field, _ := strings.Cut(key, ".")
		if err := r.SetQuota(name, field, value); err != nil {
			return nil, err
		}
	}
	if c.Ceremony != "" {
		t, under, err := readTranscript(c.Ceremony, c.Previous)
		if err != nil {
			return nil, err
		}
		result, err := t.Verify(under)
		if err != nil {
			return nil, err
		}
		if err := errors.Join(nameShares(r, previous, under, result), askHolders(s, c.Previous, result.Plan)); err != nil {
			return nil, err
		}
	}
	return r, addMembers(r, c.Add)
}

func addMembers(r *roster.Roster, files []string) error {
	for _, file := range files {
		var m roster.Member
		if err := readStrictly(file, &m); err != nil {
			return err
		}
		if err := r.Add(m); err != nil {
			return err
		}
	}
	return nil
}

// readRoster reads the roster in a file, or the newest in a folder.
func readRoster(path string) ([]byte, *roster.Roster, error) {
	contents, err := rosterFiles(path)
	if err != nil {
		return nil, nil, err
	}
	newest := contents[len(contents)-1]
	r, err := roster.Read(newest)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return newest, r, nil
}

// rosterFiles returns the content of a file, or of the numbered files of a
// folder or its folder roster, the oldest first.
func rosterFiles(path string) ([][]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	files := []string{path}
	if info.IsDir() {
		if files, err = numbered(filepath.Join(path, "roster")); err == nil && len(files) == 0 {
			files, err = numbered(path)
		}
		if err == nil && len(files) == 0 {
			err = waypost.Errorf(waypost.NotFound, "%s holds no rosters", path)
		}
		if err != nil {
			return nil, err
		}
	}
	contents := make([][]byte, len(files))
	for i, file := range files {
		if contents[i], err = os.ReadFile(file); err != nil {
			return nil, err
		}
	}
	return contents, nil
}

// numbered lists the files of a folder whose names are numbers, by number.
func numbered(folder string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(folder, "[0-9]*"))
	number := func(i int) uint64 {
		n, _ := strconv.ParseUint(filepath.Base(files[i]), 10, 64)
		return n
	}
	sort.Slice(files, func(a, b int) bool { return number(a) < number(b) })
	return files, err
}

// governanceBeside is the governance.json of the folder that a path lies in, or
// "".
func governanceBeside(path string) string {
	for _, folder := range []string{path, filepath.Dir(filepath.Clean(path)), filepath.Dir(filepath.Dir(filepath.Clean(path)))} {
		name := filepath.Join(folder, "governance.json")
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			return name
		}
	}
	return ""
}

func readGovernance(path string) (roster.Governance, error) {
	var g roster.Governance
	err := readStrictly(path, &g)
	return g, err
}

func readStrictly(path string, into any) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	d := json.NewDecoder(f)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func readOfficer(path string) (note.Signer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
		return nil, waypost.Errorf(waypost.PermissionDenied, "%s can be read by others: chmod 600 it, and think about replacing the key", path)
	}
	secret, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	signer, err := note.NewSigner(strings.TrimSpace(string(secret)))
	if err != nil {
		return nil, fmt.Errorf("%s is not an officer's key", path) // not the cause: it might quote the key
	}
	return signer, nil
}

// replaceFile writes whole: a crash leaves the old file or the new.
func replaceFile(path string, content []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.Write(content)
	if err = errors.Join(err, temporary.Chmod(0o644), temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}
