package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// stateType is the first field of a state file: another layout is another type.
const stateType = "waypost audit state v1"

// state is what one run leaves to the next: a line of JSON, then the records
// that are carried over.
type state struct {
	Type    string    `json:"type"`
	Names   tables    `json:"names"`
	Logs    []kept    `json:"logs"`
	Excess  []excess  `json:"excess,omitempty"`
	Renewed []renewed `json:"renewed,omitempty"` // by state and epoch
	Proven  []string  `json:"proven,omitempty"`  // places of broken promises
	Windows int       `json:"windows"`           // bytes that follow the line
	Records int       `json:"records"`           // bytes after those

	windows, records []byte
}

// maxState bounds a state file: a week's open tickets of the largest exchange
// take a tenth of it.
const maxState = 4 << 30

func readState(file string) (*state, error) {
	s := &state{Type: stateType}
	if file == "" {
		return s, nil
	}
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	bad := fmt.Errorf("%s is not the state of an earlier run, or is damaged: delete it to read everything again", file)
	if info.Size() > maxState {
		return nil, bad
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	line, rest, _ := bytes.Cut(raw, []byte("\n"))
	if err := s.parse(line, rest); err != nil {
		return nil, bad
	}
	return s, nil
}

func (s *state) parse(line, rest []byte) error {
	bad := errors.New("not a state")
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(s); err != nil {
		return err
	}
	if s.Type != stateType || s.Windows < 0 || s.Records < 0 || s.Windows%windowSize != 0 || len(rest) != s.Windows+s.Records {
		return bad
	}
	s.windows, s.records = rest[:s.Windows], rest[s.Windows:]
	if !slices.IsSortedFunc(s.Renewed, byStateAndEpoch) {
		return bad
	}
	for _, k := range s.Logs {
		if k.Size < 0 || len(k.Peaks) != onesIn(k.Size) {
			return bad
		}
	}
	return nil
}

func onesIn(n int64) (ones int) {
	for ; n > 0; n &= n - 1 {
		ones++
	}
	return ones
}

// names are the tables of the run before.
func (s *state) names() tables {
	t := tables{Members: slices.Clone(s.Names.Members), Logs: slices.Clone(s.Names.Logs)}
	t.index()
	return t
}

// restore puts what was carried over among what is new.
func (s *state) restore(r *run) error {
	for _, where := range s.Proven {
		if p, ok := r.parsePlace(where); ok {
			r.proven[p] = true
		}
	}
	var scratch []byte
	for rest := s.records; len(rest) > 0; {
		rec, after, err := cutRecord(rest)
		if err != nil || int(rec.log) >= len(r.logs) || r.logs[rec.log] == nil && rec.kind != kindReported {
			return errRecord
		}
		if err := r.keep(&rec, &scratch); err != nil {
			return err
		}
		rest = after
	}
	for rest := s.windows; len(rest) > 0; rest = rest[windowSize:] {
		key, w := parseWindow(rest)
		if err := r.putWindow(key, w); err != nil {
			return err
		}
	}
	s.records = nil
	return nil
}

// writeState replaces the state file, if one is kept, in one step.
func (r *run) writeState(records, windows []byte) error {
	if r.State == "" {
		return nil
	}
	s := state{Type: stateType, Names: r.names, Excess: r.before.Excess, Renewed: r.before.Renewed, Windows: len(windows), Records: len(records)}
	for p := range r.proven {
		s.Proven = append(s.Proven, r.placeName(p))
	}
	slices.Sort(s.Proven)
	for _, l := range r.logs {
		if l != nil && (l.kept.Size > 0 || l.kept.LossTold) {
			s.Logs = append(s.Logs, l.kept)
		}
	}
	line, err := json.Marshal(s)
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(r.State), ".waypost-audit-state-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	w := bufio.NewWriter(file)
	for _, b := range [][]byte{line, []byte("\n"), windows, records} {
		_, _ = w.Write(b) // the first error comes back from Flush
	}
	if err := errors.Join(w.Flush(), file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), r.State)
}

func (k kept) clone() kept {
	k.Peaks, k.Note, k.Accusations = slices.Clone(k.Peaks), slices.Clone(k.Note), slices.Clone(k.Accusations)
	k.Signed = slices.Clone(k.Signed)
	days := make(map[string]map[string]int64, len(k.Days))
	for day, counts := range k.Days {
		days[day] = maps.Clone(counts)
	}
	k.Days = days
	return k
}
