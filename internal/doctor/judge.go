package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"

	"github.com/waypost/waypost/internal/follow"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/roster"
)

// newer compares the rosters that others have with the one here.
func (e *exam) newer(all []*door) {
	mine := e.view().Latest()
	for _, d := range all {
		if !d.good || !d.public || d.member.Name == "" {
			switch {
			case !d.good:
			case len(d.got.shown) == 0:
				e.okf(d.what, "%s answers, without TLS", d.url)
			default:
				e.okf(d.what, "%s answers, with the right certificate", d.url)
			}
			continue
		}
		r, err := roster.ParseExpired(d.got.body, mine.Governance)
		switch {
		case d.got.status != http.StatusOK:
			e.wrongf(d.what, "ask "+d.operator(), "%s answers with status %d where it should show its roster", d.url, d.got.status)
		case err != nil:
			e.wrongf(d.what, "compare with another member's; if governance has changed its keys, fetch the versions in between first", "the roster at %s does not verify here: %v", d.url, err)
		case r.Version > mine.Version && e.Running:
			e.wrongf("roster", "a role that runs fetches it within seconds: if it has not, see its log", "%s has version %d of the roster, and here it is %d", d.member.Name, r.Version, mine.Version)
		case r.Version > mine.Version:
			e.warnf("roster", "start the role: it fetches it", "%s has version %d of the roster, and here it is %d", d.member.Name, r.Version, mine.Version)
		case r.Version < mine.Version:
			e.warnf(d.what, "it fetches it within seconds; if not, ask "+d.operator(), "it has version %d of the roster, and here it is %d", r.Version, mine.Version)
		case !same(r, mine):
			e.wrongf(d.what, "keep both and tell governance at once: two different rosters were signed", "it has another roster with version %d than the one here", r.Version)
		default:
			e.okf(d.what, "%s answers, with the right certificate and roster %d", d.url, r.Version)
		}
	}
}

// same reports whether two rosters say the same; signatures may have been added.
func same(a, b *roster.Roster) bool {
	x, err := a.Hash()
	y, err2 := b.Hash()
	return err == nil && err2 == nil && x == y
}

// quorum counts the key holders and witnesses without whom everything waits.
func (e *exam) quorum(all []*door) {
	r := e.view().Latest()
	evaluate, cosign, outside := make(map[string]bool), make(map[string]bool), make(map[string]bool)
	for _, d := range all {
		switch {
		case !d.good:
		case d.member.Name == "":
			outside[d.what] = true
		case d.member.Role == roster.KeyHolder && !d.public && d.member.Index > 0:
			evaluate[d.member.Name] = true
		case d.member.Role == roster.KeyHolder && d.public && d.member.Name != e.Name:
			cosign[d.member.Name] = true
		}
	}
	if e.Role == roster.Gateway && r.Epoch != 0 {
		if n := len(evaluate); n < r.Threshold {
			e.wrongf("quorum", "start key holders, or look at the way to them: until then every check is owed", "%d key holders answer, and %d are needed for a check", n, r.Threshold)
		} else {
			e.okf("quorum", "%d key holders answer; %d are needed for a check", n, r.Threshold)
		}
	}
	if r.Epoch == 0 {
		e.warnf("quorum", "the key holders make one (waypost ceremony keygen), and governance signs the roster that names it", "roster %d has no key yet: nobody can ask", r.Version)
	}
	if e.Role == install.Witness {
		return
	}
	p := r.WitnessPolicy
	if len(cosign) < p.Holders || len(outside) < p.Outside {
		e.wrongf("witnesses", "until they answer no entry is published, and after ten minutes others stop using this role: start them, or look at the way to them",
			"%d of %d key holders that are needed as witnesses answer, and %d of %d outside", len(cosign), p.Holders, len(outside), p.Outside)
		return
	}
	e.okf("witnesses", "%d key holders and %d outside answer; %d and %d are needed", len(cosign), len(outside), p.Holders, p.Outside)
}

