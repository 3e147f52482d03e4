package rpc

// ServeFor is Serve with other times than these: on a busy machine a call that could end
// in time may not.
var ServeFor = serve

const (
	GraceTime = graceTime
	LastTime  = lastTime
)
