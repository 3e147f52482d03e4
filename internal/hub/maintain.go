package hub

import (
	"context"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
)

// Maintain does one thing with the caller's own pointers.
func (s *Server) Maintain(context.Context, *waypostv1.MaintainRequest) (*waypostv1.MaintainResponse, error) {
	return nil, waypost.Errorf(waypost.InvalidArgument, "this hub does not maintain pointers yet")
}
