package hostile

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"google.golang.org/protobuf/proto"

	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/drill/rogue"
)

// probe is an honest call at a door, over a connection of its own: whether the door is open
// for somebody who comes now.
type probe struct {
	method, path string
	body         func() (proto.Message, error) // nil for none
	answer       proto.Message                 // what must come back, at least not empty
}

// probes are those of the doors that are flooded.
func (p *play) probes() map[string]probe {
	evaluate := func() (proto.Message, error) {
		l, err := p.look(func(l *rogue.Look) []byte { return l.Elements }, nil)
		if err != nil {
			return nil, err
		}
		return &waypostv1.EvaluateRequest{Ticket: l.Ticket.Bytes(), Elements: l.Elements}, nil
	}
	status := probe{http.MethodPost, "/waypost.v1.Counter/Status", func() (proto.Message, error) { return new(waypostv1.StatusRequest), nil }, new(waypostv1.StatusResponse)}
	roster := probe{method: http.MethodGet, path: "/roster/latest"}
	return map[string]probe{
		"hub":              {http.MethodPost, "/waypost.v1.Hub/GetKey", func() (proto.Message, error) { return &waypostv1.GetKeyRequest{Member: string(holding)}, nil }, new(waypostv1.GetKeyResponse)},
		"holder":           {http.MethodPost, "/waypost.v1.KeyHolder/Evaluate", evaluate, new(waypostv1.EvaluateResponse)},
		"gateway":          status,
		"gateway 2":        status,
		"public of hub":    roster,
		"public of holder": roster,
		"witness":          {method: http.MethodGet, path: "/last/" + p.origin},
	}
}

// honestPatience is how long an honest caller waits on a machine that is under attack.
const honestPatience = time.Minute

// try makes the call and says what was wrong with its answer.
func (b probe) try(ctx context.Context, d *door) error {
	ctx, stop := context.WithTimeout(ctx, honestPatience)
	defer stop()
	var raw []byte
	if b.body != nil {
		m, err := b.body()
		if err != nil {
			return err
		}
		if raw, err = proto.Marshal(m); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, b.method, "https://"+d.addr+b.path, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	if b.body != nil {
		req.Header.Set("Content-Type", "application/proto")
	}
	own := &http.Client{Transport: &http.Transport{TLSClientConfig: clientTLS(d.cert), ForceAttemptHTTP2: true, DialContext: strangers[honestStranger]().DialContext}}
	defer own.CloseIdleConnections()
	res, err := own.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	got, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	switch {
	case err != nil:
		return err
	case res.StatusCode != http.StatusOK || len(got) == 0:
		return fmt.Errorf("status %d with %d bytes", res.StatusCode, len(got))
	case b.answer == nil:
		return nil
	}
	return proto.Unmarshal(got, proto.Clone(b.answer))
}

// stayOpen knocks at every door that is flooded, until flooded is closed and at least once.
func (p *play) stayOpen(ctx context.Context, r *result, flooded <-chan struct{}) {
	probes := p.probes()
	for {
		for _, name := range sorted(probes) {
			err := probes[name].try(ctx, p.doors[name])
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				r.wrongf("the door %s is shut to an honest caller: %v", name, err)
			default:
				r.count("honest calls answered meanwhile")
			}
		}
		select {
		case <-flooded:
			return
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// severalAddresses reports whether this machine gives strangers addresses of their own.
func severalAddresses() bool { return strangers[honestStranger]().LocalAddr != nil }
