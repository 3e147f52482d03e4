package rpc

import (
	"bytes"
	"errors"
	"io"
	"net/http"
)

// again makes a call that broke off once more, on another connection: every call of
// the exchange may be repeated. It is for members with several addresses, of which
// the next connection finds one that answers.
type again struct{ http.RoundTripper }

var errTooLarge = errors.New("rpc: the answer is larger than any may be")

// RoundTrip implements http.RoundTripper. It reads request and answer whole: no call
// of the exchange streams.
func (a again) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
		_ = req.Body.Close()
	}
	for last := false; ; last = true {
		res, err := a.once(req, body)
		if err == nil || last || req.Context().Err() != nil || errors.Is(err, errTooLarge) {
			return res, err
		}
	}
}

func (a again) once(req *http.Request, body []byte) (*http.Response, error) {
	one := req.Clone(req.Context())
	one.Body, one.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	res, err := a.RoundTripper.RoundTrip(one)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, MaxMessage+64<<10+1))
	if err != nil {
		return nil, err
	}
	if len(answer) > MaxMessage+64<<10 {
		return nil, errTooLarge
	}
	res.Body = io.NopCloser(bytes.NewReader(answer))
	return res, nil
}
