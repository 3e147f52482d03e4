package offrecord

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/audit"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/drill/hands"
	"github.com/waypost/waypost/internal/drill/notice"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/store"
)

// unseen are looks of which no owner was told.
type unseen struct {
	cases      []*notice.Case
	candidates int
}

// owner is the state that is told nothing.
const owner = waypost.Jurisdiction("CA")

// lookUnseen: hub and friend have agreed, and the hub keeps the notices back as well.
// The friend takes the candidate states and asks nobody, since an owner that was not
// told does not answer; it writes down that each check was broken off.
func (p *play) lookUnseen(ctx context.Context, looks int) (*unseen, error) {
	u := new(unseen)
	err := p.hands.With("hub", hands.Off("search_first", "deliver"), func() error {
		return p.hands.Withholding(owner, func() error {
			for n := range looks {
				p.stage.Progress("looking unseen", n, looks)
				if err := p.lookOnce(ctx, u); err != nil {
					return err
				}
			}
			return nil
		})
	})
	return u, err
}

// lookOnce is one such look.
func (p *play) lookOnce(ctx context.Context, u *unseen) error {
	known := p.known[owner]
	p.asked++
	looking, stop := context.WithCancel(ctx)
	defer stop()
	var id waypost.TicketID
	took := func(res *waypostv1.SearchResponse) error {
		list, err := waypost.ParseCandidates(res.Candidates)
		if err == nil {
			id = list.Ticket
			u.candidates += len(list.List)
		}
		stop()
		return context.Canceled
	}
	err := p.hands.Searching(asking, took, func() error {
		_, err := p.Check(looking, asking, known[p.asked%len(known)].Person, waypost.IssueRealID, "NONE")
		return err
	})
	if id.IsZero() {
		return fmt.Errorf("the friend was told nothing: %w", err)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := p.wipe(ctx, id); err != nil {
		return err
	}
	if err := p.hands.Spoil(ctx, p.Exchange, owner); err != nil {
		return err
	}
	u.cases = append(u.cases, p.watch.Add(&notice.Case{Ticket: id, Guilty: []string{"hub", string(asking)}, Kinds: []string{audit.CutOff}}))
	return nil
}

// wipe writes that a check was broken off, and forgets all else of it.
func (p *play) wipe(ctx context.Context, id waypost.TicketID) error {
	r := p.Role(string(asking))
	return r.DB.Write(ctx, func(tx *store.Tx) error {
		var signed []byte
		if err := tx.Row(`SELECT signed FROM inquiry WHERE ticket = $1`, id[:]).Scan(&signed); err != nil {
			return err
		}
		t, err := waypost.ParseTicket(signed)
		if err != nil {
			return err
		}
		body, err := journal.Body(journal.TicketFields(t.Ticket)...)
		if err == nil {
			_, err = r.Journal.Append(tx, journal.Entry{Kind: "abandoned", Ticket: t.ID, Tau: t.Tau, At: p.Clock.Now(), Body: body})
		}
		if err == nil {
			_, err = tx.Exec(`DELETE FROM receipt WHERE ticket = $1`, signed)
		}
		if err == nil {
			_, err = tx.Exec(`DELETE FROM inquiry WHERE ticket = $1`, id[:])
		}
		return err
	})
}

// rate is the share of checks that are opened (design, section 7).
const rate = 0.005

// sample draws checks of the friend and has them opened, as its own auditor does.
func (p *play) sample(ctx context.Context, u *unseen) error {
	o, err := audit.FromDir(p.Dir)
	if err != nil {
		return err
	}
	all, err := p.opened(ctx, o, "1", u)
	if err != nil {
		return err
	}
	some, err := p.opened(ctx, o, fmt.Sprint(rate), u)
	if err != nil {
		return err
	}
	looks := len(u.cases)
	named, how := 0, ""
	for _, c := range u.cases {
		if _, seen := c.Named(); seen {
			named++
			how = " (" + c.Words() + ")"
		}
	}
	p.stage.Add(drill.Line{
		Party: "the hub and the state that asks", Attempted: fmt.Sprintf("%d looks of which the hub tells no owner either, written down as checks that were broken off", looks),
		Obtained: fmt.Sprintf("%d candidate states, and of no record anything: the owner, who was not told, would not answer", u.candidates),
		Noticed: fmt.Sprintf("from the ledgers alone %d of %d%s; of %d that were drawn for opening %d are named, because the state can show no applicant. At one in 200, %d of the %d were drawn; to be drawn with even chance takes %d looks, for 95 %% %d (computed)",
			named, looks, how, looks, all, some, looks, looksFor(0.5, rate), looksFor(0.95, rate)),
		Baseline: "plain and unkeyed index: nobody, ever",
		Target:   "every look that is drawn is named; between draws it is conceded", OK: all == looks,
		Figure: &drill.Figure{Name: "share of the looks drawn that are named", Value: share(all, looks), Low: share(all, looks), High: share(all, looks), Bound: 1},
	})
	return nil
}

func share(n, of int) float64 { return float64(n) / float64(max(of, 1)) }

// opened draws at a rate and returns how many looks were drawn and could not be shown
// to be for an applicant.
func (p *play) opened(ctx context.Context, o audit.Options, rate string, u *unseen) (named int, err error) {
	s, err := audit.Draw(ctx, o, rate, nil)
	if err != nil {
		return 0, err
	}
	door, _, err := install.DialAuditor(install.FolderOf(p.Dir, string(asking)))
	if err != nil {
		return 0, err
	}
	openings := audit.NewOpenings(string(asking), s)
	for _, ticket := range s.Drawn[string(asking)] {
		one, err := door.OpenTicket(ctx, &waypostv1.OpenTicketRequest{Ticket: ticket})
		if waypost.CodeOf(err) == waypost.NotFound {
			continue
		}
		if err == nil {
			err = openings.Add(one)
		}
		if err != nil {
			return 0, err
		}
	}
	verdicts, err := openings.Check(o.Rosters, s, false)
	for _, v := range verdicts {
		about := func(c *notice.Case) bool { return hex.EncodeToString(c.Ticket[:]) == v.Ticket }
		if v.Result != audit.ForThePerson && slices.ContainsFunc(u.cases, about) {
			named++
		}
	}
	return named, err
}

// alone is the weakness that is planted: an auditor who verifies each ledger by itself,
// as the public can, and members who keep no receipts. Of all that was played nothing
// shows: what was never written leaves no hole.
func (p *play) alone(ctx context.Context) error {
	o, err := audit.FromDir(p.Dir)
	if err != nil {
		return err
	}
	o.Now = p.Clock.Now()
	logs, err := audit.Verify(ctx, o, time.Hour)
	if err != nil {
		return err
	}
	entries, wrong := int64(0), 0
	for _, l := range logs {
		if entries += l.Size; l.Problem != "" {
			wrong++
		}
	}
	p.stage.Add(drill.Line{
		Party: "the same cheats", Attempted: "under an auditor who verifies each ledger by itself, and members who keep no receipts",
		Obtained: fmt.Sprintf("%d ledgers with %d entries verify, each dense, signed and witnessed; %d do not", len(logs)-wrong, entries, wrong),
		Noticed:  "nobody: what was never written leaves no hole; it takes the ledgers of both sides",
		Target:   "the attack succeeds where nothing is entered twice", OK: wrong == 0 && len(logs) >= 10, Planted: true,
	})
	return nil
}
