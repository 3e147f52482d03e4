package hostile

import (
	"math/rand/v2"
	"net/http"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/waypost/waypost/internal/drill/drilltest"
)

// TestDrill: nothing falls over, nothing is lost, and what is planted is found.
func TestDrill(t *testing.T) {
	if lines := drilltest.Play(t, Drill, 2); len(lines) != 13 {
		t.Errorf("%d lines", len(lines))
	}
}

// TestBodies: the fuzzer makes requests of every type, of many sizes, from its seed
// alone.
func TestBodies(t *testing.T) {
	calls := 0
	eachCall(func(service, method protoreflect.Name, input protoreflect.MessageDescriptor) {
		calls++
		one, two := rand.New(rand.NewPCG(1, 2)), rand.New(rand.NewPCG(1, 2))
		lengths := make(map[int]bool)
		for range 20 {
			b := body(one, input)
			if string(b) != string(body(two, input)) {
				t.Fatalf("%s.%s: the same seed makes two bodies", service, method)
			}
			lengths[len(b)] = true
		}
		if input.Fields().Len() > 1 && len(lengths) < 5 {
			t.Errorf("%s.%s: only %d sizes", service, method, len(lengths))
		}
	})
	if calls < 50 {
		t.Errorf("only %d calls were found", calls)
	}
}

// TestJudge: a fault is told from a refusal in every form of an answer.
func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		header http.Header
		answer string
		fault  bool
	}{
		"answered":          {200, nil, "", false},
		"refused":           {400, nil, `{"code":"invalid_argument"}`, false},
		"internal":          {500, nil, `{"code":"internal"}`, true},
		"a bare failure":    {500, nil, "oh", true},
		"not found":         {404, nil, "", false},
		"gRPC refused":      {200, http.Header{"Grpc-Status": {"3"}}, "", false},
		"gRPC internal":     {200, http.Header{"Grpc-Status": {"13"}}, "", true},
		"gRPC-web internal": {200, nil, "\x80\x00\x00\x00\x10grpc-status: 13\r\n", true},
	} {
		res := &http.Response{StatusCode: c.status, Header: c.header}
		if res.Header == nil {
			res.Header = http.Header{}
		}
		if how, fault := judge(res, []byte(c.answer)); fault != c.fault {
			t.Errorf("%s: %s, fault %t", name, how, fault)
		}
	}
}
