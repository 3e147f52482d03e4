package translog

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"
)

// Sizes of the objects of a log, in bytes. A tile has the size of its width.
const (
	entrySize   = 2 + LeafSize // of a leaf in an entry bundle
	maxSealed   = torchwood.TileWidth * (4 + MaxBlob)
	maxWrapped  = 256 << 10
	maxCounters = 2 * MaxBody
	maxEvidence = 16 << 20
	maxTopTile  = 6 // the level of tiles at which maxSize leaves are one hash
)

// CheckObject returns the largest size, in bytes, of the object of a log at
// path, as spec/ledger.md lists them. It refuses every other path; those that
// it accepts are relative, have forward slashes, and lead nowhere else.
func CheckObject(path string) (limit int, err error) {
	kind, rest, _ := strings.Cut(path, "/")
	ok := false
	switch kind {
	case "checkpoint":
		limit, ok = MaxCheckpoint, path == kind
	case "tile":
		t, err := torchwood.ParseTilePath(path)
		// There are malformed paths that it takes for others.
		if ok = err == nil && torchwood.TilePath(t) == path && t.L <= maxTopTile && t.N <= maxSize>>torchwood.TileHeight; ok {
			limit = t.W * unit(t)
		}
	case "sealed":
		_, width, err := ParseSealedPath(path)
		limit, ok = width*(4+MaxBlob), err == nil
	case "keys":
		limit, ok = maxWrapped, len(rest) == 2*keyIDSize && isHex(rest)
	case "counters":
		_, err := time.Parse(time.DateOnly, rest)
		limit, ok = maxCounters, err == nil
	case "seen":
		member, instance, _ := strings.Cut(rest, "/")
		limit, ok = MaxCheckpoint, isFile(member) && isFile(instance)
	case "successor":
		limit, ok = maxCounters, isFile(rest)
	case "evidence":
		id, isJSON := strings.CutSuffix(rest, ".json")
		limit, ok = maxEvidence, isJSON && isFile(id)
	}
	if !ok {
		return 0, fmt.Errorf("%.100q is not the path of an object of a log", path)
	}
	return limit, nil
}

// unit is the size of one element of a tile: a hash, or a leaf in a bundle.
func unit(t tlog.Tile) int {
	if t.L == -1 {
		return entrySize
	}
	return tlog.HashSize
}

func isHex(s string) bool {
	return strings.Trim(s, "0123456789abcdef") == ""
}

// isFile holds for names that are safe in any file system and URL.
func isFile(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		word := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !word && (i == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 128
}

// SealedPath returns the object that holds the sealed entries of bundle n, of
// which width are there: 1 to 256. It has the shape of a C2SP tile path.
func SealedPath(n int64, width int) string {
	t := tlog.Tile{H: torchwood.TileHeight, L: -1, N: n, W: width}
	return "sealed/" + strings.TrimPrefix(torchwood.TilePath(t), "tile/entries/")
}

// ParseSealedPath is the inverse of SealedPath.
func ParseSealedPath(path string) (n int64, width int, err error) {
	rest, ok := strings.CutPrefix(path, "sealed/")
	t, err := torchwood.ParseTilePath("tile/entries/" + rest)
	if !ok || err != nil || t.N > maxSize>>torchwood.TileHeight {
		return 0, 0, errors.New("not the path of a bundle of sealed entries")
	}
	return t.N, t.W, nil
}
