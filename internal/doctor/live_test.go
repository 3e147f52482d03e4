package doctor_test

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/doctor"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
)

// live is an exchange that runs, of which a test stops and replaces parts.
type live struct {
	*testing.T
	*cluster.Cluster
	dir string
}

func (l live) folder(name string) string { return install.FolderOf(l.dir, name) }

// look examines a role, and the roster names the fault: level, what, words and next step.
func (l live) look(role string, o doctor.Options, level doctor.Level, what, words, next string) doctor.Report {
	l.Helper()
	r := doctor.Examine(l.Context(), l.folder(role), o)
	if !says(r, level, what, words, next) || level == doctor.Wrong && r.OK() {
		l.Errorf("nothing says %q: %s", words, text(r))
	}
	return r
}

// addresses are where a role listens.
func (l live) addresses(role string) (own, public string) {
	l.Helper()
	s := install.Look(l.folder(role), time.Now)
	return s.Folder.Config.Listen, s.Folder.Config.Public
}

// instead serves at an address what a test wants, until it is over.
func (l live) instead(address string, config *tls.Config, handler http.HandlerFunc) (end func()) {
	l.Helper()
	listener, err := net.Listen("tcp", address)
	must(l, err)
	server := &http.Server{Handler: handler, TLSConfig: config, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if config == nil {
			_ = server.Serve(listener)
			return
		}
		_ = server.ServeTLS(listener, "", "")
	}()
	return func() {
		_ = server.Close()
		<-done
	}
}

// certificate is the one of a folder.
func (l live) certificate(role string) tls.Certificate {
	l.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(l.folder(role), "tls.crt"), filepath.Join(l.folder(role), "tls.key"))
	must(l, err)
	return pair
}

// change alters the database of a role that is stopped.
func (l live) change(role, kind string, statements ...string) {
	l.Helper()
	db, err := store.Open(l.Context(), "sqlite:"+filepath.Join(l.folder(role), kind+".db"), kind)
	must(l, err)
	defer func() { must(l, db.Close()) }()
	must(l, db.Write(l.Context(), func(tx *store.Tx) (err error) {
		for _, s := range statements {
			_, one := tx.Exec(s)
			err = errors.Join(err, one)
		}
		return err
	}))
}

// TestLive: an exchange that runs is found right from every role, and each fault of
// others, of the network, of clocks and of ledgers is named.
func TestLive(t *testing.T) {
	defer doctor.Patience()()
	dir := t.TempDir()
	c, err := cluster.Open(t.Context(), config(dir))
	must(t, err)
	defer func() { must(t, c.Close()) }()
	l := live{t, c, dir}
	must(t, c.Publish(t.Context()))
	reports, err := doctor.Exchange(t.Context(), dir, doctor.Options{}, nil)
	must(t, err)
	for _, r := range reports {
		if !r.OK() || !r.Running {
			t.Errorf("nothing is wrong, but: %s %s: %v", r.Name, r.Role, wrongs(r))
		}
	}
	l.clocks()
	must(t, c.Stop("keyholder-2"))
	l.impostors()
	l.expired()
	l.few()
	l.ledgers()
}

func (l live) clocks() {
	for ahead, words := range map[time.Duration]string{
		45 * time.Second: "seconds ahead of those of the others", -45 * time.Second: "seconds behind those of the others",
	} {
		l.look("CA", doctor.Options{Now: func() time.Time { return time.Now().Add(ahead) }}, doctor.Wrong, "clock", words, "NTP")
	}
	l.look("CA", doctor.Options{Now: func() time.Time { return time.Now().Add(10 * time.Second) }}, doctor.Warning, "clock", "ahead of", "NTP")
}

