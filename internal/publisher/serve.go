package publisher

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// Handler serves the logs in dir, <member>/<instance>/ each, under /log/ to
// anybody: the objects that spec/ledger.md names and nothing else, read only.
func Handler(dir string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "logs are read with GET", http.StatusMethodNotAllowed)
			return
		}
		file, k, ok := splitPath(r.URL.Path)
		if !ok {
			http.Error(w, "there is no such object in a log", http.StatusNotFound)
			return
		}
		serveObject(w, r, dir, file, k)
	})
}

// splitPath maps a URL path to a file. Each part has one spelling, so that
// neither .. nor a hidden file can be meant.
func splitPath(path string) (file string, k kind, ok bool) {
	rest, ok := strings.CutPrefix(path, "/log/")
	parts := strings.SplitN(rest, "/", 3)
	if !ok || len(parts) != 3 || !partShape.MatchString(parts[0]) || !partShape.MatchString(parts[1]) {
		return "", k, false
	}
	k, ok = kindOf(parts[2])
	return rest, k, ok
}

func serveObject(w http.ResponseWriter, r *http.Request, dir, name string, k kind) {
	// OpenInRoot follows no link out of the folder of logs.
	file, err := os.OpenInRoot(dir, filepath.FromSlash(name))
	if err != nil {
		status, text := http.StatusInternalServerError, "the object cannot be read"
		if errors.Is(err, fs.ErrNotExist) {
			status, text = http.StatusNotFound, "the log has no such object now"
		}
		http.Error(w, text, status)
		return
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		http.Error(w, "the log has no such object now", http.StatusNotFound)
		return
	}
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", k.caching())
	h.Set("Content-Type", k.contentType())
	http.ServeContent(w, r, "", info.ModTime(), io.ReadSeeker(file))
}

func (k kind) caching() string {
	if k.lasting() {
		return "public, max-age=31536000, immutable"
	}
	return "no-cache"
}

func (k kind) contentType() string {
	switch k.top {
	case "checkpoint", "seen":
		return "text/plain; charset=utf-8"
	case "counters", "successor", "evidence":
		return "application/json"
	}
	return "application/octet-stream"
}
