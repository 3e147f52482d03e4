package recovery

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/durable"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/store"
)

// Choice is how a restored role goes on where something may have been done after the backup.
type Choice int

const (
	// Ask refuses, in words, unless nothing can have been done.
	Ask Choice = iota
	// Newest goes on in the same log: the operator knows that nothing was acknowledged
	// after this copy was made. It is refused where others have seen more.
	Newest
	// Successor closes the log and begins another.
	Successor
)

// RestoreOptions say what to bring back, and where to.
type RestoreOptions struct {
	From       string // archive of Data
	Keys       string // archive of Keys, or a folder with the secrets
	Identities []age.Identity
	Dir        string // the role's folder, which must not be there yet
	// Database and People name empty databases on a server that take the place of those
	// that the backup's config names; needed where they are on a server.
	Database, People string
	Rosters          string // a folder with rosters that are newer than the backup's, or empty
	Choice           Choice
	Now              func() time.Time
	Log              *slog.Logger
	// Progress may be nil. It is told how far a part has come, in units of that part.
	Progress func(part string, done, total int64)
}

// Fate is what became of one of the role's logs.
type Fate struct {
	Origin   string   `json:"origin"`
	Restored int64    `json:"restored"` // entries that came back
	Seen     int64    `json:"seen"`     // entries that others know
	By       []string `json:"seen_by,omitempty"`
	Silent   []string `json:"silent,omitempty"` // who could not be asked
	// Successor is the log that goes on instead; empty where this one does.
	Successor string `json:"successor,omitempty"`
	Lost      int64  `json:"lost"` // entries that others know and that are nowhere any more
	Words     string `json:"words"`
}

// Restored says what came back.
type Restored struct {
	Dir string `json:"dir"`
	Head
	Files int      `json:"files"`
	Logs  []Fate   `json:"logs"`
	Then  []string `json:"then,omitempty"` // what is left to do, in words
}

// restore is one run.
type restore struct {
	RestoreOptions
	temp   string
	folder *install.Folder
	dumps  map[string]string // of databases on a server: dump by "database", "people"
}

// Restore brings a role's folder back from archives. It overwrites nothing. Before the
// folder gets its name the position of each log is compared with what witnesses, doors and
// the hub know of it. Where they know more, or where more may have been promised, the
// [Choice] decides; an error says what it is about, with the numbers.
func Restore(ctx context.Context, o RestoreOptions) (rep Restored, err error) {
	r := &restore{RestoreOptions: o, dumps: make(map[string]string)}
	if r.Progress == nil {
		r.Progress = func(string, int64, int64) {}
	}
	if r.Dir, err = filepath.Abs(o.Dir); err != nil {
		return rep, err
	}
	if _, err := os.Lstat(r.Dir); !errors.Is(err, fs.ErrNotExist) {
		return rep, waypost.Errorf(waypost.AlreadyExists, "%s is there already: a restore overwrites nothing; move it away first, and keep it", r.Dir)
	}
	if err := os.MkdirAll(filepath.Dir(r.Dir), 0o700); err != nil {
		return rep, err
	}
	// Beside its place, so that it gets its name at once and whole.
	space, err := newWorkspace(filepath.Join(filepath.Dir(r.Dir), ".waypost-restore-"+filepath.Base(r.Dir)))
	if err != nil {
		return rep, err
	}
	defer func() { err = errors.Join(err, space.close()) }()
	r.temp = space.dir
	a, err := r.unpack()
	if err != nil {
		return rep, err
	}
	rep = Restored{Dir: r.Dir, Head: a.Head, Files: len(a.Files)}
	if err := r.loadDumps(ctx); err != nil {
		return rep, err
	}
	if rep.Logs, rep.Then, err = r.position(ctx, a); err != nil {
		return rep, r.filled(err)
	}
	for _, dump := range r.dumps {
		if err := os.Remove(dump); err != nil {
			return rep, err
		}
	}
	if err := r.settle(); err != nil {
		return rep, err
	}
	return rep, nil
}

// settle gives the folder its name, once all that is in it is on the disk.
func (r *restore) settle() error {
	if err := durable.SyncTree(r.temp); err != nil {
		return err
	}
	if err := os.Rename(r.temp, r.Dir); err != nil {
		return err
	}
	return durable.SyncFolder(filepath.Dir(r.Dir))
}

// unpack brings all files into the temporary folder, and checks that they are of one
// member, which made the archive.
func (r *restore) unpack() (*archive, error) {
	a, err := r.open(r.From, Data)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(r.Keys); err != nil {
		return nil, waypost.Errorf(waypost.NotFound, "the role's keys are needed beside the backup (an archive that waypost backup --keys made, or a folder that has them)").WithCause(err)
	} else if info.IsDir() {
		if err := r.copyKeys(); err != nil {
			return nil, err
		}
	} else if k, err := r.open(r.Keys, Keys); err != nil {
		return nil, err
	} else if k.Member != a.Member {
		return nil, waypost.Errorf(waypost.InvalidArgument, "these are the keys of %s, and the backup is of %s", k.Member, a.Member)
	}
	if err := r.takeRosters(); err != nil {
		return nil, err
	}
	if r.folder, err = install.OpenFolder(r.temp, r.Now); err != nil {
		return nil, fmt.Errorf("what came back cannot be opened: %w (rosters that are newer than the backup lie at the public doors: give a folder with them)", err)
	}
	if r.folder.Config.Name != a.Member || r.folder.Config.Role != a.Role {
		return nil, damaged("its settings are of another member than it says")
	}
	if err := a.verify(r.folder.Identity.Public().(ed25519.PublicKey)); err != nil {
		return nil, err
	}
	return a, r.place()
}

