package follow

import (
	"crypto/tls"
	"net/http"
	"sync"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/translog"
)

// Remote returns a function that opens the published log of a member over
// HTTPS, for [Deps]. The connection is pinned to the certificate key which the
// current roster names for the member whose door it is; nobody else on the
// way is believed. Redirects are not followed. cert is shown where the door
// asks for one; public doors do not, and the zero value will do.
func Remote(cert tls.Certificate, view *roster.View) func(member, instance string) (translog.Reader, error) {
	var mu sync.Mutex
	clients := make(map[string]*http.Client) // by the member connected to
	return func(member, instance string) (translog.Reader, error) {
		prefix, at, err := Prefix(view.Current(), member, instance)
		if err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		c := clients[at.Name]
		if c == nil {
			c = pinned(cert, view, at)
			clients[at.Name] = c
		}
		return translog.HTTP(c, prefix)
	}
}

func pinned(cert tls.Certificate, view *roster.View, at roster.Member) *http.Client {
	config := roster.ClientTLS(cert, view, at.Name)
	if len(cert.Certificate) == 0 {
		config.Certificates = nil
	}
	return &http.Client{
		Timeout: lookTime,
		Transport: &http.Transport{
			TLSClientConfig: config, ForceAttemptHTTP2: true, MaxConnsPerHost: 8, MaxIdleConnsPerHost: 8,
			IdleConnTimeout: 2 * time.Minute, TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: 5 * time.Second,
			MaxResponseHeaderBytes: 16 << 10, DisableCompression: true,
			DialTLSContext: roster.DialTLS(config, at.PublicURLs()),
		},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return waypost.Errorf(waypost.PermissionDenied, "%s redirects its ledger elsewhere", at.Name)
		},
	}
}
