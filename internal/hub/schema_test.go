package hub_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/matchkey"
)

// made are people of whom each pair shares what namesakes and relatives share.
func made(n int) (all []waypost.Person) {
	families, given := []string{"Smith", "Okonkwo", "Garcia-Lopez", "Nguyen", "O'Brien"}, []string{"James", "Ines", "Maria", "Robert", "Thuy"}
	for i := range n {
		all = append(all, waypost.Person{
			Family: families[i%5], Given: given[i/5%5], Born: waypost.Date{Year: 1950 + i%50, Month: 1 + i%12, Day: 1 + i%28}, Sex: "F",
			SSN5: fmt.Sprintf("%05d", 10007+i*7919%89000),
		})
	}
	return all
}

// tokensOf stands in for the OPRF: equal for equal keys, and nothing else.
func tokensOf(p waypost.Person, secret []byte) (tokens []waypost.Token) {
	for _, slot := range matchkey.Index(p, secret) {
		prf := hmac.New(sha256.New, []byte("a group key"))
		prf.Write(slot.Key)
		tokens = append(tokens, waypost.NewToken(1, prf.Sum(nil)))
	}
	return tokens
}

// TestSchema publishes the same people to two hubs, once with their SSN and
// once without, searches for some, and compares what stands in the databases:
// the tables, the rows of each, and length and type of every value. Where the
// schema or the code kept anything about the SSN, they would differ.
func TestSchema(t *testing.T) {
	storetest.File(t) // it asks SQLite for the columns
	t.Parallel()
	with, without := newRig(t), newRig(t)
	secret := []byte(strings.Repeat("s", 32))
	for _, r := range []*rig{with, without} {
		r.afterMidnight()
		all := made(60)
		var records []*waypostv1.PublishedRecord
		for i, p := range all {
			if r == without {
				p.SSN5 = ""
			}
			tokens := tokensOf(p, secret)
			slices.SortFunc(tokens, func(a, b waypost.Token) int { return bytes.Compare(a[:], b[:]) })
			records = append(records, &waypostv1.PublishedRecord{Handle: handle(i), Tokens: join(tokens)})
		}
		r.publish("CA", records...)
		// Ask for somebody who has no card anywhere, in both parts.
		p := r.check("AZ")
		r.found(p, 1, padded(waypost.NameElements))
		r.found(p, 2, padded(waypost.SSNElements))
		if got := r.first(r.check("AZ"), tokensOf(all[7], secret)...); len(got.List) == 0 {
			t.Error("a published person is not found")
		}
	}
	a, b := with.shape(), without.shape()
	if !slices.Equal(a, b) {
		t.Errorf("with SSN:\n%s\nwithout:\n%s", strings.Join(a, "\n"), strings.Join(b, "\n"))
	}
	ssn := regexp.MustCompile(`(?i)ssn|social|decoy|slot|kind_of_key`)
	for _, line := range a {
		if table, _, _ := strings.Cut(line, " "); ssn.MatchString(table) {
			t.Errorf("the schema speaks of it: %s", line)
		}
	}
	if len(a) < 40 {
		t.Errorf("%d columns were compared: %v", len(a), a)
	}
	for _, line := range a {
		if strings.HasPrefix(line, "label.label ") && line != "label.label 600 x blob(16)" {
			t.Error(line)
		}
	}
}

// shape lists, for every column of every table, how often which type and length
// occurs. Numbers are compared by type alone: ids are random and times differ.
func (r *rig) shape() (lines []string) {
	r.t.Helper()
	must(r.t, r.db.Read(context.Background(), func(tx *store.Tx) error {
		columns := make(map[string][]string)
		err := tx.Query(`SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'`, nil,
			func(scan func(...any) error) error {
				var table, column string
				err := scan(&table, &column)
				if !strings.HasPrefix(table, "schema_version") && !strings.HasPrefix(table, "sqlite_") {
					columns[table] = append(columns[table], column)
				}
				return err
			})
		if err != nil {
			return err
		}
		for table, names := range columns {
			for _, column := range names {
				// The entries of the journal name minutes and random tags.
				query := fmt.Sprintf(`SELECT typeof(%[2]s) || CASE WHEN typeof(%[2]s) IN ('integer', 'null') OR '%[1]s.%[2]s' IN ('journal.sealed', 'journal_key.wrapped') THEN '' ELSE '(' || length(%[2]s) || ')' END, count(*)
					FROM %[1]s GROUP BY 1 ORDER BY 1`, table, column)
				line := table + "." + column
				err := tx.Query(query, nil, func(scan func(...any) error) error {
					var what string
					var n int
					err := scan(&what, &n)
					line += fmt.Sprintf(" %d x %s", n, what)
					return err
				})
				if err != nil {
					return err
				}
				lines = append(lines, line)
			}
		}
		return nil
	}))
	slices.Sort(lines)
	return lines
}