// open reads an archive into the temporary folder.
func (r *restore) open(file, kind string) (_ *archive, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	done := int64(0)
	opened, err := age.Decrypt(counted{f, func(n int64) { done += n; r.Progress("reading "+kind, done, info.Size()) }}, r.Identities...)
	if err != nil {
		return nil, waypost.Errorf(waypost.PermissionDenied, "%s cannot be opened with this identity", file).WithCause(err)
	}
	return read(opened, func(h Head) error {
		if h.Kind != kind {
			return waypost.Errorf(waypost.InvalidArgument, "%s is an archive of %s, not of %s", file, h.Kind, kind)
		}
		return nil
	}, func(name string, _ int64, content io.Reader) error { return r.write(name, content) })
}

func (r *restore) write(name string, content io.Reader) error {
	path := filepath.Join(r.temp, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Sync(), f.Close())
}

// copyKeys takes the secrets from a folder, a role's old one for example.
func (r *restore) copyKeys() error {
	root, err := os.OpenRoot(r.Keys)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || checkPath(Keys, name) != nil {
			return err // what is no secret is left where it is
		}
		f, err := root.Open(name)
		if err != nil {
			return err
		}
		return errors.Join(r.write(name, f), f.Close())
	})
}

// takeRosters adds versions that the backup does not have. Whether they continue its own
// is seen when the folder is opened.
func (r *restore) takeRosters() error {
	if r.Rosters == "" {
		return nil
	}
	files, err := filepath.Glob(filepath.Join(r.Rosters, "[0-9][0-9][0-9][0-9][0-9][0-9]"))
	if err == nil && len(files) == 0 {
		err = waypost.Errorf(waypost.NotFound, "%s has no rosters (000001, 000002, ...)", r.Rosters)
	}
	for _, file := range files {
		name := "roster/" + filepath.Base(file)
		if _, have := os.Lstat(filepath.Join(r.temp, filepath.FromSlash(name))); have == nil {
			continue
		}
		f, openErr := os.Open(file)
		if openErr != nil {
			return openErr
		}
		if err := errors.Join(r.write(name, f), f.Close()); err != nil {
			return err
		}
	}
	return err
}

// place puts the copies of databases where the settings say, and changes those where a
// database is to be another.
func (r *restore) place() error {
	c := &r.folder.Config
	for _, one := range []struct {
		name    string
		setting *string
		instead string
	}{{"database", &c.Database, r.Database}, {"people", &c.People, r.People}} {
		copied := filepath.Join(r.temp, one.name+".sqlite")
		_, err := os.Stat(copied)
		switch dumped := filepath.Join(r.temp, one.name+".pgdump"); {
		case err == nil && one.instead == "":
			base := filepath.Base(strings.TrimPrefix(*one.setting, "sqlite:"))
			*one.setting = "sqlite:" + base
			if err := os.Rename(copied, filepath.Join(r.temp, base)); err != nil {
				return err
			}
		case err == nil:
			return waypost.Errorf(waypost.InvalidArgument, "the %s of this backup is a file, which cannot become one on a server", one.name)
		case *one.setting == "":
		default:
			if _, err := os.Stat(dumped); err != nil {
				return damaged("it has no %s", one.name)
			}
			if one.instead == "" {
				return waypost.Errorf(waypost.InvalidArgument, "the %s of this backup was on a server: name an empty database on one (--%s postgres://...)", one.name, one.name)
			}
			*one.setting, r.dumps[one.name] = one.instead, dumped
		}
	}
	return r.folder.Configure(func(*install.Config) {})
}

// filled adds to an error what else the operator has to know: what was put into a database
// on a server stays there, and a file is thrown away.
func (r *restore) filled(err error) error {
	if len(r.dumps) == 0 {
		return err
	}
	return fmt.Errorf("%w. The databases named on a server may be filled by now, and nothing uses them: drop them, and name new ones when this is run again", err)
}

// loadDumps fills databases on a server, once all of them are seen to be empty.
func (r *restore) loadDumps(ctx context.Context) error {
	main, people := r.folder.Databases()
	urls := map[string]string{"database": main, "people": people}
	for name := range r.dumps {
		empty, err := store.Empty(ctx, urls[name])
		if err == nil && !empty {
			err = waypost.Errorf(waypost.AlreadyExists, "the database named for %s has tables already: a restore overwrites nothing; name an empty one", name)
		}
		if err != nil {
			return err
		}
	}
	for name, dump := range r.dumps {
		r.Progress("loading "+name, 0, 1)
		if err := load(ctx, urls[name], dump); err != nil {
			return r.filled(err)
		}
	}
	return nil
}
