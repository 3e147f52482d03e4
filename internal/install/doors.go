package install

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"connectrpc.com/connect/v2"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/roster"
)

const (
	operatorsFolder = "operators"
	firstOperator   = "clerk-1"
	auditorsFolder  = "auditors"
	firstAuditor    = "auditor-1"
	unitFolder      = "unit"
	firstOfUnit     = "unit-1"
)

// operators are the certificates NAME.crt in a folder; each operator is named
// after the file.
func (f *Folder) operators(folder string) (gateway.Operators, error) {
	files, err := filepath.Glob(f.path(filepath.Join(folder, "*.crt")))
	if err != nil {
		return nil, err
	}
	operators := make(gateway.Operators, len(files))
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(filepath.Base(file), ".crt")
		block, _ := pem.Decode(raw)
		if block == nil || block.Type != "CERTIFICATE" {
			return nil, waypost.Errorf(waypost.InvalidArgument, "%s is not a certificate in PEM", file)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		key := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
		if other, twice := operators[key]; twice {
			return nil, waypost.Errorf(waypost.InvalidArgument, "%s has the key of %s: each operator needs a key of their own", file, other)
		}
		operators[key] = name
	}
	return operators, nil
}

// DialDoor connects to the counter door of the gateway in the folder, as the
// operator that Create made, for a client of any service there. It returns the
// door's URL too.
func DialDoor(dir string) (*connect.Client, string, error) {
	return dialDoor(dir, filepath.Join(operatorsFolder, firstOperator))
}

// DialAuditor is a Counter client as the auditor that Create made: for the calls
// of auditors, and no others.
func DialAuditor(dir string) (waypostv1connect.CounterClient, string, error) {
	door, url, err := dialDoor(dir, filepath.Join(auditorsFolder, firstAuditor))
	if err != nil {
		return nil, "", err
	}
	return waypostv1connect.NewCounterClient(door), url, nil
}

// DialUnit is DialDoor as the official of the special unit whom Create made: for
// the calls of the unit, and no others.
func DialUnit(dir string) (*connect.Client, string, error) {
	return dialDoor(dir, filepath.Join(unitFolder, firstOfUnit))
}

func dialDoor(dir, certificate string) (*connect.Client, string, error) {
	f := &Folder{Dir: dir}
	if err := readJSON(f.path("config.json"), &f.Config); err != nil {
		return nil, "", err
	}
	operator, err := loadCertificate(f.path(certificate))
	if err != nil {
		return nil, "", err
	}
	counter, err := loadCertificate(f.path("counter"))
	if err != nil {
		return nil, "", err
	}
	url := "https://" + f.Config.Listen
	return gateway.DialDoor(url, operator, pin(counter)), url, nil
}

// NameOf returns the roster name of the member that a folder is for.
func NameOf(dir string) (string, error) {
	f := &Folder{Dir: dir}
	err := readJSON(f.path("config.json"), &f.Config)
	return f.Config.Name, err
}

// RoleOf returns the role that a folder is for.
func RoleOf(dir string) (roster.Role, error) {
	f := &Folder{Dir: dir}
	err := readJSON(f.path("config.json"), &f.Config)
	return f.Config.Role, err
}
