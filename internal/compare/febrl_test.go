package compare

import (
	"bytes"
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/matchkey"
)

// sharedData finds the folder of public test data: WAYPOST_DATA, or shared/data
// in a folder above.
func sharedData(t *testing.T) string {
	if dir := os.Getenv("WAYPOST_DATA"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if data := filepath.Join(dir, "shared", "data"); isDir(data) {
			return data
		}
	}
	t.Skip("the public test data (febrl4) is not here; set WAYPOST_DATA to the folder that holds it")
	return ""
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// febrl reads one side of febrl4 by the number N of rec-N-org or rec-N-dup-0.
func febrl(t *testing.T, path string) map[string]waypost.Person {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.TrimLeadingSpace = true
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]int{}
	for i, name := range rows[0] {
		at[strings.TrimSpace(name)] = i
	}
	people := map[string]waypost.Person{}
	for _, row := range rows[1:] {
		ssn := row[at["soc_sec_id"]]
		p := waypost.Person{Given: row[at["given_name"]], Family: row[at["surname"]], SSN5: ssn[max(0, len(ssn)-5):]}
		p.Born, _ = waypost.ParseDate(row[at["date_of_birth"]]) // a date that is not one is unknown
		people[strings.Split(row[at["rec_id"]], "-")[1]] = p
	}
	return people
}

// tally counts classes.
type tally map[waypost.Outcome]int

func (c tally) share(o ...waypost.Outcome) float64 {
	sum, n := 0, 0
	for _, k := range c {
		n += k
	}
	for _, x := range o {
		sum += c[x]
	}
	return float64(sum) / float64(n)
}

// agreed plays the first leg: which of the record's keys an asker's tags show,
// as far as the comparison looks at them.
func agreed(applicant, record waypost.Person) []matchkey.Kind {
	if applicant.SSN5 != record.SSN5 {
		return nil
	}
	query := matchkey.NewQuery(applicant, []byte("the asking gateway's own secret!"))
	var kinds []matchkey.Kind
	for _, slot := range matchkey.Index(record, []byte("the answering gateway's secret!!")) {
		for _, key := range query.Keys {
			if !slot.Decoy && bytes.Equal(key, slot.Key) {
				kinds = append(kinds, slot.Kind)
			}
		}
	}
	return kinds
}

// TestFebrl compares all true pairs of febrl4, and all false ones that share a
// date of birth, an SSN-5, or both names: far more than the keys would find.
// febrl4 has no middle names or sex, and a name or date error in every second
// pair, so that a rare name and exact date is the most a pair can offer. The
// bounds are a little under what was measured; see the log with -v.
func TestFebrl(t *testing.T) {
	dir := filepath.Join(sharedData(t), "febrl4")
	as, bs := febrl(t, filepath.Join(dir, "dataset4a.csv")), febrl(t, filepath.Join(dir, "dataset4b.csv"))
	with, without := tally{}, tally{}
	for id, a := range as {
		b := bs[id]
		with[Compare(Candidate{Person: a}, Candidate{Person: b}, agreed(a, b))]++
		without[Compare(Candidate{Person: a}, Candidate{Person: b}, nil)]++
	}
	blocks := map[string][]string{}
	keys := func(p waypost.Person) []string {
		return []string{p.Born.String(), "ssn " + p.SSN5, p.Given + "/" + p.Family}
	}
	for id, b := range bs {
		for _, k := range keys(b) {
			blocks[k] = append(blocks[k], id)
		}
	}
	others := tally{}
	for id, a := range as {
		for _, k := range keys(a) {
			for _, other := range blocks[k] {
				if b := bs[other]; other != id {
					others[Compare(Candidate{Person: a}, Candidate{Person: b}, agreed(a, b))]++
				}
			}
		}
	}
	t.Logf("true pairs %v, SSN removed %v; false pairs %v", with, without, others)
	atLeast(t, "match of true pairs", with.share(waypost.Match), .75)
	atLeast(t, "match or possible of true pairs", with.share(waypost.Match, waypost.Possible), .91)
	atLeast(t, "match or possible, SSN removed", without.share(waypost.Match, waypost.Possible), .75)
	if others[waypost.Match] > 0 || others[waypost.Possible] > 2 {
		t.Errorf("false pairs: %v", others)
	}
}

func atLeast(t *testing.T, what string, got, want float64) {
	t.Helper()
	if got < want {
		t.Errorf("%s: %.4f, want at least %.4f", what, got, want)
	}
}
