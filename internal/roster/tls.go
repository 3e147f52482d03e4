package roster

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"slices"
	"time"

	"github.com/waypost/waypost"
)

// ServerTLS is the TLS configuration of a member that others connect to. It
// admits any member of the current roster, or only those with one of the
// roles, if any are named.
//
// Certificates are self-signed, so the usual chain building is off
// (RequireAnyClientCert) and VerifyConnection takes its place. That is safe
// because TLS 1.3 makes the peer sign the handshake with the certificate's
// private key and VerifyConnection demands that the public key be the one
// which the roster pins: nothing else in the certificate is believed, except
// that its dates may end its use. VerifyConnection, unlike
// VerifyPeerCertificate, also runs when a session is resumed, so that a
// session ticket does not outlive a membership.
func ServerTLS(cert tls.Certificate, view *View, roles ...Role) *tls.Config {
	config := baseTLS(cert)
	config.NextProtos = []string{"h2", "http/1.1"}
	config.ClientAuth = tls.RequireAnyClientCert
	config.VerifyConnection = func(state tls.ConnectionState) error {
		peer, err := view.Peer(&state)
		if err != nil {
			return err
		}
		if len(roles) > 0 && !slices.Contains(roles, peer.Role) {
			return waypost.Errorf(waypost.PermissionDenied, "%s is a %s, which has no business here", peer.Name, peer.Role)
		}
		return nil
	}
	return config
}

// ClientTLS is the TLS configuration for connecting to one member, by name.
// InsecureSkipVerify turns off chain building and host names only; see
// ServerTLS for what replaces them. It keeps sessions for resumption and
// must not be used for another peer.
func ClientTLS(cert tls.Certificate, view *View, peerName string) *tls.Config {
	config := baseTLS(cert)
	config.InsecureSkipVerify = true
	config.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	config.VerifyConnection = func(state tls.ConnectionState) error {
		peer, err := view.Peer(&state)
		if err != nil {
			return err
		}
		if peer.Name != peerName {
			return waypost.Errorf(waypost.Unauthenticated, "%s answered where %s was expected", peer.Name, peerName)
		}
		return nil
	}
	return config
}

// PinnedTLS is the TLS configuration for connecting to whoever has a certificate
// with this key, showing none. With a zero pin the certificate authorities of
// the system decide.
func PinnedTLS(pin Digest) *tls.Config {
	config := baseTLS(tls.Certificate{})
	config.Certificates = nil
	if pin == (Digest{}) {
		return config
	}
	config.InsecureSkipVerify = true // VerifyConnection takes its place; see ServerTLS
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 || certKey(state.PeerCertificates[0]) != pin {
			return waypost.Errorf(waypost.Unauthenticated, "the certificate key is not the one that the roster names")
		}
		return nil
	}
	return config
}

// baseTLS is common to both sides. The hybrid key exchange comes first: what
// is recorded today stays closed to a quantum computer.
func baseTLS(cert tls.Certificate) *tls.Config {
	return &tls.Config{
		Certificates:     []tls.Certificate{cert},
		MinVersion:       tls.VersionTLS13,
		CurvePreferences: []tls.CurveID{tls.X25519MLKEM768, tls.X25519},
	}
}

// Peer returns the member at the other end of a connection made with
// ServerTLS or ClientTLS, judged by the roster of this moment: a handler that
// calls it for each request needs no other check of membership. The error is
// Unauthenticated or Expired and says what is wrong and with whom.
func (v *View) Peer(state *tls.ConnectionState) (Member, error) {
	if state == nil || len(state.PeerCertificates) == 0 {
		return Member{}, waypost.Errorf(waypost.Unauthenticated, "the peer showed no certificate")
	}
	cert := state.PeerCertificates[0]
	if err := v.chain().last().checkTime(v.now()); err != nil {
		return Member{}, err
	}
	m, ok := v.ByCert(certKey(cert))
	if !ok {
		return Member{}, waypost.Errorf(waypost.Unauthenticated, "the peer's certificate key is not in roster version %d", v.Current().Version)
	}
	if err := checkDates(m.Name, cert, v.now()); err != nil {
		return Member{}, err
	}
	return m, nil
}

func checkDates(name string, cert *x509.Certificate, now time.Time) error {
	switch {
	case now.Before(cert.NotBefore.Add(-clockSkew)):
		return waypost.Errorf(waypost.Expired, "the certificate of %s is valid only from %s: check both clocks", name, words(cert.NotBefore))
	case now.After(cert.NotAfter):
		return waypost.Errorf(waypost.Expired, "the certificate of %s expired on %s: it must be renewed there", name, words(cert.NotAfter))
	}
	return nil
}

// certKey is the pin of a certificate: the SHA-256 of its
// SubjectPublicKeyInfo, as in RFC 7469.
func certKey(cert *x509.Certificate) Digest {
	return sha256.Sum256(cert.RawSubjectPublicKeyInfo)
}
