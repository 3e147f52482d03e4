package keyholder

import "context"

// Clean runs the housekeeping of a server with these dependencies once.
func Clean(ctx context.Context, d Deps) error { return (&Server{Deps: d}).Clean(ctx) }
