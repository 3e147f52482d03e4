package demo

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/journal/journaltest"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
)

// TestPlay plays the whole demonstration on a small population, and then looks
// for the people in every place where they must not be.
func TestPlay(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	var out bytes.Buffer
	log := &syncBuffer{}
	people := 60
	if n, err := strconv.Atoi(os.Getenv("WAYPOST_TEST_PEOPLE")); err == nil {
		people = n // the size of waypost demo --once is 5000
	}
	d, err := Open(ctx, Options{
		Dir: dir, States: []waypost.Jurisdiction{"CA", "AZ", "NV", "NY"}, People: people, Seed: 3,
		Out: &out, Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	playErr := d.Play(ctx)
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if playErr != nil {
		t.Fatalf("%v\n%s", playErr, out.String())
	}
	for _, words := range []string{"MATCH: this person holds a card of CA", "NV has not answered yet", "it stands in the ledger once", "refused: a check ticket cannot carry 33 elements"} {
		if !strings.Contains(out.String(), words) {
			t.Errorf("the story does not say %q", words)
		}
	}
	pieces := everybody(t, d)

	t.Run("databases of the hub and the key holders", func(t *testing.T) {
		empty := emptyExchange(t)
		for _, role := range []string{"hub", "keyholder-1", "keyholder-2", "keyholder-3", "keyholder-4", "keyholder-5"} {
			// A surname can be a word of the schema; that stands there without people.
			own := search(t, filepath.Join(empty, role), pieces.long)
			for piece := range search(t, filepath.Join(dir, role), pieces.long) {
				if !own[piece] {
					t.Errorf("%s: %q stands in its files", role, piece)
				}
			}
			searchRows(t, filepath.Join(dir, role), role, pieces)
		}
		// The search can fail: the states' own files hold everybody.
		if n := len(search(t, filepath.Join(dir, "gateway-CA"), pieces.long)); n < people {
			t.Errorf("only %d pieces were found where everybody is: the search does not search", n)
		}
	})
	t.Run("logs", func(t *testing.T) {
		if log.String() == "" {
			t.Error("nothing was logged, so nothing was searched")
		}
		for line := range strings.Lines(log.String()) {
			if pieces.in(line) {
				t.Errorf("a log line holds personal data; its beginning: %.60s", line)
			}
		}
		if !pieces.in("level=INFO msg=\"" + pieces.someName + "\"") {
			t.Error("a planted name was not found: the search does not search")
		}
	})
	t.Run("refusals", func(t *testing.T) {
		_, refusals, _ := strings.Cut(out.String(), "WHAT MUST BE REFUSED")
		for line := range strings.Lines(took.ReplaceAllString(refusals, "$1")) {
			if pieces.in(line) {
				t.Errorf("a refusal or a table row holds personal data; its beginning: %.60s", line)
			}
		}
	})
}

// TestPlayOnPostgres plays it with every role's database on a server.
func TestPlayOnPostgres(t *testing.T) {
	var out bytes.Buffer
	d, err := Open(t.Context(), Options{
		Dir: t.TempDir(), States: []waypost.Jurisdiction{"CA", "AZ", "NV", "NY"}, People: 40, Seed: 3,
		Out: &out, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Databases: storetest.Server(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.Play(t.Context()), d.Close()); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
}

// personal is everything about the population that must not leave a gateway.
type personal struct {
	// long pieces, by their beginning: they cannot stand in random bytes by
	// chance.
	long map[prefix][]string
	// words are whole words: every name part, date, SSN-5 and card number.
	words    map[string]bool
	someName string
}

type prefix [7]byte

var wordShape = regexp.MustCompile(`[0-9A-Za-z][0-9A-Za-z-]*`)

func everybody(t *testing.T, d *Demo) personal {
	p := personal{words: make(map[string]bool), long: make(map[prefix][]string)}
	add := func(piece string) {
		piece = strings.ToUpper(piece)
		if len(piece) < 3 || p.words[piece] {
			return // initials, and the names XU or LI, are anywhere
		}
		p.words[piece] = true
		if len(piece) >= len(prefix{}) {
			p.long[prefix([]byte(piece))] = append(p.long[prefix([]byte(piece))], piece)
		}
	}
	person := func(who waypost.Person) {
		for _, field := range []string{who.Family, who.Given, who.Middle} {
			for part := range strings.FieldsSeq(field) {
				add(part)
			}
			add(field)
		}
		add(who.Born.String())
		add(strings.ReplaceAll(who.Born.String(), "-", ""))
		add(who.SSN5)
		p.someName = who.Family
	}
	for _, state := range d.people.States() {
		err := d.people.Each(state, func(r waypost.Record) error {
			person(r.Person)
			add(r.CardNumber)
			add(r.ID)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range d.people.Scenarios() {
		person(s.Applicant)
	}
	return p
}

// in reports whether the text holds a piece as a word of its own. Names are
// upper case in the population; words in lower case are the program's.
func (p personal) in(text string) bool {
	text = address.ReplaceAllString(text, "") // a port may be somebody's digits
	for _, word := range wordShape.FindAllString(text, -1) {
		if p.words[word] && !isProgramWord(word) {
			return true
		}
	}
	return false
}

var address = regexp.MustCompile(`127\.0\.0\.1:\d+`)

// isProgramWord spares what the program itself writes in capitals or digits.
func isProgramWord(word string) bool {
	switch word {
	case "WARN", "INFO", "ERROR", "DEBUG", "NO", "ACCEPTED", "FOR", "THE", "ENGINEER":
		return true
	}
	return false
}

// emptyExchange runs an exchange without people, and returns its folder.
func emptyExchange(t *testing.T) string {
	dir := t.TempDir()
	c, err := cluster.Open(context.Background(), cluster.Config{Dir: dir, States: []waypost.Jurisdiction{"CA", "AZ"}, Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		err = c.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// search returns the long pieces that stand in the files of a folder, whatever
// surrounds them, in upper or lower case.
func search(t *testing.T, dir string, pieces map[prefix][]string) map[string]bool {
	found := make(map[string]bool)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		content = bytes.ToUpper(content)
		for at := 0; at+len(prefix{}) <= len(content); at++ {
			for _, piece := range pieces[prefix(content[at:])] {
				if bytes.HasPrefix(content[at:], []byte(piece)) {
					found[piece] = true
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// searchRows reads every text of every row as words, so that short names and
// SSN digits count too, which in random bytes would turn up by chance.
func searchRows(t *testing.T, dir, role string, pieces personal) {
	kind := strings.TrimRight(role, "-12345")
	db, err := store.Open(context.Background(), "sqlite:"+filepath.Join(dir, kind+".db"), kind)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows := 0
	for _, text := range append(texts(t, db, kind), ledger(t, dir, role, db)...) {
		rows++
		if pieces.in(text) {
			t.Errorf("%s: a row holds personal data; its beginning: %.40s", role, text)
		}
	}
	if rows == 0 {
		t.Errorf("%s: no texts were read", role)
	}
}

// ledger returns every entry of a role's ledger as its auditor reads it.
func ledger(t *testing.T, dir, role string, db *store.DB) (all []string) {
	t.Helper()
	j, err := journal.Open(context.Background(), db, "waypost.test/"+role+"/1", journaltest.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	auditor, err := install.Auditor(filepath.Dir(dir))
	if err != nil {
		t.Fatal(err)
	}
	for {
		entries, err := auditor.Read(context.Background(), j, uint64(len(all)), 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			return all
		}
		for _, e := range entries {
			if !e.Opened {
				t.Fatalf("%s: entry %d is not opened to the auditor", role, e.Seq)
			}
			all = append(all, e.Kind+" "+tickets.ReplaceAllString(string(e.Body), ""))
		}
	}
}

// took is the milliseconds in a row of the table: five digits on a slow machine, as of an SSN.
var took = regexp.MustCompile(`\b\d+ +(yes|NO)`)

// tickets stand in entries in base64: of random letters, which now and then spell a short
// name between two signs.
var tickets = regexp.MustCompile(`[0-9A-Za-z+/]{200,}=*`)

// texts returns every value of a text column.
func texts(t *testing.T, db *store.DB, kind string) (all []string) {
	queries := []string{`SELECT kind FROM journal`, `SELECT member || ' ' || class FROM quota`}
	if kind == "hub" {
		queries = append(queries, `SELECT owner FROM pointer`, `SELECT recipient FROM mailbox`, `SELECT recipient FROM box`, `SELECT member FROM encryption_key`)
	}
	for _, q := range queries {
		err := db.Read(context.Background(), func(tx *store.Tx) error {
			return tx.Query(q, nil, func(scan func(dest ...any) error) error {
				var text string
				err := scan(&text)
				all = append(all, text)
				return err
			})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
