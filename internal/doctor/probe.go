package doctor

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// probeTime is for one door; tests on a busy machine have more patience.
var probeTime = 4 * time.Second

// maxAnswer is what is read of an answer: the largest is a roster.
const maxAnswer = 4 << 20

// answer is what came back from one door. Nothing of it is believed beyond what the
// certificate's key, which the handshake proves, stands for.
type answer struct {
	shown  []*x509.Certificate // the certificate and what came with it; none if there was no handshake
	err    error               // why no answer came
	status int
	body   []byte
	skew   time.Duration // of its clock before the one here; known says whether it told
	known  bool
}

// knock asks a door for a path, and shows own where there is one. The door is an
// "https://host:port", or that of a witness on this machine, which may be "http://".
func knock(ctx context.Context, url, path string, own tls.Certificate, now func() time.Time) (a answer) {
	ctx, stop := context.WithTimeout(ctx, probeTime)
	defer stop()
	var seen atomic.Pointer[tls.ConnectionState] // a handshake may go on when the time is over
	config := &tls.Config{
		MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, //nolint:gosec // it is looked at, and nothing is believed or told
		VerifyConnection: func(state tls.ConnectionState) error {
			seen.Store(&state)
			return nil
		},
	}
	if len(own.Certificate) > 0 {
		config.Certificates = []tls.Certificate{own}
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 16 << 10, DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+path, nil)
	if err != nil {
		return answer{err: err}
	}
	asked := now()
	res, err := client.Do(req)
	if state := seen.Load(); state != nil {
		a.shown = state.PeerCertificates
	}
	if err != nil {
		a.err = err
		return a
	}
	defer res.Body.Close()
	came := now()
	if there, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		// The header is cut to whole seconds.
		a.skew, a.known = there.Add(time.Second/2).Sub(asked.Add(came.Sub(asked)/2)), true
	}
	a.status = res.StatusCode
	a.body, a.err = io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	return a
}

// silence says why there was no handshake.
func silence(err error) string {
	var dns *net.DNSError
	var record tls.RecordHeaderError
	switch {
	case err == nil:
		return "it answers without TLS"
	case errors.As(err, &dns):
		return "its name " + dns.Name + " cannot be resolved"
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return "what answers there does not speak TLS"
	case errors.Is(err, context.DeadlineExceeded):
		return "it does not answer within " + probeTime.String()
	case refused(err):
		return "nothing listens there (connection refused)"
	case strings.Contains(err.Error(), "tls: "):
		return "what answers there does not speak TLS 1.3 as it should"
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return "it cannot be reached: " + op.Err.Error()
	}
	return "it cannot be reached"
}

// keyOf is how a roster names a certificate.
func keyOf(cert *x509.Certificate) [32]byte { return sha256.Sum256(cert.RawSubjectPublicKeyInfo) }
