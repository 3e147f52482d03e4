package audit

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/roster"
)

// TestWeb reads the ledgers over HTTPS, at the doors that the roster names and
// from nobody else.
func TestWeb(t *testing.T) {
	var x *genExchange
	serve := func(w http.ResponseWriter, req *http.Request) {
		parts := strings.SplitN(strings.TrimPrefix(req.URL.Path, "/log/"), "/", 3)
		l := x.logs[parts[0]]
		if len(parts) != 3 || l == nil || parts[1] != "1" || l.mem[parts[2]] == nil {
			http.NotFound(w, req)
			return
		}
		w.Write(l.mem[parts[2]])
	}
	door := func(m *roster.Member) {
		certPEM, keyPEM, pin, err := roster.NewCertificate(m.Name, []string{"127.0.0.1"}, time.Hour)
		must(t, err)
		cert, err := tls.X509KeyPair(certPEM, keyPEM)
		must(t, err)
		server := httptest.NewUnstartedServer(http.HandlerFunc(serve))
		server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
		server.StartTLS()
		t.Cleanup(server.Close)
		m.Public, m.CertKey = server.URL, pin
	}
	x = newExchange(t, "", genQuota, func(r *roster.Roster) {
		for i := range r.Members {
			if r.Members[i].Role != roster.Gateway {
				door(&r.Members[i])
			}
		}
	})
	s := newSim(x, 1)
	s.calm = true
	for range 5 {
		s.newCheck()
	}
	s.run(s.now + 100)
	x.publishAll(s.now)

	dir := t.TempDir()
	x.folder(dir, x.roster.Governance)
	hub := filepath.Join(dir, "hub")
	read := func() *Report {
		o, err := FromWeb(ctx, filepath.Join(hub, "governance.json"), []string{filepath.Join(hub, "roster", "000001")}, []string{filepath.Join(dir, "governance", "auditor.key")})
		must(t, err)
		o.Now = time.Unix(s.now, 0)
		rep, err := Reconcile(ctx, o)
		must(t, err)
		return rep
	}
	if rep := read(); len(rep.Findings) != 0 || rep.Tickets != 5 || len(rep.Logs) != len(x.members) {
		t.Errorf("%+v", rep)
	}
	x.logs["CA"].mem = nil
	if rep := read(); len(rep.Findings) != 1 || rep.Findings[0].Kind != Missing || rep.Findings[0].Member != "CA" {
		t.Errorf("%+v", rep.Findings)
	}
	must(t, os.WriteFile(filepath.Join(hub, "roster", "000001"), []byte(strings.Replace(string(x.signed), `"CA"`, `"TX"`, 1)), 0o600))
	if _, err := FromWeb(ctx, filepath.Join(hub, "governance.json"), []string{filepath.Join(hub, "roster", "000001")}, []string{filepath.Join(dir, "governance", "auditor.key")}); err == nil {
		t.Error("a roster that was altered is believed")
	}
}
