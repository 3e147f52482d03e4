package spec_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/translog"
)

var update = flag.Bool("update", false, "write the vectors anew")

// TestCasesFile: spec/vectors/cases.json is what cases makes.
func TestCasesFile(t *testing.T) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	must(t, enc.Encode(map[string]any{
		"comment": "Written by the tests of spec. Each case is one line that verify.py batch judges, with its verdict; see README.md.",
		"cases":   makeCases(t),
	}))
	made := b.Bytes()
	if *update {
		must(t, os.WriteFile("vectors/cases.json", made, 0o644))
	}
	have, err := os.ReadFile("vectors/cases.json")
	must(t, err)
	if !bytes.Equal(have, made) {
		t.Error("vectors/cases.json is not what the tests make: a format changed")
	}
}

var (
	casesOnce sync.Once
	casesMade []question
)

// cases are all of them, the same each time.
func cases(t testing.TB) []question {
	t.Helper()
	casesOnce.Do(func() { casesMade = makeCases(t) })
	return slices.Clone(casesMade)
}

func makeCases(t testing.TB) (all []question) {
	for _, some := range [][]question{
		signatureCases(t), ticketCases(t), receiptCases(t), bodyCases(), treeCases(t), checkpointCases(t), proofCases(t),
		messageCases(t), rosterCases(t), chainCases(t), evidenceCases(t),
	} {
		all = append(all, some...)
	}
	return all
}

func flipped(b []byte, i int) []byte {
	b = bytes.Clone(b)
	b[(i+len(b))%len(b)] ^= 1
	return b
}

// altered is a case that holds, and what is refused of it: a bit changed in
// several places, one byte less and one more.
func altered(q question) []question {
	q.OK = true
	list := []question{q}
	refused := func(why string, data []byte) {
		bad := q
		bad.Name, bad.Data, bad.OK = q.Name+": "+why, data, false
		list = append(list, bad)
	}
	n := len(q.Data)
	refused("the first byte is altered", flipped(q.Data, 0))
	refused("a byte in the middle is altered", flipped(q.Data, n/2))
	refused("the last byte is altered", flipped(q.Data, -2))
	refused("a byte is missing", q.Data[:n-1])
	refused("a byte follows", append(bytes.Clone(q.Data), 'x'))
	return list
}

func aTicket() waypost.Ticket {
	probes := bytes.Repeat([]byte{7}, 32*32)
	return waypost.Ticket{
		Kind: waypost.KindCheck, RosterVersion: 1, Epoch: 1, Environment: waypost.Test, SOI: "AZ", Class: waypost.Attended,
		Purpose: waypost.IssueRealID, IssuedAt: start.Add(time.Hour), Elements: 32, Probes: waypost.HashProbes(probes),
		Operator: sha256.Sum256([]byte("operator")), Nonce: [16]byte{1}, Tau: sha256.Sum256([]byte("tau")),
	}
}

func signTicket(t testing.TB, ticket waypost.Ticket) waypost.SignedTicket {
	t.Helper()
	signed, err := ticket.Sign(key("AZ identity"))
	must(t, err)
	return signed
}

func ticketCases(t testing.TB) (list []question) {
	az := with{Key: hex.EncodeToString(public("AZ identity"))}
	list = altered(question{Name: "ticket", Check: "ticket", Data: signTicket(t, aTicket()).Bytes(), With: az})
	for name, change := range map[string]func(*waypost.Ticket){
		"ticket: a purpose that does not allow its kind":  func(x *waypost.Ticket) { x.Purpose = waypost.MaintainPointer },
		"ticket: a kind that nobody knows":                func(x *waypost.Ticket) { x.Kind = "scan" },
		"ticket: 33 elements":                             func(x *waypost.Ticket) { x.Elements = 33 },
		"ticket: a class that cannot ask":                 func(x *waypost.Ticket) { x.Class = waypost.Loader },
		"ticket: to publish 101 records":                  func(x *waypost.Ticket) { toPublish(x); x.Elements = 1010 },
		"ticket: to publish a part of a record":           func(x *waypost.Ticket) { toPublish(x); x.Elements = 15 },
		"ticket: to publish 100 records holds (accepted)": func(x *waypost.Ticket) { toPublish(x); x.Elements = 1000 },
	} {
		ticket := aTicket()
		change(&ticket)
		list = append(list, question{Name: name, Check: "ticket", Data: signTicket(t, ticket).Bytes(), With: az, OK: strings.HasSuffix(name, "(accepted)")})
	}
	list = append(list, bareCases(t)...)
	slices.SortFunc(list, func(a, b question) int { return strings.Compare(a.Name, b.Name) })
	return append(list, rewritten(t)...)
}

