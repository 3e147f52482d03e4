package hostile

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/rpc"
)

// plant is the weakness in the hub's calls: as long as it is on, a handler panics on
// one size of one field.
type plant struct{ on atomic.Bool }

func (w *plant) around(honest waypostv1connect.HubHandler) waypostv1connect.HubHandler {
	return weak{honest, w}
}

type weak struct {
	waypostv1connect.HubHandler
	plant *plant
}

// PutKey panics on a key of 33 bytes.
func (h weak) PutKey(ctx context.Context, req *waypostv1.PutKeyRequest) (*waypostv1.PutKeyResponse, error) {
	if h.plant.on.Load() && len(req.Key) == 33 {
		panic("planted")
	}
	return h.HubHandler.PutKey(ctx, req)
}

// planted has the same attacks find weaknesses that are planted: a handler that panics,
// and a role whose requests have no limit.
func (p *play) planted(ctx context.Context) error {
	p.plant.on.Store(true)
	defer p.plant.on.Store(false)
	var calls []call
	for _, c := range p.findCalls() {
		if strings.Contains(c.path, ".Hub/Put") || strings.Contains(c.path, ".Hub/GetKey") {
			calls = append(calls, c)
		}
	}
	r := newResult()
	before := p.faults.n.Load()
	p.shower(ctx, r, calls, 1000)
	r.again(ctx, lastPatience)
	panics := p.faults.n.Load() - before
	p.stage.Add(drill.Line{
		Party: "a member state", Attempted: "the same fuzzer on a hub one of whose handlers panics on one size of one field",
		Obtained: fmt.Sprintf("%d internal errors in %d calls; %d panics in the log of the hub, each of one call alone", len(r.bad), r.sent, panics),
		Target:   "the planted weakness is found", OK: len(r.bad) > 0 && panics > 0, Planted: true,
	})
	taken, err := p.unlimited(ctx)
	if err != nil {
		return err
	}
	p.stage.Add(drill.Line{
		Party: "anybody", Attempted: "the same body without end, to a role that sets no limit",
		Obtained: fmt.Sprintf("it takes %d MiB and would take more; a role takes at most %d", taken>>20, (rpc.MaxMessage+slack)>>20),
		Target:   "the planted weakness is found", OK: taken > rpc.MaxMessage+slack, Planted: true,
	})
	return ctx.Err()
}

// unlimited serves the hub's calls without any limit and says how much it takes.
func (p *play) unlimited(ctx context.Context) (int64, error) {
	server := connect.NewServer()
	waypostv1connect.RegisterHubHandler(server, weak{plant: &p.plant})
	mux := http.NewServeMux()
	connecthttp.Mount(mux, server, connecthttp.WithReadMaxBytes(1<<30))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	cert := p.rogue.Folder.Cert
	open := &http.Server{Handler: mux, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13}} //nolint:gosec // without limits, as it says
	served := make(chan error, 1)
	go func() { served <- open.ServeTLS(l, "", "") }()
	c := client(nil)
	defer c.CloseIdleConnections()
	taken := swallowed(ctx, c, "https://"+l.Addr().String()+"/waypost.v1.Hub/Search")
	if err := open.Close(); err != nil {
		return 0, err
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return 0, err
	}
	return taken, nil
}

// signerOf is the key of a certificate, or a new one.
func signerOf(cert *tls.Certificate) (crypto.Signer, error) {
	if cert == nil {
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	signer, ok := cert.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, errors.New("the certificate's key does not sign")
	}
	return signer, nil
}
