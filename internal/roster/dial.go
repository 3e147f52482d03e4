package roster

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// maxAlso bounds the further addresses of a member.
	maxAlso = 15
	// dialTime is for one address, TLS included, and dialNext how long it is waited
	// for before the next is tried beside it.
	dialTime = 5 * time.Second
	dialNext = 400 * time.Millisecond
)

// Doors are the addresses of one more process of a member that shares its database:
// it has the same certificate, answers as the first does, and shows the same logs.
type Doors struct {
	URL    string `json:"url"`    // "https://host:port"
	Public string `json:"public"` // likewise
}

// URLs are all addresses where the member answers, the first one first.
func (m Member) URLs() []string {
	urls := []string{m.URL}
	for _, d := range m.Also {
		urls = append(urls, d.URL)
	}
	return urls
}

// PublicURLs are all addresses of its public doors, the first one first.
func (m Member) PublicURLs() []string {
	urls := []string{m.Public}
	for _, d := range m.Also {
		urls = append(urls, d.Public)
	}
	return urls
}

// DialTLS returns a function for http.Transport that connects to whichever of the
// addresses ("https://host:port") answers: the one that did last, and after a moment
// the others beside it, so that a process which is down or stands still keeps nobody
// waiting. The address that is asked for is not looked at.
func DialTLS(config *tls.Config, urls []string) func(ctx context.Context, network, address string) (net.Conn, error) {
	config = config.Clone()
	config.NextProtos = []string{"h2", "http/1.1"}
	var last atomic.Int64
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		ctx, stop := context.WithTimeout(ctx, dialTime)
		defer stop()
		type outcome struct {
			conn  net.Conn
			err   error
			which int
		}
		outcomes := make(chan outcome, len(urls))
		first, begun, ended := int(last.Load()), 0, 0
		begin := func() {
			which := (first + begun) % len(urls)
			begun++
			go func() {
				conn, err := dialOne(ctx, network, strings.TrimPrefix(urls[which], "https://"), config)
				outcomes <- outcome{conn, err, which}
			}()
		}
		discard := func(n int) {
			for range n {
				if o := <-outcomes; o.conn != nil {
					_ = o.conn.Close()
				}
			}
		}
		var errs []error
		for begin(); ; {
			var next <-chan time.Time
			if begun < len(urls) {
				next = time.After(dialNext)
			}
			select {
			case <-next:
				begin()
			case o := <-outcomes:
				if ended++; o.err == nil {
					last.Store(int64(o.which))
					stop()
					go discard(begun - ended)
					return o.conn, nil
				}
				if errs = append(errs, o.err); ended == len(urls) {
					return nil, errors.Join(errs...)
				}
				if begun < len(urls) {
					begin()
				}
			}
		}
	}
}

// dialOne connects, and knows then who is there.
func dialOne(ctx context.Context, network, address string, config *tls.Config) (net.Conn, error) {
	dialer := tls.Dialer{NetDialer: &net.Dialer{KeepAlive: 15 * time.Second}, Config: config}
	return dialer.DialContext(ctx, network, address)
}

// also says the further addresses in words.
func (m Member) also() string {
	var all []string
	for _, d := range m.Also {
		all = append(all, d.URL, d.Public)
	}
	return strings.Join(all, " ")
}