// bareCases are tickets of the kinds without elements, under each purpose and
// with an element.
func bareCases(t testing.TB) (list []question) {
	add := func(name string, x waypost.Ticket) {
		signed := signTicket(t, x)
		list = append(list, question{Name: name, Check: "ticket", Data: signed.Bytes(), With: with{Key: hex.EncodeToString(public("AZ identity"))},
			OK: signed.Verify(public("AZ identity")) == nil})
	}
	for _, kind := range []waypost.Kind{waypost.KindVerifyCard, waypost.KindStatus, waypost.KindHistory, waypost.KindPortrait, waypost.KindChangeSOR,
		waypost.KindIssued, waypost.KindTerminate, waypost.KindReport, waypost.KindCase, waypost.KindWithdraw, waypost.KindActivate, waypost.KindCompare, waypost.KindLeave} {
		x := aTicket()
		x.Kind, x.Elements, x.Probes = kind, 0, waypost.CommitRequest("CA", [32]byte{1}, []byte("a request"))
		if kind.Upkeep() {
			x.Class = waypost.Loader
		}
		for _, purpose := range []waypost.Purpose{waypost.IssueRealID, waypost.ChangeSOR, waypost.AcceptAsID, waypost.DriverHistory, waypost.DuplicateResolution, waypost.MaintainPointer} {
			x.Purpose = purpose
			add("ticket: "+string(kind)+" for "+string(purpose), x)
			if kind.Allows(purpose) {
				x.Elements = 1
				add("ticket: "+string(kind)+" with an element", x)
				x.Elements = 0
			}
		}
	}
	return list
}

func toPublish(x *waypost.Ticket) {
	x.Kind, x.Purpose, x.Class = waypost.KindPublish, waypost.MaintainPointer, waypost.Loader
}

// rewritten are payloads that Sign would not make, with good signatures.
func rewritten(t testing.TB) (list []question) {
	good := signTicket(t, aTicket()).Bytes()
	payload := good[:len(good)-64]
	for _, c := range []struct {
		why      string
		old, new []byte
	}{
		{"words in capitals", []byte("\x05check"), []byte("\x05Check")},
		{"a state in lower case", []byte("\x02AZ"), []byte("\x02az")},
		{"no nonce", append([]byte{1}, make([]byte, 15)...), make([]byte, 16)},
		{"no audit secret", sum("tau"), make([]byte, 32)},
		{"no operator", sum("operator"), make([]byte, 32)},
		{"another version of the format", []byte("ticket v1"), []byte("ticket v2")},
	} {
		changed := bytes.Replace(payload, c.old, c.new, 1)
		if bytes.Equal(changed, payload) {
			t.Fatalf("%s: nothing changed", c.why)
		}
		list = append(list, question{
			Name: "ticket: " + c.why, Check: "ticket", Data: append(changed, ed25519.Sign(key("AZ identity"), changed)...),
			With: with{Key: hex.EncodeToString(public("AZ identity"))},
		})
	}
	return list
}

func sum(word string) []byte {
	h := sha256.Sum256([]byte(word))
	return h[:]
}

func aReceipt(ticket waypost.SignedTicket, l *ledger, sequence int) waypost.Receipt {
	return waypost.Receipt{
		Action: waypost.ActionEvaluate, Signer: l.member, Ticket: ticket.ID, Epoch: 1, Inputs: ticket.Probes,
		Outputs: sha256.Sum256([]byte("outputs")), Proof: sha256.Sum256([]byte("proof")), Origin: l.origin(),
		Sequence: uint64(sequence), Deadline: start.Add(time.Hour + time.Minute),
	}
}

