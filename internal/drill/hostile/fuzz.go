package hostile

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// forms in which a body can be sent.
var forms = []string{"application/proto", "application/json", "application/grpc+proto", "application/grpc-web+proto"}

// fuzz sends requests to every call.
func (p *play) fuzz(ctx context.Context, r *result) {
	all := p.findCalls()
	p.shower(ctx, r, all, p.stage.Size.Pick(6, 60, 2000))
}

// shot is one request of the fuzzer.
type shot struct {
	call
	client  *http.Client
	form    string
	content []byte
}

// late is how a call ends that has no answer in time. The machine may have had none: it is
// asked again when there is quiet.
const late = "without an answer in time, asked again"

// shower sends so many bodies to each of the calls.
func (p *play) shower(ctx context.Context, r *result, all []call, each int) {
	const workers = 6
	var next atomic.Int64
	var working sync.WaitGroup
	r.calls = all
	for w := range uint64(workers) {
		working.Go(func() {
			draw := rand.New(rand.NewPCG(p.stage.Seed, w))
			for ctx.Err() == nil {
				n := int(next.Add(1)) - 1
				if n >= each*len(all) {
					return
				}
				c := all[n%len(all)]
				x := shot{call: c, client: c.door.clients[draw.IntN(len(c.door.clients))], form: forms[draw.IntN(len(forms))]}
				content := body(draw, c.input)
				x.content = wrap(draw, x.form, content)
				how, fault := x.fire(ctx, patience)
				if ctx.Err() != nil {
					return
				}
				r.shot(x, how, fault)
				if n%100 == 0 {
					p.stage.Progress("fuzzing", n, each*len(all))
				}
			}
		})
	}
	working.Wait()
}

// shot counts how a request ended.
func (r *result) shot(x shot, how string, fault bool) {
	r.count(how)
	if fault {
		r.wrongf("%s answers %s to %d bytes of %s", x.path, how, len(x.content), x.form)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch how {
	case late:
		r.late = append(r.late, x)
	case notServed:
	default:
		r.served[x.url()] = true
	}
}

// again repeats, when the siege is over, what had no answer in time. A call that hangs then
// is a fault. So is one that was never served: it was not attacked.
func (r *result) again(ctx context.Context, patience time.Duration) {
	repeat := r.late
	r.late = nil
	for _, x := range repeat {
		how, fault := x.fire(ctx, patience)
		if r.shot(x, how, fault); how == late && ctx.Err() == nil {
			r.wrongf("%s hangs over %d bytes of %s", x.path, len(x.content), x.form)
		}
	}
	for _, c := range r.calls {
		if !r.served[c.url()] && ctx.Err() == nil {
			r.wrongf("%s is not served, so it was not attacked", c.url())
		}
	}
}

// notServed is how a call ends of which a door knows nothing.
const notServed = "not served in that form"

// wrap puts the body into the form: half of the time properly.
func wrap(r *rand.Rand, form string, content []byte) []byte {
	switch {
	case form == "application/json":
		return [][]byte{
			[]byte("{}"), content, []byte(strings.Repeat("[", 20_000)), []byte(`{"ticket":"` + strings.Repeat("A", 10_000) + `"}`), []byte(`{"person":null,"records":[{}]}`),
		}[r.IntN(5)]
	case strings.HasPrefix(form, "application/grpc"):
		length := []uint32{uint32(len(content)), uint32(len(content)), 0, 1 << 31, 1<<32 - 1}[r.IntN(5)]
		head := binary.BigEndian.AppendUint32([]byte{byte(r.IntN(3))}, length)
		return append(head, content...)
	}
	return content
}

// fire sends one request and says how it ended, and whether that is a fault: an
// internal error, or an answer that no role gives.
func (x shot) fire(ctx context.Context, patience time.Duration) (how string, fault bool) {
	within, stop := context.WithTimeout(ctx, patience)
	defer stop()
	req, err := http.NewRequestWithContext(within, http.MethodPost, x.url(), bytes.NewReader(x.content))
	if err != nil {
		return err.Error(), true
	}
	req.Header.Set("Content-Type", x.form)
	req.Header.Set("TE", "trailers")
	untimed := *x.client
	untimed.Timeout = 0 // within has it
	res, err := untimed.Do(req)
	if err != nil {
		if within.Err() != nil || timedOut(err) {
			return late, false
		}
		return "connections lost", true
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 4<<20))
	switch {
	case err == nil:
	case within.Err() != nil || timedOut(err):
		return late, false
	default:
		return "answers that break off", true
	}
	return judge(res, answer)
}

