package gateway

import (
	"context"
	"crypto/tls"
	"sync"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/rpc"
)

// RemoteHolders reaches the key holders of a roster over the network.
type RemoteHolders struct {
	cert    tls.Certificate
	view    *roster.View
	mu      sync.Mutex
	clients map[string]waypostv1connect.KeyHolderClient
}

// DialHolders reaches whoever is a key holder of the roster when it is asked.
func DialHolders(cert tls.Certificate, view *roster.View) *RemoteHolders {
	return &RemoteHolders{cert: cert, view: view, clients: make(map[string]waypostv1connect.KeyHolderClient)}
}

// client is that of one key holder at its present address.
func (r *RemoteHolders) client(holder string) (waypostv1connect.KeyHolderClient, error) {
	m, ok := r.view.Member(holder)
	if !ok {
		return nil, waypost.Errorf(waypost.Unavailable, "%s is not a member now", holder)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	at := holder + " " + m.URL
	if r.clients[at] == nil {
		r.clients[at] = waypostv1connect.NewKeyHolderClient(rpc.Dial(r.cert, r.view, m))
	}
	return r.clients[at], nil
}

// Evaluate asks one key holder.
func (r *RemoteHolders) Evaluate(ctx context.Context, holder string, req *waypostv1.EvaluateRequest) (*waypostv1.EvaluateResponse, error) {
	client, err := r.client(holder)
	if err != nil {
		return nil, err
	}
	return client.Evaluate(ctx, req)
}

// DialHub makes a client of the hub, which serves as Hub and as Mailbox.
func DialHub(cert tls.Certificate, view *roster.View) waypostv1connect.HubClient {
	return waypostv1connect.NewHubClient(rpc.Dial(cert, view, view.Current().Hub()))
}
