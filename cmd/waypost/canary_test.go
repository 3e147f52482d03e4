package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/waypost/waypost"
)

// TestSealedFiles: what states hand each other opens to the recipient, whole,
// and to nobody else.
func TestSealedFiles(t *testing.T) {
	dir := t.TempDir()
	var keys []string
	var recipients []age.Recipient
	for _, name := range []string{"mine", "theirs"} {
		id, err := age.GenerateHybridIdentity()
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, filepath.Join(dir, name))
		recipients = append(recipients, id.Recipient())
		if err := os.WriteFile(keys[len(keys)-1], []byte(id.String()+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file, content := filepath.Join(dir, "file"), strings.Repeat("something", 20000)
	sealed, err := encrypted([]byte(content), recipients[:1])
	if err == nil {
		err = os.WriteFile(file, sealed, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got, err := decrypted(file, keys[:1], int64(len(content))); err != nil || string(got) != content {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := decrypted(file, keys[1:], int64(len(content))); err == nil {
		t.Error("a stranger reads the file")
	}
	if _, err := decrypted(file, keys[:1], int64(len(content))-1); err == nil {
		t.Error("a file beyond the limit is read")
	}
}

// TestSynthetic: a canary is a valid record of its state, and never the same.
func TestSynthetic(t *testing.T) {
	one, err := synthetic("CA", "AZ")
	if err != nil {
		t.Fatal(err)
	}
	two, err := synthetic("CA", "AZ")
	if err != nil {
		t.Fatal(err)
	}
	if one.ID == two.ID || one.Person == two.Person || one.Validate() != nil || one.Protected || one.Status != waypost.Valid || !strings.HasPrefix(one.ID, "CA-") {
		t.Errorf("%+v, %+v", one, two)
	}
}
