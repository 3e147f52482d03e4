package hostile

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost/internal/rpc"
)

// slack is what a sender may get rid of beyond the limit before it learns that it is
// over: windows of HTTP/2, buffers of TLS and of the system.
const slack = 2 << 20

// endless is a body that never ends, and counts what was taken of it.
type endless struct {
	taken atomic.Int64
	most  int64
}

// Read gives zeros up to a size at which the drill has seen enough.
func (e *endless) Read(b []byte) (int, error) {
	clear(b)
	if e.taken.Add(int64(len(b))) > e.most {
		return 0, io.EOF
	}
	return len(b), nil
}

// giants sends bodies without end to every door.
func (p *play) giants(ctx context.Context, r *result) {
	most := int64(0)
	defer func() { r.note = fmt.Sprintf("; no door took more than %d KiB", most>>10) }()
	for range p.stage.Size.Pick(1, 4, 50) {
		for _, name := range sorted(p.doors) {
			d := p.doors[name]
			if name == "metrics" || ctx.Err() != nil {
				continue
			}
			path := map[string]string{"hub": "/waypost.v1.Hub/Search", "holder": "/waypost.v1.KeyHolder/Evaluate", "ceremony": "/waypost.v1.Ceremony/GetCeremony",
				"gateway": "/waypost.v1.Counter/Check", "gateway 2": "/waypost.v1.Counter/Check", "public of hub": "/roster", "public of holder": "/roster", "witness": "/add-checkpoint"}[name]
			own := client(d.cert) // it may lose its connection
			taken := swallowed(ctx, own, "https://"+d.addr+path)
			own.CloseIdleConnections()
			if most = max(most, taken); taken > rpc.MaxMessage+slack {
				r.wrongf("the door %s takes %d bytes", name, taken)
			}
			r.count("cut off")
		}
	}
}

// swallowed says how much of an endless body a door takes.
func swallowed(ctx context.Context, client *http.Client, url string) int64 {
	e := &endless{most: 4 * (rpc.MaxMessage + slack)}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, e)
	if err != nil {
		return 0
	}
	req.Header.Set("Content-Type", "application/proto")
	if res, err := client.Do(req); err == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20))
		_ = res.Body.Close()
	}
	return e.taken.Load()
}

// certificate is self-signed for the key of another, or for a new one.
func certificate(with *tls.Certificate, until time.Time) (*tls.Certificate, error) {
	leaf := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "stranger"}, NotBefore: until.Add(-24 * time.Hour), NotAfter: until}
	signer, err := signerOf(with)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, signer.Public(), signer)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: signer}, nil
}

// intrude tries to come in without a certificate that is admitted.
func (p *play) intrude(ctx context.Context, r *result) {
	foreign, err := certificate(nil, time.Now().Add(time.Hour))
	if err != nil {
		r.wrongf("no certificate: %v", err)
		return
	}
	expired, err := certificate(&p.rogue.Folder.Cert, time.Now().Add(-time.Hour))
	if err != nil {
		r.wrongf("no certificate: %v", err)
		return
	}
	for range p.stage.Size.Pick(2, 20, 500) {
		for _, name := range []string{"hub", "holder", "gateway", "gateway 2"} {
			for what, cert := range map[string]*tls.Certificate{"no certificate": nil, "a stranger's certificate": foreign, "an expired certificate": expired} {
				if ctx.Err() != nil {
					return
				}
				how, in := p.enter(ctx, p.doors[name].addr, cert, map[string]string{"hub": "/waypost.v1.Hub/GetKey", "holder": "/waypost.v1.KeyHolder/Evaluate", "gateway": "/waypost.v1.Counter/Status", "gateway 2": "/waypost.v1.Counter/Status"}[name])
				r.count(how)
				if in {
					r.wrongf("with %s the door %s answers", what, name)
				}
			}
			r.count(p.garbage(ctx, p.doors[name].addr))
		}
	}
}

// enter makes one call with a certificate, and reports whether it was answered.
func (p *play) enter(ctx context.Context, addr string, cert *tls.Certificate, path string) (how string, in bool) {
	c := client(cert)
	defer c.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+addr+path, http.NoBody)
	if err != nil {
		return err.Error(), true
	}
	req.Header.Set("Content-Type", "application/proto")
	res, err := c.Do(req)
	if err != nil {
		return "refused by TLS", false
	}
	_ = res.Body.Close()
	// Unauthenticated. Anything else means that the call was looked at.
	return fmt.Sprintf("refused with status %d", res.StatusCode), res.StatusCode != http.StatusUnauthorized
}