func signReceipt(t testing.TB, r waypost.Receipt) []byte {
	t.Helper()
	signed, err := r.Sign(key(r.Signer + " identity"))
	must(t, err)
	return signed.Bytes()
}

func receiptCases(t testing.TB) []question {
	receipt := aReceipt(signTicket(t, aTicket()), &ledger{t: t, member: "keyholder-2"}, 20)
	holder := with{Key: hex.EncodeToString(public("keyholder-2 identity"))}
	list := altered(question{Name: "receipt", Check: "receipt", Data: signReceipt(t, receipt), With: holder})
	found := waypost.Candidates{Ticket: sha256.Sum256([]byte("ticket")), List: []waypost.Candidate{{Reference: waypost.Reference{1}, Owner: "CA"}, {Reference: waypost.Reference{2}, Owner: "NV"}}}
	good := found.Bytes()
	swapped := waypost.Candidates{Ticket: found.Ticket, List: []waypost.Candidate{found.List[1], found.List[0]}}
	twice := waypost.Candidates{Ticket: found.Ticket, List: []waypost.Candidate{found.List[0], found.List[0]}}
	return append(list,
		question{Name: "candidates", Check: "candidates", Data: good, OK: true},
		question{Name: "candidates: out of order", Check: "candidates", Data: swapped.Bytes()},
		question{Name: "candidates: one twice", Check: "candidates", Data: twice.Bytes()},
		question{Name: "candidates: cut short", Check: "candidates", Data: good[:len(good)-1]},
		question{Name: "candidates: a flag that is neither 0 nor 1", Check: "candidates", Data: bytes.Replace(good, []byte("\x00\x00\x02\x01"), []byte("\x02\x00\x02\x01"), 1)},
		question{Name: "candidates: more tokens unreached than a check has", Check: "candidates", Data: bytes.Replace(good, []byte("\x00\x00\x02\x01"), []byte("\x00\x21\x02\x01"), 1)})
}

func bodyCases() (list []question) {
	entry := `{"kind":"evaluate","ordinal":0,"at":1767225601,"ticket":"` + strings.Repeat("40", 32) + `","tau":"` + strings.Repeat("30", 32) +
		`","salt":"` + strings.Repeat("80", 32) + `","body":{"a":"b"}}`
	for _, c := range []struct {
		check, name, text string
		ok                bool
	}{
		{"body", "empty", `{}`, true},
		{"body", "two fields", `{"a":"1","b":"<&> \"quoted\" Peña"}`, true},
		{"body", "names out of order", `{"b":"1","a":"2"}`, false},
		{"body", "a name twice", `{"a":"1","a":"1"}`, false},
		{"body", "white space", `{"a": "1"}`, false},
		{"body", "an escape that is not needed", `{"a":"\u0041"}`, false},
		{"body", "a number", `{"a":1}`, false},
		{"body", "null", `{"a":null}`, false},
		{"body", "a control character", `{"a":"\n"}`, false},
		{"body", "a space that is not ASCII", "{\"a\":\"\u00a0\"}", false},
		{"body", "half a character", `{"a":"\ud800"}`, false},
		{"body", "not UTF-8", "{\"a\":\"\xff\"}", false},
		{"body", "a name in capitals", `{"A":"1"}`, false},
		{"body", "something after it", `{}x`, false},
		{"entry", "good", entry, true},
		{"entry", "white space and another order of fields hold", ` {"ordinal":0, "kind":"evaluate",` + entry[len(`{"kind":"evaluate","ordinal":0,`):], true},
		{"entry", "a field more", strings.Replace(entry, `"at"`, `"x":"","at"`, 1), false},
		{"entry", "a field twice", strings.Replace(entry, `"at"`, `"kind":"evaluate","at"`, 1), false},
		{"entry", "a field less", strings.Replace(entry, `"ordinal":0,`, ``, 1), false},
		{"entry", "a name in capitals", strings.Replace(entry, `"kind"`, `"Kind"`, 1), false},
		{"entry", "hex in capitals", strings.Replace(entry, "30", "AA", 1), false},
		{"entry", "a fraction", strings.Replace(entry, "1767225601", "1767225601.0", 1), false},
		{"entry", "minus zero", strings.Replace(entry, `"ordinal":0`, `"ordinal":-0`, 1), false},
		{"entry", "the year 10000", strings.Replace(entry, "1767225601", "253402300800", 1), false},
		{"entry", "an ordinal that is too large", strings.Replace(entry, `"ordinal":0`, `"ordinal":18446744073709551616`, 1), false},
		{"entry", "a kind that is no word", strings.Replace(entry, `"evaluate"`, `"Evaluate"`, 1), false},
	} {
		list = append(list, question{Name: c.check + ": " + c.name, Check: c.check, Data: []byte(c.text), OK: c.ok})
	}
	return list
}

