package doctor

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/loopback"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/translog"
)

// TestPlainWitness: a witness on this machine may be reached without TLS, and is not there
// once it is stopped.
func TestPlainWitness(t *testing.T) {
	key, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	_ = server.Listener.Close()
	if server.Listener, err = loopback.Listen(); err != nil { // where nobody else listens once it is stopped
		t.Fatal(err)
	}
	server.Start()
	defer server.Close()
	defer Patience()()
	dir := t.TempDir()
	outside := roster.Witness{Key: translog.WitnessKey("plain.example", key), URL: server.URL}
	if err := install.Create(dir, install.Plan{States: []waypost.Jurisdiction{"AZ", "CA"}, Holders: 3, Threshold: 2,
		Quota: roster.Quota{TicketsPerDay: 9}, Witnesses: []roster.Witness{outside}, Now: time.Now()}); err != nil {
		t.Fatal(err)
	}
	about := func() (found []Finding) {
		for _, f := range Examine(t.Context(), filepath.Join(dir, "hub"), Options{}).Findings {
			if f.What == "witness plain.example" || f.What == "witnesses" {
				found = append(found, f)
			}
		}
		return found
	}
	if f := about(); len(f) != 2 || f[0].Level != OK || !strings.HasSuffix(f[0].Words, "answers, without TLS") || !strings.HasSuffix(f[1].Words, "and 1 of 2 outside") {
		t.Errorf("the plain witness answers, the other does not: %+v", f)
	}
	server.Close()
	if f := about(); len(f) != 2 || !strings.Contains(f[0].Words, "nothing listens there") || !strings.HasSuffix(f[1].Words, "and 0 of 2 outside") {
		t.Errorf("none answers: %+v", f)
	}
}

// TestVouched: who has no key in the roster is vouched for by an authority, through others
// that are shown, under the host of its URL, with a port or without.
func TestVouched(t *testing.T) {
	now := time.Now()
	type pair struct {
		cert *x509.Certificate
		key  *ecdsa.PrivateKey
	}
	made := func(serial int64, by *pair, hosts ...string) pair {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		model := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "of the test " + string(rune('0'+serial))}, DNSNames: hosts,
			NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), IsCA: len(hosts) == 0, BasicConstraintsValid: true}
		if by == nil {
			by = &pair{model, key}
		}
		der, err := x509.CreateCertificate(rand.Reader, model, by.cert, key.Public(), by.key)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return pair{cert, key}
	}
	root := made(1, nil)
	middle := made(2, &root)
	leaf := made(3, &middle, "witness.example")
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.cert.Raw, middle.cert.Raw}, PrivateKey: leaf.key}}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	defer Patience()()
	shown := knock(t.Context(), server.URL, "/", tls.Certificate{}, time.Now).shown
	if len(shown) != 2 {
		t.Fatalf("%d certificates were shown", len(shown))
	}
	authorities, strangers := x509.NewCertPool(), x509.NewCertPool()
	authorities.AddCert(root.cert)
	stranger := made(4, nil)
	strangers.AddCert(stranger.cert)
	for _, url := range []string{"https://witness.example", "https://witness.example:8443", "https://witness.example/w"} {
		if err := vouched(url, shown, authorities, now); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, url := range []string{"https://other.example", "https://other.example:8443", "https://127.0.0.1"} {
		if vouched(url, shown, authorities, now) == nil {
			t.Errorf("%s: the certificate of another host was accepted", url)
		}
	}
	if vouched("https://witness.example", shown, strangers, now) == nil {
		t.Error("a stranger's authority vouched for it")
	}
	if vouched("https://witness.example", shown[:1], authorities, now) == nil {
		t.Error("an authority vouched for what it has not signed")
	}
	if vouched("https://witness.example", shown, authorities, now.Add(2*time.Hour)) == nil {
		t.Error("it was accepted after its end")
	}
}
