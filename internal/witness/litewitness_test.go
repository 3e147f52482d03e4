package witness

import (
	"crypto/ed25519"
	"net/http"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/witness/litewitnesstest"
	"github.com/waypost/waypost/translog"
)

// TestLitewitness: our client with the witness of torchwood, as it is run in the
// public network of witnesses.
func TestLitewitness(t *testing.T) {
	log := newLog(t, origin, 20)
	branch := log.fork(t, 6, 14)
	key := testKey("litewitness")
	lite := litewitnesstest.Start(t, "witness.example/lite", key)
	lite.AddLog(t, log.origin, log.vkey(t))

	client := &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
	t.Cleanup(client.CloseIdleConnections)
	talk(t, lite.URL, translog.WitnessKey("witness.example/lite", key.Public().(ed25519.PublicKey)), client, log, branch)
}