// treeCases are all proofs of a few sizes, and altered ones.
func treeCases(t testing.TB) (list []question) {
	l := (&ledger{t: t, member: "hub"}).grow(13, "leaf")
	for _, size := range []int{1, 2, 3, 7, 8, 13} {
		root := l.root(size)
		for i := range size {
			proof, err := tlog.ProveRecord(int64(size), int64(i), l)
			must(t, err)
			q := question{
				Name: fmt.Sprintf("leaf %d of %d", i, size), Check: "inclusion", Data: l.leaves[i], OK: true,
				With: with{Index: int64(i), Size: int64(size), Root: hex.EncodeToString(root[:]), Proof: texts(proof)},
			}
			list = append(list, q)
			if i == size/2 {
				list = append(list, wrongProofs(q)...)
			}
		}
		for old := 1; old < size; old++ {
			proof, err := tlog.ProveTree(int64(size), int64(old), l)
			must(t, err)
			before := l.root(old)
			q := question{
				Name: fmt.Sprintf("%d leaves become %d", old, size), Check: "consistency", Data: before[:], OK: true,
				With: with{OldSize: int64(old), Size: int64(size), Root: hex.EncodeToString(root[:]), Proof: texts(proof)},
			}
			list = append(list, q)
			if old == size/2 {
				list = append(list, wrongProofs(q)...)
			}
		}
	}
	return list
}

func wrongProofs(q question) (list []question) {
	add := func(why string, change func(*question)) {
		bad := q
		bad.With.Proof = slices.Clone(q.With.Proof)
		bad.Name, bad.OK = q.Name+": "+why, false
		change(&bad)
		list = append(list, bad)
	}
	zero := base64.StdEncoding.EncodeToString(make([]byte, 32))
	add("altered", func(b *question) { b.Data = flipped(b.Data, 5) })
	add("a hash more", func(b *question) { b.With.Proof = append(b.With.Proof, zero) })
	add("the root of another tree", func(b *question) { b.With.Root = strings.Repeat("00", 32) })
	if n := len(q.With.Proof); n > 0 {
		add("a hash less", func(b *question) { b.With.Proof = b.With.Proof[:n-1] })
		add("a hash that is another", func(b *question) { b.With.Proof[n-1] = zero })
	}
	if q.Check == "inclusion" {
		add("a place beyond the end", func(b *question) { b.With.Index = b.With.Size })
	}
	return list
}

func texts(hashes []tlog.Hash) (list []string) {
	for _, h := range hashes {
		list = append(list, h.String())
	}
	return list
}

func vectorPolicy(t testing.TB, member string) *policyJSON {
	t.Helper()
	l := &ledger{t: t, member: member}
	v, err := translog.LogVerifier(l.origin(), public(member+" log"))
	must(t, err)
	log := fmt.Sprintf("%s+%08x+%s", v.Name(), v.KeyHash(), base64.StdEncoding.EncodeToString(append([]byte{1}, public(member+" log")...)))
	return &policyJSON{log, []groupJSON{
		{"key holders", 2, []string{witnessKey("keyholder-1"), witnessKey("keyholder-2"), witnessKey("keyholder-3")}},
		{"outside witnesses", 1, []string{witnessKey("outside.example")}},
	}}
}

