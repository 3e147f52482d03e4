package seized

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"filippo.io/age"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/drill/attack"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/population"
	"github.com/waypost/waypost/internal/recovery"
)

// steal copies the hub's database while people are checked and get their cards, as a
// backup, and once more when the hub has stopped.
func (t *theft) steal(ctx context.Context) (err error) {
	stopped := false // and closed
	defer func() {
		if !stopped {
			err = errors.Join(err, t.x.Close())
		}
	}()
	for _, what := range []string{"running", "after", "archives", "backup", "keys", "read"} {
		if t.files[what], err = t.Dir(what); err != nil {
			return err
		}
	}
	if err := t.plant(ctx); err != nil {
		return err
	}
	database := filepath.Join(t.x.Dir, "hub", "hub.db")
	busy, stop := context.WithCancel(ctx)
	served, some := make(chan error, 1), make(chan struct{})
	go func() { served <- t.serve(busy, some) }()
	select {
	case <-some:
	case err := <-served:
		stop()
		return errors.Join(err, ctx.Err())
	}
	t.running, err = t.copied(ctx, database)
	if err == nil {
		err = t.archive(ctx, t.x)
	}
	stop()
	if err = errors.Join(err, <-served); err != nil {
		return err
	}
	stopped = true
	if err := t.x.Close(); err != nil {
		return err
	}
	if _, err := attack.Copy(database, t.files["after"]); err != nil {
		return err
	}
	if t.after, err = attack.ReadIndex(ctx, "sqlite:"+filepath.Join(t.files["after"], "hub.db")); err != nil {
		return err
	}
	// Reading it leaves a lock beside it, which is no part of what is searched later.
	read, err := attack.Copy(filepath.Join(t.files["backup"], "database.sqlite"), t.files["read"])
	if err != nil {
		return err
	}
	t.backup, err = attack.ReadIndex(ctx, "sqlite:"+read)
	return err
}

// archive makes archives of the hub as `waypost backup` does while it runs, of its data
// and, apart, of its keys, and opens them, as who has them and what opens them.
func (t *theft) archive(ctx context.Context, x *drill.Exchange) error {
	identity, err := age.GenerateHybridIdentity()
	if err != nil {
		return err
	}
	for what, keys := range map[string]bool{"backup": false, "keys": true} {
		file := filepath.Join(t.files["archives"], what+".age")
		if _, err := recovery.Backup(ctx, recovery.BackupOptions{
			Dir: filepath.Join(x.Dir, "hub"), To: file, Recipients: []age.Recipient{identity.Recipient()}, Keys: keys, Now: x.Clock.Now,
		}); err != nil {
			return err
		}
		if err := attack.Unpack(file, identity, t.files[what]); err != nil {
			return err
		}
	}
	return nil
}

// plant gives some people of the likeliest names cards of NV, every other one without an
// SSN: in a nation there are thousands of them, among a few hundred people hardly one.
func (t *theft) plant(ctx context.Context) error {
	door, _, err := cluster.Door(t.x.Dir, "NV")
	if err != nil {
		return err
	}
	file, dates := waypostv1connect.NewRecordsClient(door), t.dates()
	var people []waypost.Person
	population.EachLikely(func(l population.Likely) bool {
		if born := dates[l.Decade]; len(born) > 0 {
			people = append(people, waypost.Person{Family: l.Family, Given: l.Given, Sex: l.Sex, Born: born[0]})
		}
		return len(people) < planted
	})
	for i, who := range people {
		if i%2 == 1 {
			who.SSN5 = fmt.Sprintf("%05d", 30_001+i)
		}
		r := t.x.Records["NV"][0]
		r.Person, r.ID, r.CardNumber = who, fmt.Sprintf("NV-LIKELY-%05d", i), fmt.Sprintf("SYNNVLIKELY%05d", i)
		answer, err := t.x.Made(ctx, "NV", who, waypost.IssueLicence, fmt.Sprintf("LIKELY-%d", i))
		if err != nil {
			return err
		}
		if _, err := file.Issue(ctx, &waypostv1.IssueRequest{Ticket: hex.EncodeToString(answer.Ticket[:]), Record: gateway.RecordToProto(r), Override: "not the same person"}); err != nil {
			return err
		}
		t.x.Records["NV"] = append(t.x.Records["NV"], r)
	}
	return nil
}

// copied copies the files of a database that is in use until the copy can be read: it
// may be torn. The files that are searched for traces are another copy, which nobody
// has opened.
func (t *theft) copied(ctx context.Context, database string) (*attack.Index, error) {
	if _, err := attack.Copy(database, t.files["running"]); err != nil {
		return nil, err
	}
	var torn error
	for try := range 20 {
		dir, err := t.Dir(fmt.Sprintf("try-%d", try))
		if err != nil {
			return nil, err
		}
		before := logHeader(database)
		file, err := attack.Copy(database, dir)
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(before, logHeader(file)) {
			torn = errors.Join(torn, errors.New("the log was begun anew between the database and it"))
			continue
		}
		x, err := attack.ReadIndex(ctx, "sqlite:"+file)
		if err == nil || ctx.Err() != nil {
			return x, err
		}
		torn = errors.Join(torn, err)
	}
	return nil, torn
}

// logHeader is the beginning of the log beside a database. It changes when the log is
// begun anew, which a copy made meanwhile does not always show when it is read.
func logHeader(database string) []byte {
	file, err := os.Open(database + "-wal")
	if err != nil {
		return nil
	}
	defer file.Close()
	header := make([]byte, 32)
	n, _ := io.ReadFull(file, header)
	return header[:n]
}

// serve has people of CA come to AZ, be checked and get a card, until the context ends
// and some have come: the database is written while it is copied.
func (t *theft) serve(ctx context.Context, some chan<- struct{}) error {
	door, _, err := cluster.Door(t.x.Dir, "AZ")
	if err != nil {
		return err
	}
	file := waypostv1connect.NewRecordsClient(door)
	for i, r := range t.x.Records["CA"][:t.Size.Pick(12, 60, 2_000)] {
		if i == t.Size.Pick(4, 20, 100) {
			close(some)
		}
		answer, err := t.x.Made(ctx, "AZ", r.Person, waypost.IssueLicence, fmt.Sprintf("SEIZED-%d", i))
		if err == nil {
			r.ID, r.CardNumber = fmt.Sprintf("AZ-NEW-%05d", i), fmt.Sprintf("SYNAZNEW%05d", i)
			_, err = file.Issue(ctx, &waypostv1.IssueRequest{Ticket: hex.EncodeToString(answer.Ticket[:]), Record: gateway.RecordToProto(r), Override: "the old card was surrendered"})
			t.moved = append(t.moved, r)
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was cut off, because the copy is made
		}
		if err != nil {
			return err
		}
	}
	return nil
}
