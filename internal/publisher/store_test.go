package publisher

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/translog"
)

// far is a place for copies: a store, over a wire that can be cut.
type far struct {
	*Store
	r    *rig
	down error
	puts int
	cut  int // a put that fails after it was done
}

func (f *far) Name() string { return "hub" }

func (f *far) Put(ctx context.Context, origin string, objects []Object, checkpoint []byte) error {
	bytes := 0
	for _, o := range objects {
		bytes += len(o.Content)
	}
	if bytes > maxRequest {
		f.r.t.Errorf("a request of %d bytes", bytes)
	}
	if f.down != nil {
		return f.down
	}
	err := f.Store.Put(ctx, "hub", f.r.policy(), objects, checkpoint)
	if f.puts++; f.puts == f.cut {
		return errors.New("the answer was lost")
	}
	return err
}

func newFar(r *rig) *far {
	f := &far{Store: NewStore(r.t.TempDir(), false, r.clock.now), r: r}
	r.uploads = []Uploader{f}
	return f
}

func (f *far) folder() string { return filepath.Join(f.dir, "hub", "1") }

func (f *far) check() translog.Checkpoint {
	f.r.t.Helper()
	return checkLog(f.r.t, f.folder(), f.r.policy(), f.r.source)
}

// TestUpload: a copy follows, whatever fails on the way, and gets everything
// again where it was lost.
func TestUpload(t *testing.T) {
	r := newRig(t)
	hub := newFar(r)
	hub.cut = 3
	r.source.append(20_000) // several requests
	p := r.open()
	if err := p.Flush(ctx); err == nil {
		t.Error("a lost answer went unnoticed")
	}
	r.flush(p)
	hub.check()

	hub.down = errors.New("the hub is down")
	r.source.append(300)
	if err := p.Flush(ctx); err == nil || p.Status().Uploads["hub"] == "" {
		t.Errorf("the hub is down: %v, status %+v", err, p.Status())
	}
	if c := r.check(); c.N != 20_300 {
		t.Error("a hub that is down holds the log up")
	}
	hub.down = nil
	r.source.counters = append(r.source.counters, journal.Counter{Day: "2026-01-02", Opened: []byte(`{"ask":"3"}`)})
	r.source.erase(5, 700, 20_290)
	must(t, openFolder(r.folder(), nil).write("seen/keyholder-1/1", []byte("a checkpoint\n")))
	r.flush(p)
	if c := hub.check(); c.N != 20_301 {
		t.Errorf("the copy has %d entries", c.N)
	}
	for _, path := range []string{"counters/2026-01-02", "seen/keyholder-1/1"} {
		if _, err := os.Stat(filepath.Join(hub.folder(), path)); err != nil {
			t.Errorf("the copy lacks %s", path)
		}
	}
	r.source.erase(6) // shown by the next process
	p = r.open()
	r.flush(p)
	hub.check()
	puts := hub.puts
	r.source.append(1)
	r.flush(p)
	if hub.puts != puts+1 {
		t.Errorf("%d requests for one entry", hub.puts-puts)
	}
	checkLeft(t, hub.folder(), 20_302, 20_303)

	must(t, os.RemoveAll(hub.folder()))
	hub.Store = NewStore(hub.dir, false, r.clock.now)
	p = r.open()
	r.flush(p)
	if c := hub.check(); c.N != 20_303 {
		t.Errorf("the copy that was lost has %d entries", c.N)
	}
}

