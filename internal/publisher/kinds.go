package publisher

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"filippo.io/torchwood"

	"github.com/waypost/waypost/translog"
)

const part = `[A-Za-z0-9][A-Za-z0-9._-]{0,62}`

var (
	partShape  = regexp.MustCompile(`^` + part + `$`)
	looseShape = map[string]*regexp.Regexp{
		"keys":      regexp.MustCompile(`^keys/[0-9a-f]{16}$`),
		"counters":  regexp.MustCompile(`^counters/[0-9]{4}-[0-9]{2}-[0-9]{2}$`),
		"seen":      regexp.MustCompile(`^seen/` + part + `/` + part + `$`),
		"successor": regexp.MustCompile(`^successor/` + part + `$`),
		"evidence":  regexp.MustCompile(`^evidence/[A-Za-z0-9][A-Za-z0-9_-]{0,126}\.json$`),
	}
)

// kind is what a path stands for.
type kind struct {
	top   string // "checkpoint", "entries", "tile", "sealed", "keys", "counters", "seen", "successor" or "evidence"
	width int    // of a tile or bundle; 0 for others
	// dir is the folder of partial objects beside it, where it is a tile or bundle.
	dir string
	max int // bytes
}

// kindOf returns what a path of a log stands for; ok only where it is an object
// that spec/ledger.md names, spelled canonically.
func kindOf(path string) (k kind, ok bool) {
	limit, err := translog.CheckObject(path)
	if err != nil {
		return kind{}, false
	}
	top, _, _ := strings.Cut(path, "/")
	k = kind{top: top, max: limit}
	switch top {
	case "tile":
		t, err := torchwood.ParseTilePath(path)
		if t.L == -1 {
			k.top = "entries"
		}
		k.width, k.dir = t.W, hashShape(t.L).partialDir(t.N)
		return k, err == nil
	case "sealed":
		n, w, err := translog.ParseSealedPath(path)
		k.width, k.dir = w, shape(translog.SealedPath).partialDir(n)
		return k, err == nil
	}
	shape, loose := looseShape[top]
	return k, !loose || shape.MatchString(path)
}

// lasting holds for what never changes: tiles, and keys.
func (k kind) lasting() bool { return k.top == "tile" || k.top == "entries" || k.top == "keys" }

// check refuses what cannot be the content of an object of that kind.
func (k kind) check(content []byte) error {
	switch k.top {
	case "tile":
		if len(content) != k.max {
			return fmt.Errorf("a tile of %d hashes has %d bytes, not %d", k.width, k.max, len(content))
		}
	case "entries":
		if len(content) != k.max {
			return fmt.Errorf("a bundle of %d leaves has %d bytes, not %d", k.width, k.max, len(content))
		}
		for ; len(content) > 0; content = content[entrySize:] {
			if !bytes.HasPrefix(content, []byte{0, translog.LeafSize}) {
				return fmt.Errorf("a leaf has %d bytes", translog.LeafSize)
			}
		}
	case "sealed":
		_, err := translog.ParseSealed(content, k.width)
		return err
	case "counters", "successor", "evidence":
		if !json.Valid(content) {
			return errors.New("it is not JSON")
		}
	}
	return nil
}

// Place returns where a log lies in a folder of logs, "<member>/<instance>",
// given its origin, "<domain>/<member>/<instance>".
func Place(origin string) (string, error) {
	parts := strings.Split(origin, "/")
	ok := len(parts) == 3
	for _, p := range parts {
		ok = ok && partShape.MatchString(p)
	}
	if !ok {
		return "", fmt.Errorf("publisher: the origin of a log is <domain>/<member>/<instance>, each to be the name of a folder, not %q", origin)
	}
	return parts[1] + "/" + parts[2], nil
}
