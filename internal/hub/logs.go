package hub

import (
	"context"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/follow"
	"github.com/waypost/waypost/internal/publisher"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/rpc"
)

// PutLog stores objects of a gateway's log, which opens no port itself. The log
// must be the caller's own, and a checkpoint signed and cosigned as for any
// reader: the hub can withhold it, and cannot change it.
func (s *Server) PutLog(ctx context.Context, req *waypostv1.PutLogRequest) (*waypostv1.PutLogResponse, error) {
	peer := rpc.Peer(ctx)
	if peer.Role != roster.Gateway {
		return nil, waypost.Errorf(waypost.PermissionDenied, "%s publishes its log itself", peer.Name)
	}
	policy, err := follow.Policy(s.Roster.Current(), peer, req.Origin)
	if err != nil {
		return nil, err
	}
	objects := make([]publisher.Object, len(req.Objects))
	for i, o := range req.Objects {
		objects[i] = publisher.Object{Path: o.Path, Content: o.Content, Offset: int(o.Offset), Size: int(o.Size)}
	}
	if err := s.Logs.Put(ctx, peer.Name, policy, objects, req.Checkpoint); err != nil {
		return nil, err
	}
	return &waypostv1.PutLogResponse{}, nil
}
