package cluster_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/follow"
	"github.com/waypost/waypost/internal/publisher"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/statefile"
	"github.com/waypost/waypost/internal/witness/litewitnesstest"
	"github.com/waypost/waypost/translog"
)

// TestOtherVerifiers: programs that others wrote witness and verify the ledgers
// of a whole exchange. litewitness is one of its two outside witnesses, both of
// which the roster asks for; Tessera's fsck and x/mod/sumdb/tlog then read what
// was published.
func TestOtherVerifiers(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const name = "witness.example/lite"
	lite := litewitnesstest.Start(t, name, private)
	conf := config(t.TempDir())
	conf.Witnesses = []roster.Witness{{Key: translog.WitnessKey(name, public), URL: lite.URL}}
	c, err := cluster.Open(t.Context(), conf)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, m := range c.Roster().Members {
		lite.AddLog(t, "waypost.test/"+m.Name+"/1", vkeyOf(t, m))
	}
	loader := cluster.NewLoader(counter(t, conf.Dir, "CA"), 0, func(int) {})
	for i := range 20 {
		r := waypost.Record{ID: fmt.Sprintf("CA-%d", i), Person: person(i), CardNumber: fmt.Sprintf("C%06d", i), Kind: waypost.Licence, Status: waypost.Valid}
		if err := loader.Add(t.Context(), statefile.Row{Line: i + 2, Record: r}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := loader.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(t, c)
	publishing, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	for err = c.Publish(publishing); err != nil && publishing.Err() == nil; err = c.Publish(publishing) {
		time.Sleep(200 * time.Millisecond) // litewitness was asked before it knew the logs
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range c.Roster().Members {
		t.Run(m.Name, func(t *testing.T) { readByOthers(t, conf.Dir, c.Roster(), m, name) })
	}
}

func vkeyOf(t *testing.T, m roster.Member) string {
	t.Helper()
	vkey, err := note.NewEd25519VerifierKey("waypost.test/"+m.Name+"/1", m.LogKey)
	if err != nil {
		t.Fatal(err)
	}
	return vkey
}

func readByOthers(t *testing.T, dir string, r *roster.Roster, m roster.Member, lite string) {
	folder := filepath.Join(dir, "hub", "log", m.Name, "1") // a gateway's, where the public reads it
	if m.Role == roster.KeyHolder {
		folder = filepath.Join(dir, m.Name, "log", m.Name, "1")
	}
	policy, err := follow.Policy(r, m, "waypost.test/"+m.Name+"/1")
	if err != nil {
		t.Fatal(err)
	}
	signed, err := os.ReadFile(filepath.Join(folder, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	checkpoint, err := policy.Verify(signed)
	if err != nil || checkpoint.N == 0 || !bytes.Contains(signed, []byte("— "+lite+" ")) {
		t.Fatalf("%v; the checkpoint is\n%s", err, signed)
	}
	// x/mod: every leaf by an inclusion proof, read from the tiles.
	tiles, err := torchwood.NewTileFS(os.DirFS(folder))
	if err != nil {
		t.Fatal(err)
	}
	hashes := torchwood.TileHashReaderWithContext(t.Context(), checkpoint.Tree, tiles)
	log, err := torchwood.NewClient(tiles)
	if err != nil {
		t.Fatal(err)
	}
	n := int64(0)
	for i, leaf := range log.AllEntries(t.Context(), checkpoint.Tree, 0) {
		proof, err := tlog.ProveRecord(checkpoint.N, i, hashes)
		if err != nil {
			t.Fatal(err)
		}
		if err := tlog.CheckRecord(proof, checkpoint.N, checkpoint.Hash, i, tlog.RecordHash(leaf)); err != nil {
			t.Fatal(err)
		}
		n++
	}
	if err := log.Err(); err != nil || n != checkpoint.N {
		t.Errorf("%d of %d leaves verified: %v", n, checkpoint.N, err)
	}
	fsck(t, filepath.Dir(filepath.Dir(folder)), m.Name, vkeyOf(t, m))
}

// fsck has Tessera's checker read a member's log as the public door shows it.
func fsck(t *testing.T, logs, member, vkey string) {
	t.Helper()
	program := os.Getenv("WAYPOST_FSCK")
	if _, file, _, ok := runtime.Caller(0); ok && program == "" {
		program = filepath.Join(filepath.Dir(file), "../../bin/fsck")
	}
	if _, err := os.Stat(program); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("fsck is not there: make test builds it")
		}
		t.Skip("fsck of github.com/transparency-dev/tessera is not there: make test builds it")
	}
	key := filepath.Join(t.TempDir(), "log.pub")
	if err := os.WriteFile(key, []byte(vkey), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Minute)
	defer stop()
	door := httptest.NewServer(publisher.Handler(logs))
	defer door.Close()
	out, err := exec.CommandContext(ctx, program, "--storage_url="+door.URL+"/log/"+member+"/1/", "--public_key="+key, "--ui=false").CombinedOutput()
	if err != nil {
		t.Errorf("fsck: %v\n%s", err, out)
	}
}
