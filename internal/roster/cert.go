package roster

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"time"

	"github.com/waypost/waypost"
)

// NewCertificate makes an Ed25519 key and a self-signed TLS certificate for a
// member: PEM of both and the key's pin for the roster. The hosts, names or
// IP addresses, are for the eyes of people and tools; members check the pin.
func NewCertificate(name string, hosts []string, validity time.Duration) (certPEM, keyPEM []byte, spki Digest, err error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, Digest{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, Digest{}, err
	}
	certPEM, spki, err = selfSign(key, name, hosts, validity)
	return certPEM, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), spki, err
}

// RenewCertificate makes a new certificate for the key of an old one. The pin
// stays the same, so that the roster need not change.
func RenewCertificate(keyPEM []byte, name string, hosts []string, validity time.Duration) (certPEM []byte, spki Digest, err error) {
	block, _ := pem.Decode(keyPEM)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, Digest{}, waypost.Errorf(waypost.InvalidArgument, "the key file does not hold a PEM block PRIVATE KEY")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, Digest{}, waypost.Errorf(waypost.InvalidArgument, "the key file does not hold an Ed25519 key")
	}
	return selfSign(key, name, hosts, validity)
}

func selfSign(key ed25519.PrivateKey, name string, hosts []string, validity time.Duration) ([]byte, Digest, error) {
	if validity <= 0 {
		return nil, Digest{}, waypost.Errorf(waypost.InvalidArgument, "a certificate must be valid for some time")
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, Digest{}, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "waypost " + name},
		NotBefore:    now.Add(-time.Hour), // the peer's clock may be behind
		NotAfter:     now.Add(validity),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, Digest{}, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, Digest{}, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), certKey(cert), nil
}