// impostors: who answers in the place of keyholder-2, which is stopped.
func (l live) impostors() {
	own, public := l.addresses("keyholder-2")
	l.look("CA", doctor.Options{}, doctor.Wrong, "peer keyholder-2", "nothing listens there", "Demonstration key holder 2")
	right, other := l.certificate("keyholder-2"), l.certificate("keyholder-1")
	certPEM, keyPEM, _, err := roster.NewCertificate("keyholder-2", []string{"localhost"}, time.Hour)
	must(l, err)
	stranger, err := tls.X509KeyPair(certPEM, keyPEM)
	must(l, err)
	with := func(cert tls.Certificate) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13}
	}
	nothing := func(http.ResponseWriter, *http.Request) {}
	shows := func(body []byte, status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/roster/latest" { // roles that run ask for a version, and would take it up
				http.NotFound(w, r)
				return
			}
			w.WriteHeader(status)
			_, _ = w.Write(body)
		}
	}
	shut := with(right)
	shut.ClientAuth = tls.RequireAnyClientCert
	shut.VerifyConnection = func(tls.ConnectionState) error { return errors.New("nobody") }
	for _, c := range []struct {
		address     string
		config      *tls.Config
		handler     http.HandlerFunc
		level       doctor.Level
		what, words string
		next        string
	}{
		{own, nil, nothing, doctor.Wrong, "peer keyholder-2", "does not speak TLS", "start it"},
		{own, with(stranger), nothing, doctor.Wrong, "peer keyholder-2", "not the one in roster 1", "by telephone"},
		{own, with(other), nothing, doctor.Wrong, "peer keyholder-2", "is answered by keyholder-1", "address"},
		{own, shut, nothing, doctor.Wrong, "peer keyholder-2", "lets this role not in", "which roster it has"},
		{public, with(right), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", time.Now().Add(-9*time.Minute-30*time.Second).UTC().Format(http.TimeFormat))
		}, doctor.Wrong, "peer keyholder-2", "its clock is 9 minutes away", "NTP"},
		{public, with(right), shows(nil, http.StatusTeapot), doctor.Wrong, "peer keyholder-2", "answers with status 418", "ask its operator"},
		{public, with(right), shows([]byte("no roster"), http.StatusOK), doctor.Wrong, "peer keyholder-2", "does not verify here", "compare"},
		{public, with(right), shows(l.another(1), http.StatusOK), doctor.Wrong, "peer keyholder-2", "another roster with version 1", "governance at once"},
		{public, with(right), shows(l.another(2), http.StatusOK), doctor.Wrong, "roster", "keyholder-2 has version 2 of the roster, and here it is 1", "log"},
	} {
		end := l.instead(c.address, c.config, c.handler)
		l.look("CA", doctor.Options{}, c.level, c.what, c.words, c.next)
		end()
	}
}

// another is another roster of that version, signed as it should be.
func (l live) another(version uint64) []byte {
	l.Helper()
	signed, err := install.Govern(l.dir, time.Now(), func(draft *roster.Roster) error {
		if version == 1 {
			draft.Version, draft.Previous = 1, roster.Digest{}
		}
		return nil
	})
	must(l, err)
	if _, err := note.Open(signed, nil); err == nil {
		l.Fatal("nobody has signed it")
	}
	return signed
}

// expired: keyholder-2 comes back with a certificate that ran out yesterday.
func (l live) expired() {
	day := 24 * time.Hour
	renewed(l.T, l.folder("keyholder-2"), "tls", time.Now().Add(-30*day), time.Now().Add(-day))
	must(l, l.Start(l.Context(), "keyholder-2"))
	l.look("CA", doctor.Options{}, doctor.Wrong, "peer keyholder-2", "expired on", "for the same key")
	must(l, l.Stop("keyholder-2"))
	renewed(l.T, l.folder("keyholder-2"), "tls", time.Now().Add(-30*day), time.Now().Add(9*day))
	must(l, l.Start(l.Context(), "keyholder-2"))
	l.look("CA", doctor.Options{}, doctor.Warning, "peer keyholder-2", "expires in 8 days", "tell its operator")
}