// garbage sends random bytes in place of TLS.
func (p *play) garbage(ctx context.Context, addr string) string {
	conn, err := strangers[3]().DialContext(ctx, "tcp", addr)
	if err != nil {
		return "not connected"
	}
	defer conn.Close()
	b := make([]byte, 512)
	_, _ = rand.Read(b) // never fails (Go 1.24)
	_, _ = conn.Write(b)
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, conn); timedOut(err) {
		return "left waiting" // the handshake's own limit comes later
	}
	return "closed after garbage"
}

// flood keeps slow and idle connections at every door, opens as many as there can be,
// and gives calls up at once. Meanwhile somebody else knocks at each.
func (p *play) flood(siege context.Context, r *result) {
	long := time.Duration(p.stage.Size.Pick(3, 15, 120)) * time.Second
	ctx, stop := context.WithTimeout(siege, long)
	defer stop()
	var all sync.WaitGroup
	all.Go(func() { p.stayOpen(siege, r, ctx.Done()) })
	for _, name := range sorted(p.doors) {
		d := p.doors[name]
		if name == "ceremony" || name == "metrics" {
			continue // the same address as another, or no door to the world
		}
		all.Go(func() { p.idle(ctx, r, d, p.stage.Size.Pick(40, 600, 1500)) })
		for _, drip := range []string{"", "POST /roster HTTP/1.1\r\nHost: x\r\nX-A: ", "POST /roster HTTP/1.1\r\nHost: x\r\nContent-Type: application/proto\r\nContent-Length: 100000\r\n\r\n"} {
			for range p.stage.Size.Pick(2, 10, 50) {
				all.Go(func() { p.slow(ctx, r, d, drip) })
			}
		}
	}
	all.Go(func() { p.rapid(ctx, r) })
	all.Wait()
}

// idle opens connections from several addresses and says nothing in them.
func (p *play) idle(ctx context.Context, r *result, d *door, n int) {
	if !severalAddresses() {
		n = min(n, 100) // the limit for one address would be the honest callers' too
	}
	var held []net.Conn
	defer func() {
		for _, c := range held {
			_ = c.Close()
		}
	}()
	for i := 0; i < n && ctx.Err() == nil; i++ {
		// From few addresses, so that the limit for one is met.
		if conn, err := strangers[4+i%2]().DialContext(ctx, "tcp", d.addr); err == nil {
			held = append(held, conn)
		}
	}
	<-ctx.Done()
	for _, c := range held {
		_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); timedOut(err) {
			r.count("idle connections open to the end")
		} else {
			r.count("idle connections closed by the door")
		}
	}
}

// slow sends one byte after the other: of a handshake, or within TLS of what follows
// the beginning.
func (p *play) slow(ctx context.Context, r *result, d *door, begin string) {
	conn, err := strangers[12]().DialContext(ctx, "tcp", d.addr)
	if err != nil {
		return // there was no time for it
	}
	defer conn.Close()
	next := []byte{0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03}
	if begin != "" {
		cert := p.rogue.Folder.Cert
		secured := tls.Client(conn, clientTLS(&cert, "http/1.1"))
		if err := secured.HandshakeContext(ctx); err != nil {
			r.count("slow connections refused by TLS")
			return
		}
		if _, err := secured.Write([]byte(begin)); err != nil {
			r.count("slow connections cut off")
			return
		}
		conn, next = secured, []byte("aaaaaaaaaaaaaaaa")
	}
	for i := 0; ; i++ {
		if _, err := conn.Write(next[i%len(next) : i%len(next)+1]); err != nil {
			r.count("slow connections cut off")
			return
		}
		select {
		case <-ctx.Done():
			r.count("slow connections")
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// rapid gives calls up as soon as they are made.
func (p *play) rapid(ctx context.Context, r *result) {
	d := p.doors["hub"]
	own := client(d.cert) // the hub ends a connection in which too much is given up
	defer own.CloseIdleConnections()
	for ctx.Err() == nil {
		var calling sync.WaitGroup
		for range 32 {
			calling.Go(func() {
				short, stop := context.WithTimeout(ctx, time.Millisecond)
				defer stop()
				_, _ = shot{call: call{path: "/waypost.v1.Hub/GetKey", door: d}, client: own, form: forms[0]}.fire(short, patience)
				r.count("calls given up")
			})
		}
		calling.Wait()
	}
}
