package spec_test

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/follow"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/translog"
)

// TestLedgersOfACluster: the second verifier reads what a running exchange has
// published, and finds what was altered in it afterwards.
func TestLedgersOfACluster(t *testing.T) {
	t.Parallel()
	python(t)
	dir := t.TempDir()
	c, err := cluster.Open(t.Context(), cluster.Config{
		Dir: dir, States: []waypost.Jurisdiction{"AZ", "CA"}, Holders: 3, Threshold: 2, Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	clerk := gateway.Counter{Operator: "clerk-1", Class: waypost.Attended, Purpose: waypost.IssueLicence, Case: "1"}
	applicant := gateway.Applicant{Person: waypost.Person{Family: "Quillfeather", Given: "Zebediah", Born: waypost.Date{Year: 1951, Month: 2, Day: 3}}}
	_, err = c.Gateway("AZ").Check(t.Context(), applicant, clerk)
	must(t, err)
	must(t, c.Publish(t.Context()))
	must(t, c.Close())

	says, code := run(t, "ledgers", dir)
	if code != 0 || strings.Count(says, " leaves of ") < 8 {
		t.Fatalf("exit %d\n%s", code, says)
	}
	says, code = run(t, "ledgers", dir, "--json")
	var report struct {
		OK       bool
		Verified []map[string]any
		Refused  []string
	}
	must(t, json.Unmarshal([]byte(says), &report))
	if code != 0 || !report.OK || len(report.Verified) < 9 || len(report.Refused) != 0 {
		t.Errorf("exit %d, %+v", code, report)
	}

	// The checkpoint of a state's log at the hub is replaced by another state's; a
	// leaf of a key holder is altered; one member's log is gone.
	must(t, os.WriteFile(filepath.Join(dir, "hub/log/AZ/1/checkpoint"), read(t, dir, "gateway-CA/log/CA/1/checkpoint"), 0o644))
	alterFile(t, filepath.Join(dir, "keyholder-2/log/keyholder-2/1"), "tile/entries")
	must(t, os.RemoveAll(filepath.Join(dir, "keyholder-3/log")))
	says, code = run(t, "ledgers", dir)
	if code != 1 {
		t.Errorf("exit %d", code)
	}
	for _, want := range []string{
		"hub/log/AZ/1: it holds waypost.test/CA/1", "keyholder-2/log/keyholder-2/1: tile/0/000.p/", "keyholder-3 is in the roster and has no log", "keyholder-2 is in the roster and has no log"} {
		if !strings.Contains(says, want) {
			t.Errorf("nothing is said of %q:\n%s", want, says)
		}
	}
}

func read(t testing.TB, dir, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, path))
	must(t, err)
	return b
}

// alterFile changes a bit at the end of the last file of a kind.
func alterFile(t testing.TB, dir, kind string) {
	t.Helper()
	var last string
	must(t, filepath.WalkDir(filepath.Join(dir, kind), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			last = path
		}
		return err
	}))
	b, err := os.ReadFile(last)
	must(t, err)
	must(t, os.WriteFile(last, flipped(b, -1), 0o644))
}

const logSize = 300

var dataKey = translog.DataKey{ID: translog.KeyID{1, 2, 3, 4, 5, 6, 7, 8}, Secret: [32]byte(sum("data key"))}

// published writes a log of keyholder-2 as spec/ledger.md has it: the promised
// leaf at 20, erased entries from 30 to 39, a daily entry at the end. With a word
// it is another log from leaf 200 on.
func published(t testing.TB, dir, word string) *ledger {
	t.Helper()
	l := &ledger{t: t, member: "keyholder-2"}
	var blobs [][]byte
	for i := range logSize {
		e := entryAt(t, i)
		if i == 200 {
			e.Body = []byte(`{"ticket":"` + word + `"}`)
		}
		if e.Kind == "daily" {
			opened, err := translog.FormatEntry(e)
			must(t, err)
			write(t, dir, "counters/2026-03-01", opened)
		}
		leaf, blob, err := translog.Seal(dataKey, "keyholder", l.origin(), int64(i), e)
		must(t, err)
		if i >= 30 && i < 40 {
			blob = nil
		}
		l.add(leaf)
		blobs = append(blobs, blob)
	}
	l.lay(dir, blobs)
	write(t, dir, dataKey.ID.Path(), []byte("wrapped"))
	write(t, dir, "checkpoint", []byte(l.checkpoint(logSize, start.Add(time.Hour), "keyholder-1", "keyholder-3", "outside.example")))
	hub := (&ledger{t: t, member: "hub"}).grow(3, "leaf")
	write(t, dir, "seen/hub/1", []byte(hub.checkpoint(3, start, "keyholder-1", "keyholder-2", "outside.example")))
	return l
}