// few: too few key holders, no witness, and a role whose address another has.
func (l live) few() {
	must(l, l.Stop("keyholder-2"))
	must(l, l.Stop("keyholder-3"))
	l.look("CA", doctor.Options{}, doctor.Wrong, "quorum", "1 key holders answer, and 2 are needed", "every check is owed")
	must(l, l.Start(l.Context(), "keyholder-2"))
	must(l, l.Start(l.Context(), "keyholder-3"))
	must(l, l.Stop("witness-1"))
	l.look("hub", doctor.Options{}, doctor.Wrong, "witnesses", "0 of 1 outside", "stop using this role")
	must(l, l.Start(l.Context(), "witness-1"))

	l.stopPublished("CA")
	own, _ := l.addresses("CA")
	certPEM, keyPEM, _, err := roster.NewCertificate("x", []string{"localhost"}, time.Hour)
	must(l, err)
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	must(l, err)
	end := l.instead(own, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13}, func(http.ResponseWriter, *http.Request) {})
	l.look("CA", doctor.Options{Offline: true}, doctor.Wrong, "listen", "another program answers", "another port")
	end()
	db, err := store.Open(l.Context(), "sqlite:"+filepath.Join(l.folder("CA"), "gateway.db"), "gateway")
	must(l, err)
	r := l.look("CA", doctor.Options{Offline: true}, doctor.Wrong, "listen", "nothing answers at "+own, "see the role's log")
	if !r.Running {
		l.Error("the database is in use, and the role is stopped")
	}
	must(l, db.Close())
}

// stopPublished stops a role whose ledger is published to the end then: on a busy machine
// the moment that it has for its last entries may be too short.
func (l live) stopPublished(name string) {
	l.Helper()
	for end := time.Now().Add(2 * time.Minute); ; {
		must(l, l.Stop(name))
		behind, err := cluster.Behind(l.Context(), l.dir, name)
		must(l, err)
		if len(behind) == 0 {
			return
		}
		if time.Now().After(end) {
			l.Fatalf("the last entries of %s are not published", name)
		}
		must(l, l.Start(l.Context(), name))
		must(l, l.Publish(l.Context()))
	}
}

// ledgers: what the database of CA, which is stopped, and what lies published do not agree
// about.
func (l live) ledgers() {
	folder := l.folder("CA")
	log := filepath.Join(folder, "log", "CA", "1", "checkpoint")
	signed, err := os.ReadFile(log)
	must(l, err)
	offline := doctor.Options{Offline: true}

	copied := filepath.Join(l.folder("hub"), "log", "CA", "1", "checkpoint")
	atHub, err := os.ReadFile(copied)
	must(l, err)
	must(l, os.Remove(copied))
	l.look("CA", doctor.Options{}, doctor.Wrong, "ledger", "the hub shows nothing of waypost.test/CA/1", "its way to the hub")
	must(l, os.WriteFile(copied, atHub, 0o600))

	leaf := make([]byte, 64)
	_, _ = rand.Read(leaf) // never fails (Go 1.24)
	next := `INSERT INTO journal (log, seq, leaf, kind, ordinal, at) SELECT 1, max(seq) + 1, x'` + hex.EncodeToString(leaf) + `', 'started', 0, max(at) - 600 FROM journal WHERE log = 1`
	l.change("CA", "gateway", next)
	r := l.look("CA", offline, doctor.Warning, "ledger", "1 entries are not published", "start the role")
	if !r.OK() {
		l.Errorf("what the next start mends is wrong: %s", text(r))
	}
	db, err := store.Open(l.Context(), "sqlite:"+filepath.Join(folder, "gateway.db"), "gateway")
	must(l, err)
	l.look("CA", offline, doctor.Wrong, "ledger", "1 entries are not published, the oldest for 1", "the ledger is not being published")
	must(l, db.Close())
	l.change("CA", "gateway", `DELETE FROM journal WHERE log = 1 AND seq > 0`)
	l.look("CA", offline, doctor.Wrong, "ledger", "the database is older than what was published", "newest copy of the database")

	must(l, os.WriteFile(log, append([]byte("waypost.test/AZ/1\n"), signed...), 0o600))
	l.look("CA", offline, doctor.Wrong, "ledger", "cannot be used", "folder of the role's logs")

	l.change("CA", "gateway", `UPDATE follow_log SET broken = 'it was 7 long, then 5' WHERE member = 'hub'`,
		`INSERT INTO follow_receipt (origin, seq, id, deadline, ticket, receipt) SELECT origin, 3, x'00', 0, x'00', x'00' FROM follow_log WHERE member = 'keyholder-1'`)
	l.look("CA", offline, doctor.Wrong, "ledger of hub", "contradicted itself: it was 7 long, then 5", "tell governance")
	l.look("CA", offline, doctor.Wrong, "ledger of keyholder-1", "lacks 1 entries", "evidence")
	must(l, os.WriteFile(log, signed, 0o600))
}
