package audit

import (
	"maps"
	"testing"

	"github.com/waypost/waypost/translog"
)

// FuzzEachField: the fast reader of bodies and the plain one agree on every
// input.
func FuzzEachField(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":"1"}`, `{"a":"\"x\\","b":"é"}`, `{"b":"1","a":"2"}`, `{"a":"1","a":"2"}`, `{"a":"\u0041"}`,
		`{"a":"1",}`, `{,"a":"1"}`, `{"a" :"1"}`, `null`, `{"a":"\/"}`, "{\"a\":\"\u2028\"}", "{\"a\":\"\xff\"}", "{\"a\":\"\ufffd\"}", `{"a":"<&>"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		want, err := translog.ParseBody(body)
		got := map[string]string{}
		ok := eachField(body, func(name, value []byte) { got[string(name)] = string(value) })
		if ok != (err == nil) {
			t.Fatalf("%q: accepted %v, the plain reader says %v", body, ok, err)
		}
		if ok && !maps.Equal(got, want) {
			t.Fatalf("%q: %v, want %v", body, got, want)
		}
	})
}
