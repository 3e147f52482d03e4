package translog

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func vectorProof(t testing.TB) Proof {
	t.Helper()
	p, err := ParseProof(readVectors(t).Log.Proof)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestProof(t *testing.T) {
	p, policy := vectorProof(t), vectorPolicy(t)
	doc, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, doc, "", "\t"); err != nil {
		t.Fatal(err)
	}
	var loose any // what another program writes: in order of names, with escapes
	if err := json.Unmarshal(doc, &loose); err != nil {
		t.Fatal(err)
	}
	other, err := json.Marshal(loose)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{doc, append(indented.Bytes(), '\n'), other, bytes.ReplaceAll(doc, []byte("—"), []byte(`\u2014`))} {
		got, err := ParseProof(b)
		if err != nil || !cmp.Equal(got, p) {
			t.Fatalf("%s: %v", b, err)
		}
		e, cp, err := got.Verify(policy, "keyholder")
		if err != nil || !cmp.Equal(e, p.Entry) || cp.N != 3 || cp.Cosigned.Unix() != start.Unix()+95 {
			t.Errorf("%+v, %+v, %v", e, cp, err)
		}
	}
	if _, _, err := p.Verify(policy, "hub"); !errors.Is(err, ErrDamaged) {
		t.Error("of another role:", err)
	}
	elsewhere := policy
	elsewhere.Origin, elsewhere.Log = "waypost.test/hub/1", logSigner(t, "waypost.test/hub/1", 1).Verifier
	if _, _, err := p.Verify(elsewhere, "keyholder"); err == nil {
		t.Error("of another log")
	}
	policy.Groups[0].Need = 4
	if _, _, err := p.Verify(policy, "keyholder"); !errors.Is(err, ErrUnwitnessed) {
		t.Error("not witnessed:", err)
	}
}

func TestProofStrict(t *testing.T) {
	b, err := vectorProof(t).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	for name, bad := range map[string]string{
		"empty":              "",
		"null":               "null",
		"a list":             "[" + doc + "]",
		"two":                doc + doc,
		"something after":    doc + "x",
		"a field twice":      `{"index":1,` + doc[1:],
		"a field more":       `{"note":"",` + doc[1:],
		"a body field twice": strings.Replace(doc, `"body":{`, `"body":{"ticket":"x",`, 1),
		"a name in capitals": strings.Replace(doc, `"index"`, `"Index"`, 1),
		"no index":           strings.Replace(doc, `"index":1,`, ``, 1),
		"another number":     strings.Replace(doc, `"index":1,`, `"index":1.0,`, 1),
		"no proof":           strings.Replace(doc, `"proof":[`, `"proof":null,"x":[`, 1),
		"hex in capitals":    strings.Replace(doc, "4a4b4c", "4A4b4c", 1),
		"a short salt":       strings.Replace(doc, `"808182`, `"8182`, 1),
		"a line in base64":   strings.Replace(doc, `"leaf":"`, `"leaf":"\n`, 1),
		"a body of numbers":  strings.Replace(doc, `"body":{"ticket":`, `"body":{"ticket":1,"x":`, 1),
		"a body of nothing":  strings.Replace(doc, `"body":{`, `"body":null,"x":{`, 1),
		"deep":               strings.Repeat("[", 1000) + strings.Repeat("]", 1000),
		"not UTF-8":          strings.Replace(doc, "—", "\xff", 1),
		"very long":          doc + strings.Repeat(" ", maxProof),
	} {
		if bad == doc {
			t.Errorf("%s: nothing was changed", name)
		}
		if p, err := ParseProof([]byte(bad)); err == nil {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

// Whoever alters a proof anywhere has none; TestAlteredCheckpoint has the rest.
func TestAlteredProof(t *testing.T) {
	p, policy := vectorProof(t), vectorPolicy(t)
	policy.Groups[0].Need = 3
	doc, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for i := range bytes.Index(doc, []byte(`"checkpoint":"`)) + 20 {
		bad := append([]byte{}, doc...)
		bad[i] ^= 1 << (i % 7)
		got, err := ParseProof(bad)
		if err != nil {
			continue
		}
		if _, _, err := got.Verify(policy, "keyholder"); err == nil {
			t.Fatalf("byte %d: %s", i, bad)
		}
	}
}

func TestEntryRapid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawEntry(t)
		b, err := FormatEntry(e)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParseEntry(b); err != nil || !cmp.Equal(got, e) {
			t.Fatalf("%s: %v\n%s", b, err, cmp.Diff(got, e))
		}
		if fields, err := ParseBody(e.Body); err != nil {
			t.Fatal(fields, err)
		}
	})
	for _, e := range []Entry{{}, {Kind: "a", At: start, Body: []byte("{ }")}, {Kind: "a", At: time.Unix(-1, 0), Body: []byte("{}")}} {
		if b, err := FormatEntry(e); err == nil {
			t.Errorf("%s", b)
		}
	}
}

// FuzzProof: what is accepted says one thing only.
func FuzzProof(f *testing.F) {
	p, policy := vectorProof(f), vectorPolicy(f)
	doc, err := p.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(doc)
	f.Add([]byte(`{"index":1,` + string(doc[1:])))
	f.Add(bytes.ReplaceAll(doc, []byte("—"), []byte(`\u2014`)))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ParseProof(b)
		if err != nil {
			return
		}
		again, err := got.Marshal()
		if err != nil || !sameJSON(b, again) {
			t.Fatalf("%s, %v", again, err)
		}
		if e, _, err := got.Verify(policy, "keyholder"); err == nil && (!cmp.Equal(e, p.Entry) || got.Index != 1) {
			t.Fatalf("a forgery: %+v", got)
		}
	})
}

// FuzzEntry: likewise.
func FuzzEntry(f *testing.F) {
	b, err := FormatEntry(vectorProof(f).Entry)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"kind":"a","ordinal":0,"at":0,"body":{}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEntry(b)
		if err != nil {
			return
		}
		if again, err := FormatEntry(e); err != nil || !sameJSON(b, again) {
			t.Fatalf("%s, %v", again, err)
		}
	})
}

// FuzzBody: a body has one form.
func FuzzBody(f *testing.F) {
	for _, body := range []string{`{}`, `{"soi":"AZ"}`, `{"b":"","a":""}`, `{"a":"","a":""}`, `{"a":"\u0041"}`, `{"a":"<&>"}`, ` {}`, `null`, `{"a":1}`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		fields, err := ParseBody(body)
		if err != nil {
			return
		}
		if again, err := FormatBody(fields); err != nil || !bytes.Equal(again, body) {
			t.Fatalf("%s, %v", again, err)
		}
	})
}

func TestFormatBody(t *testing.T) {
	if b, err := FormatBody(nil); err != nil || string(b) != "{}" {
		t.Errorf("%s, %v", b, err)
	}
	if b, err := FormatBody(map[string]string{"b_2": "<&>\"\\ é", "a": ""}); err != nil || string(b) != `{"a":"","b_2":"<&>\"\\ é"}` {
		t.Errorf("%s, %v", b, err)
	}
	for _, bad := range []map[string]string{{"": "x"}, {"A": "x"}, {"a": "\n"}, {"a": "\xff"}, {"a": "\u2028"}, {"a": strings.Repeat("x", MaxBody)}} {
		if b, err := FormatBody(bad); err == nil {
			t.Errorf("%s", b)
		}
	}
}