// lay writes as many leaves as there are sealed entries, without a checkpoint.
func (l *ledger) lay(dir string, blobs [][]byte) {
	for first := 0; first < len(blobs); first += torchwood.TileWidth {
		width := min(torchwood.TileWidth, len(blobs)-first)
		var bundle, sealed []byte
		for i := first; i < first+width; i++ {
			bundle = append(binary.BigEndian.AppendUint16(bundle, uint16(len(l.leaves[i]))), l.leaves[i]...)
			sealed = translog.AppendSealed(sealed, blobs[i])
		}
		path := translog.SealedPath(int64(first/torchwood.TileWidth), width)
		write(l.t, dir, strings.Replace(path, "sealed", "tile/entries", 1), bundle)
		write(l.t, dir, path, sealed)
	}
	for _, tile := range tlog.NewTiles(torchwood.TileHeight, 0, int64(len(blobs))) {
		data, err := tlog.ReadTileData(tile, l)
		must(l.t, err)
		write(l.t, dir, torchwood.TilePath(tile), data)
	}
}

func entryAt(t testing.TB, i int) translog.Entry {
	t.Helper()
	e := translog.Entry{Kind: "evaluate", At: start, Ticket: [32]byte(sum("t")), Tau: [32]byte(sum("u")), Ordinal: uint64(i), Body: []byte(`{"ticket":""}`)}
	switch i {
	case 20:
		ticket := signTicket(t, aTicket())
		e.Tau, e.Ticket, e.Ordinal = ticket.Tau, ticket.ID, 0
	case logSize - 1:
		e = translog.Entry{Kind: "daily", At: start, Tau: [32]byte(sum("fresh")), Body: []byte(`{"day":"2026-03-01","evaluate":"299"}`)}
	}
	return e
}

func write(t testing.TB, dir, path string, content []byte) {
	t.Helper()
	name := filepath.Join(dir, filepath.FromSlash(path))
	must(t, os.MkdirAll(filepath.Dir(name), 0o755))
	must(t, os.WriteFile(name, content, 0o644))
}

