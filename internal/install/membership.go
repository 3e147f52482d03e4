package install

import (
	"context"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/waypost/waypost/internal/durable"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
)

// openIntake makes what takes up new rosters: from the folder, from the public
// doors of others, and at the own public door. Each that takes effect here is an
// entry of the ledger.
func (r *Role) openIntake(ctx context.Context) error {
	f := r.Folder
	r.intake = roster.NewIntake(f.Roster,
		func(version uint64, signed []byte) error {
			return durable.WriteFile(rosterFile(f.Dir, version), signed)
		},
		func(*roster.Roster, []roster.Change) error {
			return errors.Join(r.nameReaders(), r.noteRosters(context.WithoutCancel(ctx)))
		})
	if r.Journal == nil {
		return nil // a witness that stands alone has no ledger
	}
	r.auditors = strings.Join(f.Roster.Current().Auditors, " ")
	return r.noteRosters(ctx)
}

// nameReaders seals the ledger from now on for the auditors of the newest
// roster, if they have changed.
func (r *Role) nameReaders() error {
	auditors := strings.Join(r.Folder.Roster.Current().Auditors, " ")
	if r.Journal == nil || auditors == r.auditors {
		return nil
	}
	readers, err := r.Folder.readers()
	if err != nil {
		return err
	}
	if err := r.Journal.SetRecipients(readers...); err != nil {
		return err
	}
	r.auditors = auditors
	return nil
}

// ReloadRoster takes up rosters that were put into the folder since.
func (r *Role) ReloadRoster() error {
	signed, err := Rosters(r.Folder.Dir)
	if err != nil {
		return err
	}
	return r.intake.Take(signed...)
}

// followRosters looks for new rosters until the context ends.
func (r *Role) followRosters(ctx context.Context) {
	follower := roster.NewFollower(r.intake, r.Folder.Config.Name, roster.FollowEvery, r.log)
	var following sync.WaitGroup
	defer following.Wait()
	following.Go(func() { follower.Run(ctx) })
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := r.ReloadRoster(); err != nil {
				r.log.Error("the rosters in the folder cannot be used", "cause", err)
			}
		}
	}
}

// noteRosters writes an entry for each roster that has taken effect here and
// has none yet: also where a crash came in between.
func (r *Role) noteRosters(ctx context.Context) error {
	if r.Journal == nil {
		return nil
	}
	var noted uint64
	err := r.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT coalesce(max(version), 0) FROM journal_roster WHERE log = $1`, r.Journal.Log()).Scan(&noted)
	})
	for version := noted + 1; err == nil && version <= r.Folder.Roster.Latest().Version; version++ {
		if r.Folder.Roster.Version(version) != nil { // else it is older than what is kept
			err = r.noteRoster(ctx, version)
		}
	}
	return err
}

func (r *Role) noteRoster(ctx context.Context, version uint64) error {
	now, before := r.Folder.Roster.Version(version), r.Folder.Roster.Version(version-1)
	hash, err := now.Hash()
	if err != nil {
		return err
	}
	var changes []string
	for _, c := range roster.Changes(before, now) {
		changes = append(changes, c.String())
	}
	body, err := journal.Body(journal.Field{Name: "version", Value: strconv.FormatUint(version, 10)},
		journal.Field{Name: "hash", Value: hex.EncodeToString(hash[:])},
		journal.Field{Name: "changes", Value: cut(strings.Join(changes, "; "))})
	if err != nil {
		return err
	}
	return r.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`INSERT INTO journal_roster (log, version) VALUES ($1, $2) ON CONFLICT (log, version) DO NOTHING`, r.Journal.Log(), version)
		if err != nil || n == 0 {
			return err
		}
		_, err = r.Journal.Append(tx, journal.Entry{Kind: "roster", At: r.now(), Body: body})
		return err
	})
}

// cut shortens the words of a large change; the roster itself says it all.
func cut(words string) string {
	const most = 4000
	if len(words) <= most {
		return words
	}
	return strings.ToValidUTF8(words[:most], "") + " ..."
}
