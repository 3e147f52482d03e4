package hub

import (
	"context"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
)

// PutLog stores objects of a gateway's log, which opens no port itself.
func (s *Server) PutLog(ctx context.Context, req *waypostv1.PutLogRequest) (*waypostv1.PutLogResponse, error) {
	return nil, waypost.Errorf(waypost.Unavailable, "this hub stores no logs")
}
