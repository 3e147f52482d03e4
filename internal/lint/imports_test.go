package lint

import (
	"slices"
	"strings"
)

// rooms is the order of the repository: a room imports only rooms above it.
// What lies in a folder of a room belongs to the room. ARCHITECTURE.md has the
// same list, with a line about each.
var rooms = []string{
	"", // the vocabulary
	"matchkey",
	"toprf",
	"translog",
	"api",
	"internal/durable",
	"internal/loopback",
	"internal/roster",
	"internal/rpc",
	"internal/seal",
	"internal/store",
	"internal/shards",
	"internal/journal",
	"internal/witness",
	"internal/publisher",
	"internal/follow",
	"internal/metrics",
	"internal/quota",
	"internal/policy",
	"internal/compare",
	"internal/planted",
	"internal/turns",
	"internal/errand",
	"internal/records",
	"internal/driver",
	"internal/questions",
	"internal/move",
	"internal/duplicate",
	"internal/ceremony",
	"internal/keyholder",
	"internal/hub",
	"internal/gateway",
	"internal/install",
	"internal/doctor",
	"internal/recovery",
	"internal/web",
	"internal/statefile",
	"internal/population",
	"internal/cluster",
	"internal/audit",
	"internal/matcheval",
	"internal/simulate",
	"internal/drill",
	"internal/bench",
	"internal/demo",
	"cmd",
	"spec",
	"internal/lint",
}

// roles run on different machines of different owners: what they share is the
// wire, never code of each other.
var roles = []string{"internal/keyholder", "internal/hub", "internal/gateway"}

// keepers are imports that only some places may have.
var keepers = []struct {
	imported string
	only     []string // files or folders
	why      string
}{
	{"github.com/oasisprotocol/curve25519-voi", []string{"toprf/group.go"}, "the curve library is replaceable as long as one file knows it"},
	{"math/rand", []string{"internal/population", "internal/simulate", "internal/drill"}, "randomness that a key or a nonce could be made of comes from crypto/rand"},
	{"C", []string{"internal/bench/holder/libsodium.go"}, "the program is built without cgo"},
	{"github.com/antzucaro/matchr", []string{"matchkey/internal/phonetic/phonetic_test.go"}, "its licence is the GPL: a test may run it, the program may not contain it"},
	{"database/sql", []string{"internal/store"}, "SQL has one door"},
	{"modernc.org/sqlite", []string{"internal/store"}, "SQL has one door"},
}

// outside is what a package without input and output does not import.
var outside = []string{"net", "os", "io", "database", "syscall", "log", "embed", "path/filepath",
	"connectrpc.com", "google.golang.org", "modernc.org", "golang.org/x/sys"}

// importRules judges the imports of the program; tests may use what they like,
// except what has a keeper other than math/rand.
func importRules(files []source) (findings []string) {
	for _, f := range files {
		for _, imported := range f.imports() {
			for _, k := range keepers {
				if within(imported, k.imported) && !kept(f, k.only) && !(f.test && k.imported == "math/rand") {
					findings = append(findings, f.path+" imports "+imported+": "+k.why)
				}
			}
			if f.test {
				continue
			}
			if f.dir() == "" && slices.ContainsFunc(outside, func(o string) bool { return within(imported, o) }) {
				findings = append(findings, f.path+" imports "+imported+": the vocabulary does no input or output")
			}
			if within(imported, module) {
				if finding := order(f.dir(), strings.TrimPrefix(strings.TrimPrefix(imported, module), "/")); finding != "" {
					findings = append(findings, f.path+" "+finding)
				}
			}
		}
	}
	return findings
}

func kept(f source, only []string) bool {
	return slices.ContainsFunc(only, func(place string) bool { return within(f.path, place) })
}

// order says what is wrong with an import of one folder by another.
func order(from, to string) string {
	importer, imported := room(from), room(to)
	switch {
	case importer < 0:
		return "lies in " + from + ", which is not a room: add it to rooms and to ARCHITECTURE.md"
	case imported < 0:
		return "imports " + to + ", which is not a room"
	case slices.Contains(roles, rooms[importer]) && slices.Contains(roles, rooms[imported]) && importer != imported:
		return "imports " + to + ": roles do not import each other"
	case imported > importer:
		return "imports " + to + ", which is below it: a room imports only rooms above it"
	}
	return ""
}

// room is the index of the room that a folder belongs to, or -1.
func room(dir string) int {
	return slices.IndexFunc(rooms, func(r string) bool { return dir == r || r != "" && within(dir, r) })
}

// placed: every package lies in a room, imported or not.
func placed(files []source) (findings []string) {
	for dir := range packages(files) {
		if room(dir) < 0 {
			findings = append(findings, dir+" is not a room: add it to rooms and to ARCHITECTURE.md")
		}
	}
	return findings
}
