package roster

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost"
)

// party is a member with a real certificate.
type party struct {
	cert tls.Certificate
	key  []byte // PEM
	spki Digest
}

func newParty(t *testing.T, name string) party {
	t.Helper()
	certPEM, keyPEM, spki, err := NewCertificate(name, []string{"localhost", "127.0.0.1"}, 90*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return party{cert: pair(t, certPEM, keyPEM), key: keyPEM, spki: spki}
}

func pair(t *testing.T, certPEM, keyPEM []byte) tls.Certificate {
	t.Helper()
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// network is a roster of today with real certificates.
type network struct {
	roster           *Roster
	clock            *clock
	view             *View
	hub, holder, ca  party
	stranger, nevada party
}

func newNetwork(t *testing.T) *network {
	n := &network{roster: sample(t), clock: &clock{at: time.Now()},
		hub: newParty(t, "hub"), holder: newParty(t, "keyholder-1"), ca: newParty(t, "CA"),
		nevada: newParty(t, "NV"), stranger: newParty(t, "CA")}
	n.roster.NotBefore = time.Now().UTC().Truncate(time.Second)
	n.roster.NotAfter = n.roster.NotBefore.Add(MaxValidity)
	for name, p := range map[string]party{"hub": n.hub, "keyholder-1": n.holder, "CA": n.ca, "NV": n.nevada} {
		change(n.roster, name, func(m *Member) { m.CertKey = p.spki })
	}
	n.view = genesis(t, n.roster, n.clock)
	return n
}

// install makes a successor that begins now.
func (n *network) install(t *testing.T, f func(*Roster)) {
	t.Helper()
	r := next(t, n.roster)
	r.NotBefore, r.NotAfter = n.roster.NotBefore, n.roster.NotAfter
	f(r)
	install(t, n.view, r)
	n.roster = r
}

// dial connects client to server over loopback and passes a byte each way. It
// returns the errors of both sides.
func dial(t *testing.T, server, client *tls.Config) (clientState tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	done := make(chan error, 1)
	go func() {
		raw, err := listener.Accept()
		if err != nil {
			done <- err
			return
		}
		conn := tls.Server(raw, server)
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		if err := conn.Handshake(); err != nil {
			done <- err
			return
		}
		buf := make([]byte, 1)
		if _, err := io.ReadFull(conn, buf); err != nil {
			done <- err
			return
		}
		_, err = conn.Write(buf)
		done <- err
	}()
	raw, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	config := client.Clone()
	config.ServerName = "localhost" // names the session in the cache
	conn := tls.Client(raw, config)
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	clientErr = conn.Handshake()
	if clientErr == nil {
		_, _ = conn.Write([]byte{1})
		_, clientErr = io.ReadFull(conn, make([]byte, 1))
	}
	state := conn.ConnectionState()
	_ = conn.Close()
	return state, <-done, clientErr
}

func wantInside(t *testing.T, err error, code waypost.Code, words string) {
	t.Helper()
	var e *waypost.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v; want %q", err, words)
	}
	wantError(t, e, code, words)
}

func TestTLS(t *testing.T) {
	n := newNetwork(t)
	server := ServerTLS(n.holder.cert, n.view, Gateway)
	client := ClientTLS(n.ca.cert, n.view, "keyholder-1")

	t.Run("member", func(t *testing.T) {
		state, serverErr, clientErr := dial(t, server, client)
		if serverErr != nil || clientErr != nil {
			t.Fatal(serverErr, clientErr)
		}
		if state.Version != tls.VersionTLS13 || state.CurveID != tls.X25519MLKEM768 {
			t.Errorf("version %x, group %v", state.Version, state.CurveID)
		}
		peer, err := n.view.Peer(&state)
		if err != nil || peer.Name != "keyholder-1" {
			t.Errorf("peer %q: %v", peer.Name, err)
		}
	})
	t.Run("certificate the roster does not name", func(t *testing.T) {
		_, serverErr, clientErr := dial(t, server, ClientTLS(n.stranger.cert, n.view, "keyholder-1"))
		wantInside(t, serverErr, waypost.Unauthenticated, "certificate key is not in roster version 1")
		if clientErr == nil {
			t.Error("the client noticed nothing")
		}
	})
	t.Run("no certificate", func(t *testing.T) {
		bare := client.Clone()
		bare.Certificates, bare.ClientSessionCache = nil, nil
		_, serverErr, _ := dial(t, server, bare)
		if serverErr == nil || !strings.Contains(serverErr.Error(), "certificate") {
			t.Errorf("got %v", serverErr)
		}
	})
	t.Run("certificate without its key", func(t *testing.T) {
		thief := n.ca.cert
		thief.PrivateKey = n.stranger.cert.PrivateKey
		_, serverErr, _ := dial(t, server, ClientTLS(thief, n.view, "keyholder-1"))
		if serverErr == nil || !strings.Contains(serverErr.Error(), "signature") {
			t.Errorf("got %v", serverErr)
		}
	})
	t.Run("wrong role", func(t *testing.T) {
		_, serverErr, _ := dial(t, server, ClientTLS(n.hub.cert, n.view, "keyholder-1"))
		wantInside(t, serverErr, waypost.PermissionDenied, "hub is a hub")
	})
	t.Run("any role where none is named", func(t *testing.T) {
		_, serverErr, clientErr := dial(t, ServerTLS(n.holder.cert, n.view), ClientTLS(n.hub.cert, n.view, "keyholder-1"))
		if serverErr != nil || clientErr != nil {
			t.Error(serverErr, clientErr)
		}
	})
	t.Run("wrong peer", func(t *testing.T) {
		_, _, clientErr := dial(t, server, ClientTLS(n.ca.cert, n.view, "hub"))
		wantInside(t, clientErr, waypost.Unauthenticated, "keyholder-1 answered where hub was expected")
	})
	t.Run("server the roster does not name", func(t *testing.T) {
		_, _, clientErr := dial(t, ServerTLS(n.stranger.cert, n.view), client)
		wantInside(t, clientErr, waypost.Unauthenticated, "not in roster")
	})
	t.Run("old protocol", func(t *testing.T) {
		old := client.Clone()
		old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
		_, serverErr, _ := dial(t, server, old)
		if serverErr == nil || !strings.Contains(serverErr.Error(), "version") {
			t.Errorf("got %v", serverErr)
		}
	})
}

func TestTLSInTime(t *testing.T) {
	n := newNetwork(t)
	server := ServerTLS(n.holder.cert, n.view)

	// A fresh certificate under the same key needs no new roster.
	short, spki, err := RenewCertificate(n.ca.key, "CA", nil, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if spki != n.ca.spki {
		t.Fatal("renewal changed the pin")
	}
	renewed := ClientTLS(pair(t, short, n.ca.key), n.view, "keyholder-1")
	if _, serverErr, clientErr := dial(t, server, renewed); serverErr != nil || clientErr != nil {
		t.Fatal(serverErr, clientErr)
	}
	n.clock.set(time.Now().Add(2 * time.Hour))
	_, serverErr, _ := dial(t, server, ClientTLS(pair(t, short, n.ca.key), n.view, "keyholder-1"))
	wantInside(t, serverErr, waypost.Expired, "the certificate of CA expired on")

	n.clock.set(time.Now().Add(-2 * time.Hour))
	cert, err := x509.ParseCertificate(n.ca.cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, checkDates("CA", cert, n.clock.now()), waypost.Expired, "check both clocks")

	n.clock.set(n.roster.NotAfter)
	_, serverErr, clientErr := dial(t, server, ClientTLS(n.ca.cert, n.view, "keyholder-1"))
	wantInside(t, clientErr, waypost.Expired, "roster version 1 ran out")
	if serverErr == nil {
		t.Error("the server noticed nothing")
	}
}

// A session ticket does not outlive a membership, and an open connection is
// judged again at each request.
func TestTLSRemoval(t *testing.T) {
	n := newNetwork(t)
	server := ServerTLS(n.holder.cert, n.view)
	client := ClientTLS(n.nevada.cert, n.view, "keyholder-1")
	for i := range 2 {
		state, serverErr, clientErr := dial(t, server, client)
		if serverErr != nil || clientErr != nil {
			t.Fatal(serverErr, clientErr)
		}
		if state.DidResume != (i == 1) {
			t.Fatalf("connection %d: resumed %v", i+1, state.DidResume)
		}
	}
	// What the server knows of the open connection.
	leaf, err := x509.ParseCertificate(n.nevada.cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	open := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
	member, err := n.view.Peer(open)
	if err != nil {
		t.Fatal(err)
	}

	n.install(t, func(r *Roster) { drop(r, "NV") })
	_, serverErr, _ := dial(t, server, client)
	wantInside(t, serverErr, waypost.Unauthenticated, "not in roster version 2")
	_, err = n.view.Peer(open)
	wantError(t, err, waypost.Unauthenticated, "not in roster version 2")
	wantError(t, n.view.Allowed(member), waypost.Unauthenticated, "NV is not in roster version 2")
	_, err = n.view.Peer(nil)
	wantError(t, err, waypost.Unauthenticated, "no certificate")
}

func TestCertificateErrors(t *testing.T) {
	_, _, _, err := NewCertificate("CA", nil, 0)
	wantError(t, err, waypost.InvalidArgument, "valid for some time")
	for _, pem := range []string{"", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		_, _, err := RenewCertificate([]byte(pem), "CA", nil, time.Hour)
		wantError(t, err, waypost.InvalidArgument, "does not hold")
	}
}

func BenchmarkHandshake(b *testing.B) {
	certPEM, keyPEM, spki, err := NewCertificate("hub", nil, time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		b.Fatal(err)
	}
	r := sample(b)
	r.NotBefore = time.Now().UTC().Truncate(time.Second)
	r.NotAfter = r.NotBefore.Add(time.Hour)
	change(r, "hub", func(m *Member) { m.CertKey = spki })
	v := genesis(b, r, &clock{at: time.Now()})
	server := ServerTLS(cert, v)
	for b.Loop() {
		client := ClientTLS(cert, v, "hub") // no session to resume
		near, far := net.Pipe()
		go func() { _ = tls.Server(far, server).Handshake() }()
		if err := tls.Client(near, withName(client)).Handshake(); err != nil {
			b.Fatal(err)
		}
		_ = near.Close()
	}
}

func withName(c *tls.Config) *tls.Config {
	c.ServerName = "localhost"
	return c
}