// copies compares what the public reads of a gateway's ledger, at the hub, with what the
// gateway has published.
func (e *exam) copies(all []*door) {
	if e.Role != roster.Gateway {
		return
	}
	i := slices.IndexFunc(all, func(d *door) bool { return d.good && d.public && d.member.Role == roster.Hub })
	own := e.published(e.origin)
	if i < 0 || own.err != nil || own.missing {
		return
	}
	_, place, _ := strings.Cut(e.origin, "/")
	got := knock(e.ctx, all[i].url, "/log/"+place+"/checkpoint", tls.Certificate{}, e.Now)
	policy, err := follow.Policy(e.view().Latest(), e.me, e.origin)
	if err != nil || got.err != nil {
		return // the hub was judged already
	}
	const next = "see this role's log (\"the copy\") and its way to the hub: others audit what lies there"
	c, _ := policy.Verify(got.body)
	switch {
	case got.status == http.StatusNotFound:
		e.wrongf("ledger", next, "the hub shows nothing of %s, of which %d entries are published", e.origin, own.entries)
	case c.N == 0:
		e.wrongf("ledger", next, "what the hub shows of %s does not verify", e.origin)
	case c.N < own.entries && e.Now().Sub(own.cosigned) > promised:
		e.wrongf("ledger", next, "the hub shows %d entries of %s, of which %d are published", c.N, e.origin, own.entries)
	default:
		e.okf("ledger", "the hub shows %d entries of %s", c.N, e.origin)
	}
}

// doors looks at the role's own: who answers there, if anybody.
func (e *exam) doors() {
	c := e.survey.Folder.Config
	cert := e.survey.Folder.Cert.Leaf
	own := cert
	if e.Role == roster.Gateway {
		own = readCertificate(filepath.Join(e.survey.Folder.Dir, "counter.crt"))
	}
	e.door("listen", c.Listen, own != nil && c.Listen != "", func(a answer) bool { return keyOf(a.shown[0]) == keyOf(own) })
	if c.Public != "" {
		e.door("public", c.Public, cert != nil, func(a answer) bool { return keyOf(a.shown[0]) == keyOf(cert) })
	}
	if c.Metrics != "" {
		if host, _, err := net.SplitHostPort(c.Metrics); err != nil || host != "localhost" && !net.ParseIP(host).IsLoopback() {
			e.wrongf("metrics", "name a loopback host:port in config.json, as 127.0.0.1:9464", "%q is not on this machine only", c.Metrics)
		}
	}
}

func (e *exam) door(what, address string, certain bool, mine func(a answer) bool) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		e.wrongf(what, "name a host:port in config.json, as 10.0.2.4:8443", "%q is no address to listen on", address)
		return
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	} else if ip != nil && !ip.IsLoopback() && !here(ip) {
		e.wrongf(what, "correct it in config.json, or give this machine the address", "%s is no address of this machine", address)
		return
	}
	if !certain {
		return // the certificate is told elsewhere
	}
	switch a := knock(e.ctx, "https://"+net.JoinHostPort(host, port), "/", e.survey.Folder.Cert, e.Now); {
	case len(a.shown) > 0 && mine(a):
		e.okf(what, "%s answers", address)
	case len(a.shown) > 0 || !refused(a.err) && !silent(a.err):
		e.wrongf(what, "stop that program, or give this role another port", "another program answers at %s", address)
	case e.Running:
		e.wrongf(what, "see the role's log: it runs, and its door should be open", "nothing answers at %s, though the role's database is in use", address)
	default:
		e.okf(what, "%s is free: the role is stopped", address)
	}
}

// silent reports that an address did not even refuse.
func silent(err error) bool { return errors.Is(err, context.DeadlineExceeded) }

// here reports whether an address is one of this machine's.
func here(ip net.IP) bool {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return true // it cannot be said
	}
	return slices.ContainsFunc(addresses, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		return ok && n.IP.Equal(ip)
	})
}
