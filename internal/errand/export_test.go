package errand

import "github.com/waypost/waypost"

// ParseReply decodes what another state sends.
var ParseReply = parseReply

// ReadRequest decodes what another state sends, as far as a test looks at it.
func ReadRequest(b []byte) (id ID, body []byte, ok bool) {
	q, ok := parseRequest(b)
	return q.id, q.body, ok
}

// EncodeReply encodes whatever reply a hostile state might send.
func (e *Engine) EncodeReply(id ID, ticket waypost.TicketID, r Reply) ([]byte, error) {
	return e.encodeReply(id, ticket, r)
}
