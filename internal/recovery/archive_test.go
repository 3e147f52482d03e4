package recovery

import (
	"archive/tar"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/roster"
)

var testKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

func testHead(kind string) Head {
	return Head{Type: archiveType, Kind: kind, Role: roster.Hub, Member: "hub", Made: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
}

// made is an archive with these files.
func made(t testing.TB, kind string, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := newWriter(&b, testHead(kind))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if err := w.add(name, int64(len(name)), strings.NewReader(name)); err != nil {
			t.Fatal(err)
		}
	}
	w.manifest.Logs = []Log{{Origin: "waypost.test/hub/1", Size: 3, Root: "00"}}
	if err := w.finish(testKey); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func readAll(raw []byte) (a *archive, files map[string]string, err error) {
	files = make(map[string]string)
	a, err = read(bytes.NewReader(raw), func(Head) error { return nil }, func(name string, size int64, content io.Reader) error {
		if len(files)%2 == 1 {
			return nil // not every reader wants every file
		}
		b, err := io.ReadAll(content)
		files[name] = string(b)
		return err
	})
	return a, files, err
}

// TestArchive: what was written is read, whoever reads it by half too; what was changed on
// the way, cut off, or put in is refused.
func TestArchive(t *testing.T) {
	raw := made(t, Data, "config.json", "roster/000001", "database.sqlite")
	a, files, err := readAll(raw)
	if err != nil || a.Head != testHead(Data) || len(a.Files) != 3 || a.Logs[0].Size != 3 || files["config.json"] != "config.json" {
		t.Fatalf("%+v, %v, %v", a, files, err)
	}
	if err := a.verify(testKey.Public().(ed25519.PublicKey)); err != nil {
		t.Error(err)
	}
	if err := a.verify(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public().(ed25519.PublicKey)); err == nil {
		t.Error("an archive of somebody else was taken")
	}
	for at := 0; at < len(raw); at += 5 {
		changed := bytes.Clone(raw)
		changed[at] ^= 0x20
		a, again, err := readAll(changed)
		if err != nil || a.verify(testKey.Public().(ed25519.PublicKey)) != nil {
			continue
		}
		for name, content := range again { // in what tar does not mind, as times and padding
			if files[name] != content {
				t.Fatalf("a change at %d went through: %s is %q", at, name, content)
			}
		}
	}
	end := bytes.LastIndex(raw, []byte(hex.EncodeToString(a.signature))) + 2*ed25519.SignatureSize
	for n := 0; n < end; n += 97 { // what follows is padding
		if _, _, err := readAll(raw[:n]); err == nil {
			t.Fatalf("%d of %d bytes were taken for an archive", n, len(raw))
		}
	}
	if _, _, err := readAll(append(bytes.TrimRight(bytes.Clone(raw), "\x00"), raw...)); err == nil {
		t.Error("two archives were taken for one")
	}
}

// TestPaths: no archive leads out of the folder, and none has secrets beside data.
func TestPaths(t *testing.T) {
	for name, want := range map[string]string{
		"config.json": Data, "operators/alice.crt": Data, "log/hub/1/evidence/ab.json": Data, "database.sqlite": Data,
		"identity.key": Keys, "label.key": Keys, "share/1-ab.age": Keys, "identities/1-ab.key": Keys, "counter.key": Keys,
		"../x": "", "/etc/passwd": "", "a/../b": "", ".hidden": "", "a/.b": "", "": "", ".": "", "a\\b": "", "c:x": "", "manifest.json": "",
		"x/head.json": "", strings.Repeat("a", 256): "",
	} {
		for _, kind := range []string{Data, Keys} {
			if err := checkPath(kind, name); (err == nil) != (kind == want) {
				t.Errorf("%q in an archive of %s: %v", name, kind, err)
			}
		}
	}
	for _, h := range []tar.Header{
		{Name: "config.json", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, {Name: "../config.json", Typeflag: tar.TypeReg},
		{Name: "label.key", Typeflag: tar.TypeReg}, {Name: "operators", Typeflag: tar.TypeDir},
	} {
		var b bytes.Buffer
		w, err := newWriter(&b, testHead(Data))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.tar.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		w.manifest.Files = []File{{Path: h.Name, SHA256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}}
		if err := w.finish(testKey); err != nil {
			t.Fatal(err)
		}
		if _, _, err := readAll(b.Bytes()); err == nil {
			t.Errorf("%s of type %c was taken", h.Name, h.Typeflag)
		}
	}
}

// TestSparse: a file of zeros that do not lie in the archive is refused. The tar package
// reads such files and does not write them, so the name of their records is put in last.
func TestSparse(t *testing.T) {
	var b bytes.Buffer
	w, err := newWriter(&b, testHead(Data))
	if err != nil {
		t.Fatal(err)
	}
	const zeros = 1 << 20
	h := &tar.Header{Typeflag: tar.TypeReg, Name: "config.json", Mode: 0o600, ModTime: w.made, Format: tar.FormatPAX, PAXRecords: map[string]string{
		"GNU-sparse.major": "0", "GNU-sparse.minor": "1", "GNU-sparse.size": fmt.Sprint(zeros), "GNU-sparse.numblocks": "1", "GNU-sparse.map": "0,0",
	}}
	if err := w.tar.WriteHeader(h); err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(make([]byte, zeros))
	w.manifest.Files = append(w.manifest.Files, File{"config.json", zeros, hex.EncodeToString(digest[:])})
	if err := w.finish(testKey); err != nil {
		t.Fatal(err)
	}
	sparse := bytes.ReplaceAll(b.Bytes(), []byte("GNU-sparse."), []byte("GNU.sparse."))
	r := tar.NewReader(bytes.NewReader(sparse))
	_, headErr := r.Next()
	if first, err := r.Next(); headErr != nil || err != nil || first.Size != zeros || first.Typeflag != tar.TypeReg {
		t.Fatalf("not the file that is meant: %+v, %v, %v", first, headErr, err)
	}
	if _, _, err := readAll(sparse); err == nil {
		t.Errorf("%d zeros came out of %d bytes", zeros, len(sparse))
	}
}

// FuzzArchive: whatever the bytes are, no file gets a name that leads elsewhere, and what
// is read to its end lists exactly what was in it.
func FuzzArchive(f *testing.F) {
	f.Add(made(f, Data, "config.json", "roster/000001"))
	f.Add(made(f, Keys, "label.key"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var names []string
		a, err := read(bytes.NewReader(raw), func(Head) error { return nil }, func(name string, size int64, _ io.Reader) error {
			if strings.Contains(name, "..") && checkPath(Data, name) != nil && checkPath(Keys, name) != nil || size < 0 {
				t.Errorf("%q of %d bytes", name, size)
			}
			names = append(names, name)
			return nil
		})
		if err == nil && len(a.Files) != len(names) {
			t.Errorf("%d files listed, %d read", len(a.Files), len(names))
		}
	})
}