func timedOut(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// judge reads the code of an answer in any of the forms.
func judge(res *http.Response, answer []byte) (how string, fault bool) {
	status := res.Header.Get("Grpc-Status")
	if status == "" {
		status = res.Trailer.Get("Grpc-Status")
	}
	if _, after, ok := bytes.Cut(bytes.ToLower(answer), []byte("grpc-status:")); ok && status == "" { // grpc-web has it in the body
		line, _, _ := bytes.Cut(after, []byte("\r\n"))
		status = string(bytes.TrimSpace(line))
	}
	if status != "" {
		return outcome(grpcNames[status], status)
	}
	if res.StatusCode == http.StatusOK {
		return "answered", false
	}
	var said struct{ Code string }
	if json.Unmarshal(answer, &said) == nil && said.Code != "" {
		return outcome(said.Code, said.Code)
	}
	if res.StatusCode == http.StatusNotFound {
		return notServed, false
	}
	return "refused", res.StatusCode == http.StatusInternalServerError
}

// grpcNames are the codes that are told apart.
var grpcNames = map[string]string{"0": "ok", "2": "unknown", "12": "unimplemented", "13": "internal", "15": "data_loss"}

// outcome names how a call ended.
func outcome(name, code string) (how string, fault bool) {
	switch name {
	case "ok":
		return "answered", false
	case "unimplemented":
		return notServed, false
	case "internal", "unknown", "data_loss":
		return "internal errors (" + code + ")", true
	}
	return "refused", false
}

// paths of open doors: what is there, what is not, and what must not be.
var paths = []string{
	"/", "/log/", "/log/hub/1/checkpoint", "/log/hub/1/../../../identity.key", "/log/hub/1/..%2f..%2f..%2fidentity.key", "/log/hub/%2e%2e/%2e%2e/label.key",
	"/log/hub/1/tile/0/999999999999999999999", "/log/hub/1/tile/-1/000", "/log/hub/1/tile/entries/x999/999", "/log/hub/1/evidence/" + "AAAA.json", "/log/hub/1/journal", "/log//1/checkpoint",
	"/roster", "/roster/latest", "/roster/0", "/roster/-1", "/roster/18446744073709551616", "/roster/1/../../governance.json", "/witness/add-checkpoint", "/add-checkpoint", "/metrics", "/debug/pprof/",
}

// secrets are what no open door may show: the beginnings of key files.
var secrets = []string{"PRIVATE KEY", "AGE-SECRET-KEY"}

// fuzzPublic asks open doors for all sorts of things.
func (p *play) fuzzPublic(ctx context.Context, r *result) {
	draw := rand.New(rand.NewPCG(p.stage.Seed, 99))
	each := p.stage.Size.Pick(1, 8, 200)
	for _, name := range sorted(p.doors) {
		d := p.doors[name]
		if d.closed || d.operators {
			continue
		}
		before := r.counted("with status 2xx")
		scheme := "https://"
		if name == "metrics" {
			scheme = "http://"
		}
		for range each {
			for _, path := range append(slices.Clone(paths), "/last/"+p.origin, "/witness/last/"+p.origin) {
				if ctx.Err() != nil {
					return
				}
				for _, method := range []string{"GET", "POST", "DELETE"} {
					p.askOpen(ctx, r, d, method, scheme+d.addr+path, blob(draw))
				}
			}
			p.askOpen(ctx, r, d, "GET", scheme+d.addr+"/log/"+strings.Repeat("x/", 5000), nil)
			p.askOpen(ctx, r, d, "POST", scheme+d.addr+"/roster", bytes.Repeat([]byte("A"), 3<<20))
		}
		if r.counted("with status 2xx") == before {
			r.wrongf("the door %s answers nothing, so its refusals say nothing", name)
		}
	}
}

func (p *play) askOpen(ctx context.Context, r *result, d *door, method, url string, content []byte) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(content))
	if err != nil {
		return // not a URL that can be sent
	}
	res, err := unhurried(d.clients[0]).Do(req)
	if timedOut(err) && ctx.Err() == nil {
		r.wrongf("%s %.80s hangs", method, url)
	}
	if err != nil {
		r.count("cut off")
		return
	}
	defer res.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	r.count(fmt.Sprintf("with status %dxx", res.StatusCode/100))
	if res.StatusCode == http.StatusInternalServerError {
		r.wrongf("%s %.80s: status %d", method, url, res.StatusCode)
	}
	for _, s := range secrets {
		if res.StatusCode == http.StatusOK && method == "GET" && bytes.Contains(answer, []byte(s)) {
			r.wrongf("%s %.80s shows %s", method, url, s)
		}
	}
	if res.StatusCode == http.StatusOK && strings.Contains(url, ".key") {
		r.wrongf("%s %.80s is answered", method, url)
	}
}