// TestAlteredLogs: whatever is altered in a published log is found, in words.
func TestAlteredLogs(t *testing.T) {
	t.Parallel()
	r := exchange(t)
	signed, g := string(signText(t, textOf(t, r), officers[:2]...)), governanceJSON(t, r)
	keys := map[string]string{dataKey.ID.String(): hex.EncodeToString(dataKey.Secret[:])}
	good := t.TempDir()
	l := published(t, good, "")
	alter := func(path string, at int) func(dir string) {
		return func(dir string) {
			b, err := os.ReadFile(filepath.Join(dir, path))
			must(t, err)
			write(t, dir, path, flipped(b, at))
		}
	}
	put := func(path, content string) func(dir string) {
		return func(dir string) { write(t, dir, path, []byte(content)) }
	}
	all := []string{"keyholder-1", "keyholder-3", "outside.example"}
	cut := func(path string, n int) func(dir string) {
		return func(dir string) {
			b, err := os.ReadFile(filepath.Join(dir, path))
			must(t, err)
			write(t, dir, path, b[:n])
		}
	}
	changes := []struct {
		name   string
		change func(dir string)
		why    string // "" where nothing is wrong
	}{
		{"nothing", func(string) {}, ""},
		{"a leaf", alter("tile/entries/000", 66*7+5), "tile/0/000 is not made of what lies below it, at 7"},
		{"the length of a leaf", alter("tile/entries/001.p/44", 1), "tile/entries/001.p/44 has a leaf that is not of 64 bytes, at 0"},
		{"a leaf less", cut("tile/entries/001.p/44", 66*43), "tile/entries/001.p/44 is cut short"},
		{"a bundle less", func(dir string) { must(t, os.Remove(filepath.Join(dir, "tile/entries/000"))) }, "tile/entries/000 cannot be read"},
		{"a tile", alter("tile/0/001.p/44", 32*9), "tile/0/001.p/44 is not made of what lies below it, at 265"},
		{"a tile above", alter("tile/1/000.p/1", 0), "tile/1/000.p/1 is not made of what lies below it, at 0"},
		{"a tile less", func(dir string) { must(t, os.Remove(filepath.Join(dir, "tile/1/000.p/1"))) }, "tile/1/000.p/1 cannot be read"},
		{"leaf and tile together", both(t, l), "the leaves do not make the root of the checkpoint"},
		{"the size in the checkpoint", put("checkpoint", strings.Replace(l.checkpoint(logSize, start, all...), "\n300\n", "\n299\n", 1)), "the signature of vectors.example/keyholder-2/1 does not verify"},
		{"a smaller checkpoint of the same log, well signed", put("checkpoint", l.checkpoint(299, start, all...)), "tile/entries/001.p/43 cannot be read"},
		{"no outside witness", put("checkpoint", l.checkpoint(logSize, start, "keyholder-1", "keyholder-3")), "the checkpoint has 0 of 1 cosignatures of outside witnesses"},
		{"its own witness", put("checkpoint", l.checkpoint(logSize, start, "keyholder-1", "keyholder-2", "outside.example")), "the checkpoint has 1 of 2 cosignatures of key holders"},
		{"a sealed entry", alter("sealed/000", 4+40), "the data key does not open the entry"},
		{"a sealed entry in another's place", swapped(t), "the data key does not open the entry"},
		{"a sealed entry's length", alter("sealed/000", 2), "sealed/000 has a blob of an impossible length"},
		{"a data key less", func(dir string) { must(t, os.RemoveAll(filepath.Join(dir, "keys"))) }, "the data key 0102030405060708 of entry 0 is missing"},
		{"a number of a day", func(dir string) {
			b := read(t, dir, "counters/2026-03-01")
			write(t, dir, "counters/2026-03-01", []byte(strings.Replace(string(b), `"299"`, `"298"`, 1)))
		}, "counters/2026-03-01 is no entry of the log"},
		{"a day's numbers under another day", func(dir string) {
			must(t, os.Rename(filepath.Join(dir, "counters/2026-03-01"), filepath.Join(dir, "counters/2026-03-02")))
		}, "counters/2026-03-02 is about another day"},
		{"a checkpoint that was seen", alter("seen/hub/1", 25), "does not verify"},
		{"evidence that is none", put("evidence/00.json", "{}"), "the evidence has other fields, or in another order"},
	}
	var questions []question
	for i, c := range changes {
		dir := filepath.Join(t.TempDir(), fmt.Sprint(i))
		must(t, os.CopyFS(dir, os.DirFS(good)))
		c.change(dir)
		q := question{Name: c.name, Check: "log", Data: []byte(dir), With: with{Old: signed, Governance: g}}
		if c.why == "" || strings.Contains(c.name, "sealed") {
			q.With.Keys = keys
		}
		questions = append(questions, q)
	}
	for i, v := range judgeToo(t, questions) {
		if c := changes[i]; v.OK != (c.why == "") || !strings.Contains(v.Why, c.why) {
			t.Errorf("%s: %+v, want %q", c.name, v, c.why)
		}
	}
}

// TestForkedCopies: two copies of one log, each of which holds by itself and is
// signed by everybody, contradict each other.
func TestForkedCopies(t *testing.T) {
	t.Parallel()
	r, dir := exchange(t), t.TempDir()
	write(t, dir, "hub/governance.json", []byte(governanceJSON(t, r)))
	write(t, dir, "hub/roster/000001", signText(t, textOf(t, r), officers[:2]...))
	published(t, filepath.Join(dir, "keyholder-2/log/keyholder-2/1"), "")
	says, _ := run(t, "ledgers", dir)
	if strings.Contains(says, "never had") {
		t.Errorf("before the fork:\n%s", says)
	}
	published(t, filepath.Join(dir, "mirror/log/keyholder-2/1"), "forked")
	if says, _ = run(t, "ledgers", dir); !strings.Contains(says, "has a checkpoint of vectors.example/keyholder-2/1 at 300 leaves that this log never had") {
		t.Errorf("after the fork:\n%s", says)
	}
}

// both alters a leaf and the tile above it, so that they fit together.
func both(t testing.TB, l *ledger) func(dir string) {
	return func(dir string) {
		bundle, tile := read(t, dir, "tile/entries/001.p/44"), read(t, dir, "tile/0/001.p/44")
		leaf := flipped(l.leaves[256], 3)
		copy(bundle[2:], leaf)
		h := tlog.RecordHash(leaf)
		copy(tile, h[:])
		write(t, dir, "tile/entries/001.p/44", bundle)
		write(t, dir, "tile/0/001.p/44", tile)
	}
}