// TestRunUploads: a publisher that runs copies by itself, and tries again.
func TestRunUploads(t *testing.T) {
	r := newRig(t)
	hub := newFar(r)
	hub.cut = 1
	r.source.append(10)
	p := r.open()
	run, stop := context.WithTimeout(ctx, 2*time.Minute)
	var running sync.WaitGroup
	running.Go(func() { p.Run(run) })
	for run.Err() == nil {
		if signed, _ := hub.Checkpoint(ctx, origin); signed != nil && len(p.Status().Uploads) == 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	stop()
	running.Wait()
	hub.check()
}

// TestLarge: a bundle larger than a request comes in parts.
func TestLarge(t *testing.T) {
	r := newRig(t)
	hub := newFar(r)
	r.source.append(300)
	for i := range 60 {
		row := &r.source.rows[i]
		row.Sealed = append(row.Key[:], bytes.Repeat([]byte{1}, 40+journal.MaxBody)...)
	}
	hub.cut = 4
	p := r.open()
	if err := p.Flush(ctx); err == nil {
		t.Error("a lost answer went unnoticed")
	}
	r.flush(p)
	hub.check()
}

// TestAheadElsewhere: a copy that is longer than the log here, or another, is
// said to be so.
func TestAheadElsewhere(t *testing.T) {
	r := newRig(t)
	hub := newFar(r)
	r.source.append(300)
	r.flush(r.open())
	must(t, os.RemoveAll(r.dir))
	r.source.rows = r.source.rows[:200]
	for _, w := range r.witnesses {
		*w = *newWitness(w.name, w.now)
	}
	p := r.open()
	if err := p.Flush(ctx); err == nil || !strings.Contains(err.Error(), "hub holds 300 entries") {
		t.Errorf("a longer copy: %v", err)
	}
	p.work.Wait()
	for i := range r.source.rows {
		r.source.rows[i] = testRow(i, "other")
	}
	r.source.append(300)
	r.dir = t.TempDir()
	for _, w := range r.witnesses {
		*w = *newWitness(w.name, w.now)
	}
	p = r.open()
	if err := p.Flush(ctx); err == nil || !strings.Contains(err.Error(), "others than here") {
		t.Errorf("another history: %v", err)
	}
	p.work.Wait()
	hub.r.source = &memory{}
	hub.r.source.append(300)
	hub.check()
}

// TestStoreRefuses: what the store does not take, and why.
func TestStoreRefuses(t *testing.T) {
	r := newRig(t)
	hub := newFar(r)
	r.source.append(600)
	r.flush(r.open())
	policy := r.policy()
	signed, err := hub.Checkpoint(ctx, origin)
	must(t, err)
	bundle, err := os.ReadFile(hub.folder() + "/sealed/000")
	must(t, err)
	larger := longer(t, r, 700)
	for _, c := range []struct {
		name, member string
		object       Object
		checkpoint   []byte
		code         waypost.Code
	}{
		{"another's log", "AZ", Object{Path: "seen/a/1", Content: []byte("x")}, nil, waypost.PermissionDenied},
		{"a path upwards", "hub", Object{Path: "seen/../../x", Content: []byte("x")}, nil, waypost.InvalidArgument},
		{"a hidden file", "hub", Object{Path: "seen/.a/1", Content: []byte("x")}, nil, waypost.InvalidArgument},
		{"the file of signatures", "hub", Object{Path: "signed", Content: []byte("x")}, nil, waypost.InvalidArgument},
		{"the checkpoint as an object", "hub", Object{Path: "checkpoint", Content: signed}, nil, waypost.InvalidArgument},
		{"a path spelled otherwise", "hub", Object{Path: "tile/0/0000", Content: make([]byte, 256*32)}, nil, waypost.InvalidArgument},
		{"another tile", "hub", Object{Path: "tile/0/000", Content: make([]byte, 256*32)}, nil, waypost.AlreadyExists},
		{"a short tile", "hub", Object{Path: "tile/0/005", Content: make([]byte, 32)}, nil, waypost.InvalidArgument},
		{"a bundle of other leaves", "hub", Object{Path: "tile/entries/007.p/1", Content: make([]byte, 66)}, nil, waypost.InvalidArgument},
		{"another sealed entry", "hub", Object{Path: "sealed/000", Content: bytes.Replace(bundle, []byte{9, 9, 9}, []byte{9, 8, 9}, 1)}, nil, waypost.AlreadyExists},
		{"a bundle cut off", "hub", Object{Path: "sealed/000", Content: bundle[:1000]}, nil, waypost.InvalidArgument},
		{"a large counter", "hub", Object{Path: "counters/2026-01-02", Content: bytes.Repeat([]byte(" "), 1<<17)}, nil, waypost.InvalidArgument},
		{"evidence that is no JSON", "hub", Object{Path: "evidence/a.json", Content: []byte("{")}, nil, waypost.InvalidArgument},
		{"a part without its begin", "hub", Object{Path: "evidence/a.json", Content: []byte("{"), Offset: 5, Size: 6}, nil, waypost.NotFound},
		{"a small part", "hub", Object{Path: "evidence/a.json", Content: []byte("{"), Offset: 0, Size: 9}, nil, waypost.InvalidArgument},
		{"a part beyond the end", "hub", Object{Path: "evidence/a.json", Content: []byte("{{{{"), Offset: 0, Size: 2}, nil, waypost.InvalidArgument},
		{"a checkpoint without cosignatures", "hub", Object{}, bytes.SplitAfter(signed, []byte("hub/1 "))[0], waypost.PermissionDenied},
		{"a checkpoint without its tiles", "hub", Object{}, larger, waypost.InvalidArgument},
		{"a smaller checkpoint", "hub", Object{}, longer(t, newRig(t), 500), waypost.AlreadyExists},
	} {
		t.Run(c.name, func(t *testing.T) {
			var objects []Object
			if c.object.Path != "" {
				objects = append(objects, c.object)
			}
			err := hub.Store.Put(ctx, c.member, policy, objects, c.checkpoint)
			var e *waypost.Error
			if !errors.As(err, &e) || e.Code != c.code {
				t.Errorf("want %s, have %v", c.code, err)
			}
			hub.check()
		})
	}
	hub.limit = 10_000
	err = hub.Store.Put(ctx, "hub", policy, []Object{{Path: "seen/a/1", Content: []byte("x")}}, nil)
	if e := new(waypost.Error); !errors.As(err, &e) || e.Code != waypost.QuotaExceeded {
		t.Errorf("beyond the day's limit: %v", err)
	}
	r.clock.add(24 * time.Hour)
	must(t, hub.Store.Put(ctx, "hub", policy, []Object{{Path: "seen/a/1", Content: []byte("x")}}, nil))
}

// longer is a good checkpoint of a log with that many entries.
func longer(t *testing.T, r *rig, size int) []byte {
	other := *r
	other.dir, other.uploads, other.source = t.TempDir(), nil, &memory{}
	other.source.append(size)
	p := other.open()
	other.flush(p)
	return p.shown.Load().note
}

// TestHandler: objects are served with their type and how long they last, and
// nothing else is.
func TestHandler(t *testing.T) {
	r := newRig(t)
	r.source.append(300)
	r.source.counters = append(r.source.counters, journal.Counter{Day: "2026-01-02", Opened: []byte(`{}`)})
	r.flush(r.open())
	must(t, os.Symlink("/etc/hostname", r.folder()+"/counters/2026-01-03"))
	must(t, os.MkdirAll(r.folder()+"/evidence/a.json", 0o755))
	h := Handler(r.dir)
	const forever, never = "public, max-age=31536000, immutable", "no-cache"
	for _, c := range []struct {
		method, path string
		status       int
		kind, cache  string
	}{
		{"GET", "checkpoint", 200, "text/plain; charset=utf-8", never},
		{"HEAD", "checkpoint", 200, "text/plain; charset=utf-8", never},
		{"GET", "tile/0/000", 200, "application/octet-stream", forever},
		{"GET", "tile/entries/001.p/44", 200, "application/octet-stream", forever},
		{"GET", "sealed/000", 200, "application/octet-stream", never},
		{"GET", "keys/0000000000000000", 200, "application/octet-stream", forever},
		{"GET", "counters/2026-01-02", 200, "application/json", never},
		{"POST", "checkpoint", 405, "", ""},
		{"GET", "", 404, "", ""},
		{"GET", "tile/0/", 404, "", ""},
		{"GET", "tile/0/001", 404, "", ""},
		{"GET", "signed", 404, "", ""},
		{"GET", "progress", 404, "", ""},
		{"GET", "tile/0/.000.tmp", 404, "", ""},
		{"GET", "../../hub/1/checkpoint", 404, "", ""},
		{"GET", "evidence/a.json", 404, "", ""},
		{"GET", "counters/2026-01-03", 500, "", ""},
	} {
		req := httptest.NewRequest(c.method, "/", nil)
		req.URL.Path = "/log/hub/1/" + c.path
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if w.Code != c.status {
			t.Errorf("%s %s: status %d, not %d", c.method, c.path, w.Code, c.status)
		}
		if w.Code == http.StatusOK && (w.Header().Get("Content-Type") != c.kind || w.Header().Get("Cache-Control") != c.cache) {
			t.Errorf("%s: %v", c.path, w.Header())
		}
		if body, _ := io.ReadAll(w.Body); c.method == "HEAD" && len(body) > 0 {
			t.Error("HEAD has a body")
		}
	}
}

// FuzzPut: whatever is brought, only objects of the right shape get a place,
// and their path is the one way to name it.
func FuzzPut(f *testing.F) {
	f.Add("tile/0/000.p/1", make([]byte, 32), 0, 0)
	f.Add("tile/entries/x001/000", make([]byte, 66), 0, 0)
	f.Add("sealed/000.p/1", make([]byte, 4), 0, 0)
	f.Add("evidence/a-1.json", []byte("{"), 0, 2)
	f.Add("keys/0123456789abcdef", []byte("age"), 0, 0)
	f.Add("seen/CA/../x", []byte("x"), 0, 0)
	f.Fuzz(func(t *testing.T, path string, content []byte, offset, size int) {
		l := &storedLog{folder: openFolder(t.TempDir(), nil), origin: origin}
		l.pruner = newPruner(l.folder)
		_, err := l.put([]Object{{path, content, offset, size}}, dayLimit)
		stored, readErr := os.ReadFile(filepath.Join(l.root, filepath.FromSlash(path)))
		if err != nil || size > len(content) {
			return
		}
		if readErr != nil || !bytes.Equal(stored, content) {
			t.Fatalf("%q was taken and is not there: %v", path, readErr)
		}
		if k, ok := kindOf(path); !ok || len(content) > k.max || hidden(filepath.Base(path)) || strings.Contains(path, "..") && !strings.Contains(path, "seen/") {
			t.Fatalf("%q was taken", path)
		}
	})
}
