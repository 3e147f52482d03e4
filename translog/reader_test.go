package translog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"
)

// readers are the two ways to read a log, and both must do all of this.
func readers(t *testing.T, dir string) map[string]Reader {
	t.Helper()
	server := httptest.NewServer(http.StripPrefix("/log/hub/1/", http.FileServer(http.Dir(dir))))
	t.Cleanup(server.Close)
	web, err := HTTP(server.Client(), server.URL+"/log/hub/1")
	if err != nil {
		t.Fatal(err)
	}
	folder, err := Dir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]Reader{"folder": folder, "web": web}
}

func TestReaders(t *testing.T) {
	l := newLog(t, 700, 300)
	for _, object := range []string{"tile/0/001.p/44", "tile/entries/001.p/44"} {
		l.remove(t, object) // the whole ones are there
	}
	l.write(t, "checkpoint", make([]byte, MaxCheckpoint))
	l.write(t, "seen/hub/1", make([]byte, MaxCheckpoint+1))
	l.write(t, "tile/0/000", make([]byte, 256*tlog.HashSize+1))
	l.write(t, "tile/0/002.p/188", make([]byte, 188*tlog.HashSize-1))
	if err := os.MkdirAll(filepath.Join(l.dir, "counters", "2026-01-01"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, r := range readers(t, l.dir) {
		t.Run(name, func(t *testing.T) {
			leaves, err := collect(t.Context(), r, l.at(t, 300), 200)
			if err != nil || len(leaves) != 100 {
				t.Error(len(leaves), err)
			}
			if b, err := r.ReadEndpoint(t.Context(), "checkpoint"); err != nil || len(b) != MaxCheckpoint {
				t.Error(len(b), err)
			}
			for _, absent := range []string{"keys/0123456789abcdef", "tile/3/000", "sealed/003", "counters/2026-01-02"} {
				if _, err := r.ReadEndpoint(t.Context(), absent); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: %v", absent, err)
				}
			}
			for _, long := range []string{"seen/hub/1", "tile/0/000"} {
				if _, err := r.ReadEndpoint(t.Context(), long); !errors.Is(err, ErrDamaged) {
					t.Errorf("%s: %v", long, err)
				}
			}
			for _, bad := range []string{"", "../checkpoint", "/checkpoint", "tile/0/../0/000", ".git/config", "counters/2026-01-01"} {
				if b, err := r.ReadEndpoint(t.Context(), bad); err == nil {
					t.Errorf("%q: %d bytes", bad, len(b))
				}
			}
			for _, tile := range []tlog.Tile{
				{H: 8, L: 0, N: 0, W: 256}, {H: 8, L: 0, N: 2, W: 188}, {H: 8, L: 1, N: 0, W: 2}, {H: 7, L: 0, N: 0, W: 128},
				{H: 8, L: 0, N: 0, W: 0}, {H: 8, L: 0, N: 0, W: 257}, {H: 8, L: -2, N: 0, W: 1}, {H: 8, L: 0, N: -1, W: 1}, {H: 8, L: 63, N: 0, W: 1},
			} {
				data, err := r.ReadTiles(t.Context(), []tlog.Tile{tile})
				if good := tile.L == 1; good != (err == nil) || good && len(data[0]) != tile.W*tlog.HashSize {
					t.Errorf("%+v: %v", tile, err)
				}
			}
			if _, err := r.ReadTiles(t.Context(), []tlog.Tile{{H: 8, L: 0, N: 9, W: 5}}); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "tile/0/009.p/5") {
				t.Error("a tile that is not there:", err)
			}
		})
	}
}

