package doctor_test

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io/fs"
	"log/slog"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"crypto/rand"

	"go.uber.org/goleak"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/doctor"
	"github.com/waypost/waypost/internal/install"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// config is of an exchange of AZ and CA, with three key holders of whom two are needed.
func config(dir string) cluster.Config {
	return cluster.Config{Dir: dir, States: []waypost.Jurisdiction{"AZ", "CA"}, Holders: 3, Threshold: 2, Log: slog.New(slog.DiscardHandler)}
}

// made is the folder of an exchange that never ran.
func made(t *testing.T, change func(*install.Plan)) string {
	t.Helper()
	dir := t.TempDir()
	plan := install.Plan{States: []waypost.Jurisdiction{"AZ", "CA"}, Holders: 3, Threshold: 2, Quota: cluster.Ample, Now: time.Now()}
	if change != nil {
		change(&plan)
	}
	must(t, install.Create(dir, plan))
	return dir
}

// says looks for a finding at a level whose words and next step have the texts.
func says(r doctor.Report, level doctor.Level, what, words, next string) bool {
	for _, f := range r.Findings {
		if f.Level == level && strings.Contains(f.What, what) && strings.Contains(f.Words, words) && strings.Contains(f.Next, next) {
			return true
		}
	}
	return false
}

// text is a report for a failed test.
func text(r doctor.Report) string {
	raw, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

// wrongs are the findings that are wrong.
func wrongs(r doctor.Report) (all []doctor.Finding) {
	for _, f := range r.Findings {
		if f.Level == doctor.Wrong {
			all = append(all, f)
		}
	}
	return all
}

// tree is the content, mode and time of every file below a folder.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	must(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		content := info.Mode().String() + " " + info.ModTime().String()
		if !entry.IsDir() {
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			sum := sha256.Sum256(raw)
			content += string(sum[:])
		}
		files[path] = content
		return nil
	}))
	return files
}

// unchanged runs look and insists that no file below dir was made, changed or removed.
func unchanged(t *testing.T, dir string, look func()) {
	t.Helper()
	before := tree(t, dir)
	look()
	after := tree(t, dir)
	if maps.Equal(before, after) {
		return
	}
	for path := range after {
		if before[path] != after[path] {
			t.Errorf("%s was changed or made", path)
		}
	}
	for path := range before {
		if _, ok := after[path]; !ok {
			t.Errorf("%s was removed", path)
		}
	}
}

// edit changes config.json.
func edit(t *testing.T, folder string, change func(c map[string]any)) {
	t.Helper()
	path := filepath.Join(folder, "config.json")
	raw, err := os.ReadFile(path)
	must(t, err)
	var c map[string]any
	must(t, json.Unmarshal(raw, &c))
	change(c)
	raw, err = json.Marshal(c)
	must(t, err)
	must(t, os.WriteFile(path, raw, 0o600))
}

// renewed writes a certificate for the key of FILE.key, valid from and until.
func renewed(t *testing.T, folder, file string, from, until time.Time) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(folder, file+".crt"), filepath.Join(folder, file+".key"))
	must(t, err)
	model := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pair.Leaf.Subject, DNSNames: []string{"localhost"}, NotBefore: from, NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, model, model, pair.Leaf.PublicKey, pair.PrivateKey)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(folder, file+".crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
}

// only is the one file that fits a pattern.
func only(t *testing.T, pattern ...string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(pattern...))
	must(t, err)
	if len(files) != 1 {
		t.Fatalf("%d files fit %v", len(files), pattern)
	}
	return files[0]
}