func checkpointCases(t testing.TB) []question {
	l := (&ledger{t: t, member: "hub"}).grow(13, "leaf")
	at, w := start.Add(time.Hour), with{Policy: vectorPolicy(t, "hub")}
	all := []string{"keyholder-1", "keyholder-3", "outside.example"}
	list := altered(question{Name: "checkpoint", Check: "checkpoint", Data: []byte(l.checkpoint(13, at, all...)), With: w})
	add := func(name, text string, ok bool) {
		list = append(list, question{Name: "checkpoint: " + name, Check: "checkpoint", Data: []byte(text), With: w, OK: ok})
	}
	good := l.checkpoint(13, at, all...)
	add("one key holder only", l.checkpoint(13, at, "keyholder-1", "outside.example"), false)
	add("one key holder twice", l.checkpoint(13, at, "keyholder-1", "keyholder-1", "outside.example"), false)
	add("nobody outside", l.checkpoint(13, at, "keyholder-1", "keyholder-2"), false)
	add("a stranger beside them", l.checkpoint(13, at, append(all, "stranger.example")...), true)
	add("a time in the year 10000", l.checkpoint(13, time.Unix(253402300800, 0), all...), false)
	add("of another log", (&ledger{t: t, member: "keyholder-1"}).grow(13, "leaf").checkpoint(13, at, all...), false)
	add("control characters", strings.Replace(good, "\n\n", "\n\t\n\n", 1), false)
	add("no log's signature", good[:strings.Index(good, "— ")]+good[strings.Index(good, "— waypost"):], false)
	add("a cosignature of another size of the log", l.checkpoint(13, at, all[:2]...)+lastLine(l.checkpoint(12, at, all...)), false)
	add("a signature in base64 that is not canonical", loosened(good), false)
	return list
}

func lastLine(s string) string {
	return s[strings.LastIndex(strings.TrimSuffix(s, "\n"), "\n")+1:]
}

// loosened changes the bits of a signature's last character that carry nothing.
func loosened(signed string) string {
	at := strings.LastIndex(signed, "==\n") - 1
	if at < 0 {
		at = strings.LastIndex(signed, "=\n") - 1
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	return signed[:at] + string(alphabet[strings.IndexByte(alphabet, signed[at])+1]) + signed[at+1:]
}

func proofCases(t testing.TB) []question {
	l := (&ledger{t: t, member: "hub"}).grow(5, "leaf")
	e := translog.Entry{Kind: "deliver", Ordinal: 1, At: start, Ticket: sha256.Sum256([]byte("ticket")), Tau: sha256.Sum256([]byte("tau")), Salt: sha256.Sum256([]byte("salt"))}
	body, err := translog.FormatBody(map[string]string{"owner": "CA", "soi": "AZ"})
	must(t, err)
	e.Body = body
	l.add(e.Leaf("hub", l.origin()))
	l.grow(3, "later")
	inclusion, err := tlog.ProveRecord(9, 5, l)
	must(t, err)
	p := translog.Proof{Origin: l.origin(), Index: 5, Leaf: l.leaves[5], Entry: e, Inclusion: inclusion,
		Checkpoint: []byte(l.checkpoint(9, start, "keyholder-1", "keyholder-2", "outside.example"))}
	w := with{Policy: vectorPolicy(t, "hub"), Role: "hub"}
	show := func(name string, change func(*translog.Proof)) question {
		changed := p
		change(&changed)
		data, err := changed.Marshal()
		must(t, err)
		return question{Name: "proof: " + name, Check: "proof", Data: data, With: w}
	}
	good := show("an entry in a log", func(*translog.Proof) {})
	list := altered(good)
	other := good
	other.Name, other.With.Role = "proof: a member of another role", "keyholder"
	return append(list, other,
		show("another place", func(p *translog.Proof) { p.Index = 4 }),
		show("another body", func(p *translog.Proof) { p.Entry.Body = []byte(`{"owner":"NV","soi":"AZ"}`) }),
		show("another ordinal", func(p *translog.Proof) { p.Entry.Ordinal = 0 }),
		show("another time", func(p *translog.Proof) { p.Entry.At = start.Add(time.Second) }),
		show("an audit secret that is another", func(p *translog.Proof) { p.Entry.Tau[0]++ }),
		show("no witness", func(p *translog.Proof) { p.Checkpoint = []byte(l.checkpoint(9, start)) }))
}