func TestDir(t *testing.T) {
	if _, err := Dir(filepath.Join(t.TempDir(), "nothing")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	l := newLog(t, 1)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Dir(secret); err == nil {
		t.Error("a file is read as a log")
	}
	if err := os.Symlink(secret, filepath.Join(l.dir, "checkpoint")); err != nil {
		t.Skip("this system has no links:", err)
	}
	if b, err := l.reader(t).ReadEndpoint(t.Context(), "checkpoint"); err == nil {
		t.Errorf("a link leads out of the folder, to %q", b)
	}
}

func TestHTTP(t *testing.T) {
	for _, bad := range []string{"", "log/hub", "ftp://a/log", "https://", "https://u:p@a/log", "https://a/log?x=1", "https://a/log#x", "%"} {
		if _, err := HTTP(nil, bad); err == nil {
			t.Errorf("%q is taken for the place of a log", bad)
		}
	}
	httpPauses = []time.Duration{time.Millisecond, time.Millisecond}
	var asked atomic.Int64
	answer := func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		answer(w, r)
	}))
	defer server.Close()
	r, err := HTTP(nil, server.URL+"/x/")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc
		asked  int64
		want   error
	}{
		{"gone", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusGone) }, 1, fs.ErrNotExist},
		{"forbidden", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusForbidden) }, 1, nil},
		{"elsewhere", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/y/checkpoint", http.StatusFound) }, 1, nil},
		{"busy", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTooManyRequests) }, 3, nil},
		{"broken", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusBadGateway) }, 3, nil},
		{"cut off", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "10")
			fmt.Fprint(w, "12345")
		}, 3, nil},
		{"endless", func(w http.ResponseWriter, r *http.Request) {
			for range 100 {
				w.Write(make([]byte, MaxCheckpoint/10))
			}
		}, 1, ErrDamaged},
		{"said to be huge", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Length", "1000000000") }, 1, ErrDamaged},
	} {
		asked.Store(0)
		answer = tc.answer
		b, err := r.ReadEndpoint(t.Context(), "checkpoint")
		if err == nil || tc.want != nil && !errors.Is(err, tc.want) || asked.Load() != tc.asked {
			t.Errorf("%s: %d bytes, asked %d times, %v", tc.name, len(b), asked.Load(), err)
		}
	}
	asked.Store(0)
	answer = func(w http.ResponseWriter, r *http.Request) {
		if asked.Load() < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprint(w, r.URL.Path)
	}
	if b, err := r.ReadEndpoint(t.Context(), "checkpoint"); err != nil || string(b) != "/x/checkpoint" {
		t.Errorf("%q, %v", b, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.ReadEndpoint(ctx, "checkpoint"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestCheckObject(t *testing.T) {
	for path, limit := range map[string]int{
		"checkpoint": MaxCheckpoint, "tile/0/000": 8192, "tile/0/x001/x234/067.p/1": 32, "tile/6/000": 8192,
		"tile/entries/000": 256 * 66, "tile/entries/x001/000.p/255": 255 * 66, "sealed/000.p/2": 2 * (4 + MaxBlob), "sealed/x001/999": maxSealed,
		"keys/0123456789abcdef": maxWrapped, "counters/2028-02-29": maxCounters, "seen/gateway-CA/1": MaxCheckpoint, "evidence/00ff.json": maxEvidence,
	} {
		if n, err := CheckObject(path); err != nil || n != limit {
			t.Errorf("%s: %d, %v", path, n, err)
		}
	}
	for _, path := range []string{
		"", "/", ".", "..", "checkpoint/", "/checkpoint", "Checkpoint", "checkpoint/x", "tile", "tile/", "tile/0", "tile/0/0", "tile/0/1000", "tile/00/000",
		"tile/-1/000", "tile/7/000", "tile/data/000", "tile/entries/000.p/256", "tile/entries/000.p/0", "tile/entries/000.p/01", "tile/0/x000/000", "tile/0/001.p",
		"tile/0/x999/x999/x999/x999/x999/x999/999", "tile/0/../../x", "tile/8/0/000", "sealed/", "sealed/0", "sealed/data/000", "sealed/000/", "sealed/x999/x999/x999/x999/x999/999",
		"keys/", "keys/0123456789ABCDEF", "keys/0123456789abcde", "keys/0123456789abcdef0", "keys/..", "counters/2026-02-29", "counters/2026-1-1", "counters/2026-01-01.json",
		"seen/hub", "seen/hub/", "seen/../1", "seen/hub/.1", "seen/hub/1/2", "seen//1", "evidence/.json", "evidence/a", "evidence/../a.json", "evidence/a/b.json", "evidence/" + strings.Repeat("a", 129) + ".json",
		"evidence/a\x00.json", "evidence/a%2e.json", "evidence/é.json", `evidence/a\b.json`, "config.json", "log.key",
	} {
		if _, err := CheckObject(path); err == nil {
			t.Errorf("%q is accepted", path)
		}
	}
}

// FuzzObject: what is accepted leads into the folder, and tiles have one path.
func FuzzObject(f *testing.F) {
	for _, path := range []string{"checkpoint", "tile/0/x001/x234/067.p/1", "tile/entries/000.p/255", "tile/data/000", "sealed/000.p/2",
		"keys/0123456789abcdef", "counters/2028-02-29", "seen/gateway-CA/1", "evidence/00ff.json", "evidence/../x.json"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		limit, err := CheckObject(path)
		if err != nil {
			return
		}
		if !fs.ValidPath(path) || !filepath.IsLocal(filepath.FromSlash(path)) || strings.ContainsAny(path, "\\%?#:~ ") || strings.Contains(path, "/.") || limit < 1 || limit > maxSealed {
			t.Fatalf("%q, %d", path, limit)
		}
		if tile, err := torchwood.ParseTilePath(path); err == nil && torchwood.TilePath(tile) != path {
			t.Fatalf("%q is another name of %q", path, torchwood.TilePath(tile))
		}
		if n, width, err := ParseSealedPath(path); err == nil && SealedPath(n, width) != path {
			t.Fatalf("%q is another name of %q", path, SealedPath(n, width))
		}
	})
}

// FuzzBundle: a bundle has one form.
func FuzzBundle(f *testing.F) {
	var bundle []byte
	for i := range int64(2) {
		bundle, _ = torchwood.AppendTileEntry(bundle, testLeaf(i))
	}
	f.Add(bundle, 2)
	f.Add(bundle[1:], 2)
	f.Add([]byte{0, 64}, 0)
	f.Fuzz(func(t *testing.T, data []byte, width int) {
		if width < 1 || width > 256 {
			return
		}
		leaves, err := parseBundle(tlog.Tile{H: 8, L: -1, W: width}, data)
		if err != nil {
			return
		}
		var again []byte
		for _, leaf := range leaves {
			again, _ = torchwood.AppendTileEntry(again, leaf)
		}
		if len(leaves) != width || !bytes.Equal(again, data) {
			t.Fatal("it reads as another")
		}
	})
}
