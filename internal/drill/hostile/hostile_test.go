package hostile

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/drill/drilltest"
)

// TestDrill: nothing falls over, nothing is lost, and what is planted is found.
func TestDrill(t *testing.T) {
	if lines := drilltest.Play(t, Drill, 2); len(lines) != 15 {
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

// TestHanging: a call that hangs is asked again, and is a fault if it hangs without a siege
// too; so is a call that nobody serves.
func TestHanging(t *testing.T) {
	for _, quiet := range []bool{true, false} {
		var sieged atomic.Bool // not at first: that warms the connection
		release := make(chan struct{})
		server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			if sieged.Load() {
				<-release
			}
		}))
		c := call{path: "/x", door: &door{addr: strings.TrimPrefix(server.URL, "https://")}}
		x := shot{call: c, client: server.Client(), form: forms[0]}
		if how, _ := x.fire(t.Context(), lastPatience); how != "answered" {
			t.Fatal(how)
		}
		r := newResult()
		r.calls = []call{c}
		sieged.Store(true)
		const short = 300 * time.Millisecond
		how, fault := x.fire(t.Context(), short)
		if r.shot(x, how, fault); how != late || len(r.bad) > 0 || r.served[c.url()] {
			t.Fatalf("under siege: %s, %v", how, r.bad)
		}
		again := short
		if quiet {
			again = lastPatience
			sieged.Store(false)
		}
		r.again(t.Context(), again)
		if wrong := strings.Join(r.bad, "; "); quiet == strings.Contains(wrong, "hangs") || quiet == strings.Contains(wrong, "is not served") {
			t.Errorf("quiet %t: %q", quiet, wrong)
		}
		close(release)
		server.Close()
	}
}

// TestProbe: a door that is shut, or that answers with a fault or with nothing, is not open.
func TestProbe(t *testing.T) {
	status, answer := http.StatusOK, "roster"
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(answer))
	}))
	d := &door{addr: strings.TrimPrefix(server.URL, "https://")}
	b := probe{method: http.MethodGet, path: "/roster/latest"}
	if err := b.try(t.Context(), d); err != nil {
		t.Error(err)
	}
	if answer = ""; b.try(t.Context(), d) == nil {
		t.Error("an empty answer passes for a roster")
	}
	if status = http.StatusServiceUnavailable; b.try(t.Context(), d) == nil {
		t.Error("a refusal passes for an answer")
	}
	if server.Close(); b.try(t.Context(), d) == nil {
		t.Error("a shut door passes for an open one")
	}
}

// TestBend: what is answered though it must not be, or refused for another reason, is wrong;
// so is what is refused though it is by the rules.
func TestBend(t *testing.T) {
	denied := waypost.Errorf(waypost.PermissionDenied, "not signed by NV")
	for name, c := range map[string]struct {
		bend
		err   error
		wrong bool
	}{
		"answered by the rules":      {bend{}, nil, false},
		"refused by the rules":       {bend{}, denied, true},
		"answered, must be refused":  {bend{code: waypost.PermissionDenied}, nil, true},
		"refused for its reason":     {bend{code: waypost.PermissionDenied, words: "signed by"}, denied, false},
		"refused with another code":  {bend{code: waypost.Expired}, denied, true},
		"refused with other words":   {bend{code: waypost.PermissionDenied, words: "environment"}, denied, true},
		"unreachable is not refused": {bend{code: waypost.PermissionDenied}, errors.New("connection refused"), true},
	} {
		r := newResult()
		if c.judge(t.Context(), r, name, c.err); (len(r.bad) > 0) != c.wrong {
			t.Errorf("%s: %v", name, r.bad)
		}
	}
}
