package gateway

import (
	"context"
	"crypto/tls"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/rpc"
)

// RemoteHolders reaches the key holders of a roster over the network.
type RemoteHolders map[string]waypostv1connect.KeyHolderClient

// DialHolders makes a client for every key holder of the current roster.
// Nothing is connected until it is asked.
func DialHolders(cert tls.Certificate, view *roster.View) RemoteHolders {
	holders := make(RemoteHolders)
	for _, h := range view.Current().Holders() {
		holders[h.Name] = waypostv1connect.NewKeyHolderClient(rpc.Dial(cert, view, h))
	}
	return holders
}

// Evaluate asks one key holder.
func (r RemoteHolders) Evaluate(ctx context.Context, holder string, req *waypostv1.EvaluateRequest) (*waypostv1.EvaluateResponse, error) {
	client, ok := r[holder]
	if !ok {
		return nil, waypost.Errorf(waypost.Unavailable, "%s is not connected: restart after a change of key holders", holder)
	}
	return client.Evaluate(ctx, req)
}

// DialHub makes a client of the hub, which serves as Hub and as Mailbox.
func DialHub(cert tls.Certificate, view *roster.View) waypostv1connect.HubClient {
	return waypostv1connect.NewHubClient(rpc.Dial(cert, view, view.Current().Hub()))
}
