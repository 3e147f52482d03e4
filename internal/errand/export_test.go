package errand

// ParseReply and ParseRequest decode what other states send.
var (
	ParseReply   = parseReply
	ParseRequest = parseRequest
)