// swapped puts the entries of two leaves in each other's place.
func swapped(t testing.TB) func(dir string) {
	return func(dir string) {
		raw := read(t, dir, "sealed/000")
		blobs, err := translog.ParseSealed(raw, 256)
		must(t, err)
		blobs[1], blobs[2] = blobs[2], blobs[1]
		var again []byte
		for _, b := range blobs {
			again = translog.AppendSealed(again, b)
		}
		write(t, dir, "sealed/000", again)
	}
}

// TestCommands: receipts, evidence and proofs on the command line.
func TestCommands(t *testing.T) {
	t.Parallel()
	r, dir := exchange(t), t.TempDir()
	log := filepath.Join(dir, "log")
	l := published(t, log, "")
	ticket := signTicket(t, aTicket())
	file := func(name string, content []byte) string {
		write(t, dir, name, content)
		return filepath.Join(dir, name)
	}
	trust := []string{"--governance", file("governance.json", []byte(governanceJSON(t, r))),
		"--roster", file("roster", signText(t, textOf(t, r), officers[:2]...))}
	held := []string{"--ticket", file("ticket", ticket.Bytes()), "--log", log}
	evidence := func(claim follow.Claim) string {
		for _, q := range cases(t) {
			if q.Check == "evidence" && q.OK && strings.Contains(string(q.Data), string(claim)) {
				return file(string(claim)+".json", q.Data)
			}
		}
		t.Fatal("no such case")
		return ""
	}
	for _, c := range []struct {
		args []string
		want string
		code int
	}{
		{append([]string{"receipt", file("good", signReceipt(t, aReceipt(ticket, l, 20)))}, append(held, trust...)...), "is leaf 20 of vectors.example/keyholder-2/1 by 2026-03-02 13:01:00 UTC; it is", 0},
		{append([]string{"receipt", file("hex", []byte(hex.EncodeToString(signReceipt(t, aReceipt(ticket, l, 20)))+"\n"))}, trust...), "is leaf 20 of", 0},
		{append([]string{"receipt", file("another", signReceipt(t, aReceipt(ticket, l, 21)))}, append(held, trust...)...), "leaf 21 is another than was promised", 1},
		{append([]string{"receipt", file("later", signReceipt(t, aReceipt(ticket, l, 300)))}, append(held, trust...)...), "the log has 300 leaves, and not yet leaf 300", 1},
		{append([]string{"receipt", file("altered", flipped(signReceipt(t, aReceipt(ticket, l, 20)), -1))}, trust...), "this is not signed by keyholder-2", 1},
		{append([]string{"evidence", evidence(follow.ReceiptWithoutLeaf)}, trust[:2]...), "it is shown that keyholder-2 is guilty of receipt_without_leaf", 0},
		{append([]string{"evidence", evidence(follow.Fork)}, trust[:2]...), "it is shown that keyholder-2 is guilty of fork", 0},
		{append([]string{"evidence", filepath.Join(dir, "ticket")}, trust[:2]...), "the evidence is not JSON", 1},
		{append([]string{"proof", file("proof", aProof(t, l))}, trust...), "an entry evaluate of 2026-03-02 12:00:00 UTC is leaf 3 of vectors.example/keyholder-2/1", 0},
		{append([]string{"log", log}, trust...), "300 leaves of vectors.example/keyholder-2/1, 10 erased, cosigned 2026-03-02 13:00:00 UTC", 0},
		{append([]string{"log", log, "--keys", file("keys", []byte(`{"0102030405060708":"`+hex.EncodeToString(dataKey.Secret[:])+`"}`))}, trust...), "10 erased, 290 opened", 0},
		{append([]string{"log", dir}, trust...), "checkpoint cannot be read", 1},
		{[]string{"log", log}, "the following arguments are required", 2},
	} {
		says, code := run(t, c.args...)
		if code != c.code || !strings.Contains(says, c.want) {
			t.Errorf("%s: exit %d, want %d and %q\n%s", c.args[0], code, c.code, c.want, says)
		}
	}
}

// aProof is of the entry at 3.
func aProof(t testing.TB, l *ledger) []byte {
	t.Helper()
	hashes, err := tlog.ProveRecord(logSize, 3, l)
	must(t, err)
	p := translog.Proof{Origin: l.origin(), Index: 3, Leaf: l.leaves[3], Entry: entryAt(t, 3), Inclusion: hashes,
		Checkpoint: []byte(l.checkpoint(logSize, start, "keyholder-1", "keyholder-3", "outside.example"))}
	b, err := p.Marshal()
	must(t, err)
	return b
}
