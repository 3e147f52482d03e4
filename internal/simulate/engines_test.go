package simulate_test

import (
	"maps"
	"path/filepath"
	"testing"

	"github.com/waypost/waypost/internal/simulate"
	"github.com/waypost/waypost/internal/store/pgtest"
)

// onServer keeps the databases of worlds on a PostgreSQL server.
type onServer struct {
	*pgtest.Cluster
	names map[string]string // path of the file that there would be -> database
}

func (o onServer) url(path, _ string) (string, error) {
	if o.names[path] == "" {
		o.names[path] = o.Create()
	}
	return o.Local(o.names[path]), nil
}

func (o onServer) copy(from, to string) error {
	for path, name := range maps.Clone(o.names) {
		if filepath.Dir(path) == from {
			o.names[filepath.Join(to, filepath.Base(path))] = o.Copy(name)
		}
	}
	return nil
}

// TestEngines: with databases on a PostgreSQL server a seed plays the world that it
// plays with files, to the last byte: every answer of every statement that the members
// run is the same on both, in every order that they come to, crashes included. What
// keeps databases otherwise, over several servers for example, is tested by other
// Databases.
func TestEngines(t *testing.T) {
	if raced {
		t.Skip("played without the race detector, which makes it last minutes: make simulate")
	}
	server := onServer{pgtest.Start(t, 1)[0], make(map[string]string)}
	files, others := stage(t), stageOn(t, &simulate.Databases{URL: server.url, Copy: server.copy})
	for _, seed := range []uint64{3, 8} {
		if a, b := play(t, files, seed), play(t, others, seed); a.Trace != b.Trace {
			t.Errorf("seed %d: with files %s (%s), on a server %s (%s)", seed, a.Trace, a, b.Trace, b)
		}
	}
	if len(server.names) < 3*2*len(simulate.States) {
		t.Errorf("only %d databases were on the server", len(server.names))
	}
}
