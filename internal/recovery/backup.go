package recovery

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/durable"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/publisher"
	"github.com/waypost/waypost/internal/store"
)

// BackupOptions say what to copy, and where to.
type BackupOptions struct {
	Dir        string          // the role's folder; the role may run
	To         string          // the archive, which must not be there yet
	Recipients []age.Recipient // who can open it, at least one: of the kind that journal.ParseRecipients takes
	// Keys copies the secrets of the folder, and nothing else; else everything but them.
	Keys bool
	// WithoutShares leaves a key holder's shares and what opens them out of the keys.
	WithoutShares bool
	Now           func() time.Time
	// Progress may be nil. It is told how far a part has come, in units of that part.
	Progress func(part string, done, total int64)
}

// Report says what an archive holds.
type Report struct {
	File   string `json:"file"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // of the archive, hex
	Head
	Files   int      `json:"files"`
	Logs    []Log    `json:"logs,omitempty"`
	LeftOut []string `json:"left_out,omitempty"` // what has to be copied apart, in words
}

// logsName is what the files of published logs begin with in an archive.
const logsName = "log/"

// backup is one run.
type backup struct {
	BackupOptions
	folder *install.Folder
	temp   string // for copies of databases, in clear
	parts  []part
	logs   []Log
	left   []string
}

// part is one file to be archived.
type part struct {
	name, path string
	size       int64
}

// Backup copies a role's folder into one archive, encrypted for the recipients, and reads
// that back before it gets its name. A file database is copied at one moment while the role
// runs, and one on a server by pg_dump: into the role's folder first, so that there must be
// room for the copy there.
func Backup(ctx context.Context, o BackupOptions) (rep Report, err error) {
	if len(o.Recipients) == 0 {
		return rep, waypost.Errorf(waypost.InvalidArgument, "nobody could open the archive: name an age recipient (age-keygen makes one, to be kept off this machine)")
	}
	b := &backup{BackupOptions: o}
	if b.Progress == nil {
		b.Progress = func(string, int64, int64) {}
	}
	if b.folder, err = install.OpenFolder(o.Dir, o.Now); err != nil {
		return rep, err
	}
	if b.folder.Config.Role == install.Witness {
		return rep, waypost.Errorf(waypost.InvalidArgument, "a witness is not backed up: one that came back from an older time would cosign what contradicts it. If it is lost, have governance name a new key")
	}
	if _, err := os.Lstat(o.To); !errors.Is(err, fs.ErrNotExist) {
		return rep, waypost.Errorf(waypost.AlreadyExists, "%s is there already: a backup overwrites nothing", o.To)
	}
	if !b.Keys {
		// In the role's own folder: what is copied there is in clear, and the archive may go
		// to a share or to a disk that is carried away.
		space, err := newWorkspace(filepath.Join(b.Dir, ".backup"))
		if err != nil {
			return rep, err
		}
		b.temp = space.dir
		defer func() { err = errors.Join(err, space.close()) }()
	}
	if err := b.gather(ctx); err != nil {
		return rep, err
	}
	return b.write()
}

// gather makes the copies, and lists what is archived.
func (b *backup) gather(ctx context.Context) error {
	if !b.Keys {
		if err := b.databases(ctx); err != nil {
			return err
		}
	}
	return b.walk()
}

// databases copies what the role keeps. Its own database comes first: of people who are
// recorded in between, it knows nothing that the state's system does not.
func (b *backup) databases(ctx context.Context) error {
	main, people := b.folder.Databases()
	file, err := b.copyDatabase(ctx, "database", main)
	if err != nil {
		return err
	}
	if err := b.positions(ctx, main, file); err != nil {
		return err
	}
	if people != "" {
		_, err = b.copyDatabase(ctx, "people", people)
	}
	return err
}

func (b *backup) copyDatabase(ctx context.Context, name, url string) (file string, err error) {
	b.Progress("copying "+name, 0, 1)
	suffix := ".pgdump"
	if strings.HasPrefix(url, "sqlite:") {
		suffix = ".sqlite"
	}
	file = filepath.Join(b.temp, name+suffix)
	if suffix == ".sqlite" {
		err = store.Snapshot(ctx, url, file)
	} else {
		err = dump(ctx, url, file)
	}
	if err != nil {
		return "", err
	}
	info, err := os.Stat(file)
	if err != nil {
		return "", err
	}
	b.parts = append(b.parts, part{name + suffix, file, info.Size()})
	return file, nil
}

// positions reads how far each log has come: in the copy, which opens by that, or on a
// server as it was before the dump.
func (b *backup) positions(ctx context.Context, url, file string) (err error) {
	if strings.HasSuffix(file, ".sqlite") {
		url = "sqlite:" + file
		defer func() { err = errors.Join(err, os.Remove(file+".lock"), b.resize(file)) }()
	}
	db, err := store.Open(ctx, url, string(b.folder.Config.Role))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	read := int64(0)
	list, err := journal.Positions(ctx, db, func(n int64) { read += n; b.Progress("reading the ledger", read, 0) })
	for _, p := range list {
		l := Log{Origin: p.Origin, Size: p.N, Root: hex.EncodeToString(p.Hash[:])}
		if place, err := publisher.Place(p.Origin); err == nil {
			l.Checkpoint, _ = os.ReadFile(filepath.Join(b.folder.LogFolder(), filepath.FromSlash(place), "checkpoint")) // there may be none
		}
		b.logs = append(b.logs, l)
	}
	return err
}

// resize notes the size of a copy after it was opened and closed.
func (b *backup) resize(file string) error {
	info, err := os.Stat(file)
	if err == nil {
		b.parts[len(b.parts)-1].size = info.Size()
	}
	return err
}

// walk lists the files of the folder that go into this archive. What is published is made
// again from the journal, but for evidence.
func (b *backup) walk() error {
	kind := Data
	if b.Keys {
		kind = Keys
	}
	shares, identities := b.folder.ShareFolders()
	if b.WithoutShares && below(b.Dir, identities) {
		return waypost.Errorf(waypost.InvalidArgument, "%s (share_identities) has other keys of this role too, which could not be told from what opens its shares: move the identities to a folder of their own", identities)
	}
	err := filepath.WalkDir(b.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(b.Dir, path)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		switch {
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || path == b.folder.LogFolder()):
			return fs.SkipDir
		case !d.Type().IsRegular() || passing(name):
			return nil
		case b.WithoutShares && (below(path, shares) || below(path, identities)):
			b.leave("a share or what opens it: " + name)
			return nil
		case checkPath(kind, name) != nil:
			if kind == Data && secret(name) {
				b.leave("secret, for an archive of its own (--keys): " + name)
			}
			return nil
		}
		return b.list(name, path)
	})
	if err == nil && !b.Keys {
		err = b.evidence()
	}
	if b.Keys && !b.WithoutShares && b.folder.Config.ShareIdentities != "" && !below(identities, b.Dir) {
		b.leave("what opens the shares lies outside the folder: " + identities)
	}
	return err
}

// below reports whether a path is a folder or in it, wherever links lead.
func below(path, folder string) bool {
	led := func(path string) string {
		if at, err := filepath.EvalSymlinks(path); err == nil {
			path = at
		}
		if at, err := filepath.Abs(path); err == nil {
			path = at
		}
		return path
	}
	rel, err := filepath.Rel(led(folder), led(path))
	return err == nil && filepath.IsLocal(rel)
}

func (b *backup) list(name, path string) error {
	info, err := os.Stat(path)
	if err == nil {
		b.parts = append(b.parts, part{name, path, info.Size()})
	}
	return err
}

// evidence lists what the role has published against others.
func (b *backup) evidence() error {
	files, err := filepath.Glob(filepath.Join(b.folder.LogFolder(), b.folder.Config.Name, "*", "evidence", "*.json"))
	if err != nil {
		return err
	}
	for _, path := range files {
		rel, err := filepath.Rel(b.folder.LogFolder(), path)
		if err != nil {
			return err
		}
		if err := b.list(logsName+filepath.ToSlash(rel), path); err != nil {
			return err
		}
	}
	return nil
}

func (b *backup) leave(words string) { b.left = append(b.left, words) }

// passing holds for files that are no part of a role: databases, which are copied
// otherwise, locks, and what a supervisor has left.
func passing(name string) bool {
	base := filepath.Base(name)
	if strings.HasPrefix(base, ".") {
		return true
	}
	for _, suffix := range []string{".db", ".db-wal", ".db-shm", ".db-journal", ".lock", ".log", ".tmp"} {
		if strings.HasSuffix(base, suffix) {
			return true
		}
	}
	return false
}

// write writes the archive, reads it back, and gives it its name.
func (b *backup) write() (rep Report, err error) {
	// With an identity of its own, which is never stored, it reads the archive back.
	own, err := age.GenerateHybridIdentity()
	if err != nil {
		return rep, err
	}
	file, err := os.CreateTemp(filepath.Dir(b.To), ".waypost-backup-*") // mode 0600
	if err != nil {
		return rep, err
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()
	head := Head{Type: archiveType, Kind: Data, Role: b.folder.Config.Role, Member: b.folder.Config.Name, Made: b.Now().UTC().Truncate(time.Second)}
	if b.Keys {
		head.Kind = Keys
	}
	sum := sha256.New()
	if err := b.encrypt(io.MultiWriter(file, sum), head, append([]age.Recipient{own.Recipient()}, b.Recipients...)); err != nil {
		return rep, err
	}
	size, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return rep, err
	}
	if err := b.readBack(file, own, sum, size); err != nil {
		return rep, fmt.Errorf("the archive was written and cannot be read back: %w", err)
	}
	if err := b.name(file); err != nil {
		return rep, err
	}
	return Report{File: b.To, Bytes: size, SHA256: hex.EncodeToString(sum.Sum(nil)), Head: head, Files: len(b.parts), Logs: b.logs, LeftOut: b.left}, nil
}

// name gives the archive its name, once it is on the disk.
func (b *backup) name(file *os.File) error {
	if err := file.Sync(); err != nil {
		return err
	}
	if err := os.Link(file.Name(), b.To); err != nil {
		return err
	}
	return durable.SyncFolder(filepath.Dir(b.To))
}

func (b *backup) encrypt(w io.Writer, head Head, to []age.Recipient) error {
	sealed, err := age.Encrypt(w, to...)
	if err != nil {
		return fmt.Errorf("encrypting for the recipients: %w", err)
	}
	a, err := newWriter(sealed, head)
	if err != nil {
		return err
	}
	a.manifest.Logs = b.logs
	var total, done int64
	for _, p := range b.parts {
		total += p.size
	}
	for _, p := range b.parts {
		err := func() error {
			f, err := os.Open(p.path)
			if err != nil {
				return err
			}
			defer f.Close()
			return a.add(p.name, p.size, counted{f, func(n int64) { done += n; b.Progress("writing", done, total) }})
		}()
		if err != nil {
			return err
		}
	}
	return errors.Join(a.finish(b.folder.Identity), sealed.Close())
}

// readBack reads the archive from the disk as a restore would, to its signature.
func (b *backup) readBack(file *os.File, identity age.Identity, written hash.Hash, size int64) error {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	again, done := sha256.New(), int64(0)
	raw := counted{file, func(n int64) { done += n; b.Progress("reading it back", done, size) }}
	opened, err := age.Decrypt(io.TeeReader(raw, again), identity)
	if err != nil {
		return err
	}
	a, err := read(opened, func(Head) error { return nil }, func(string, int64, io.Reader) error { return nil })
	if err != nil {
		return err
	}
	if string(again.Sum(nil)) != string(written.Sum(nil)) {
		return errors.New("the disk returns other bytes")
	}
	return a.verify(b.folder.Identity.Public().(ed25519.PublicKey))
}

// counted tells how much was read.
type counted struct {
	io.Reader
	count func(n int64)
}

// Read implements io.Reader.
func (c counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.count(int64(n))
	return n, err
}
