package compelled

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/drill/attack"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/toprf"
)

// holding is what an order brings out of those on whom it is served together.
type holding struct {
	c         *scene
	states    []waypost.Jurisdiction
	listed    map[*person]bool                          // by name
	ssn       map[*person]bool                          // of whom it is known whether an SSN is on file
	confirmed map[*person]map[waypost.Jurisdiction]bool // to hold a card of which state, if named
	named     map[string]bool                           // past checks with the person's name
	bare      map[string]bool                           // past checks without
	portraits attack.Hits
	letters   int                                       // that lay in the hub's mailboxes and were opened
	closed    int                                       // and were not
	alike     map[*person]map[waypost.Jurisdiction]bool // whether the record of which state has the SSN that its own does

	index  *attack.Index // of a hub
	h      [32]byte
	shares []toprf.Share
	kept   []keys
}

func newHolding(c *scene) *holding {
	return &holding{c: c, listed: make(map[*person]bool), ssn: make(map[*person]bool), confirmed: make(map[*person]map[waypost.Jurisdiction]bool),
		named: make(map[string]bool), bare: make(map[string]bool), portraits: make(attack.Hits), alike: make(map[*person]map[waypost.Jurisdiction]bool)}
}

// take takes out of the folder of a party all that stands there: by searching every
// file, by reading every table, and by opening every ledger with the keys that are in
// it. What was taken once is kept.
func (c *scene) take(ctx context.Context, party string) (*holding, error) {
	if o := c.taken[party]; o != nil {
		return o, nil
	}
	o, dir := newHolding(c), install.FolderOf(c.x.Dir, party)
	if err := o.files(dir, attack.NewPieces(c.portraits)); err != nil {
		return nil, err
	}
	if err := o.role(ctx, party, dir); err != nil {
		return nil, err
	}
	c.taken[party] = o
	return o, nil
}

// serve puts together what several parties have.
func serve(ctx context.Context, c *scene, parties ...string) (*holding, error) {
	all := newHolding(c)
	for _, p := range parties {
		o, err := c.take(ctx, p)
		if err != nil {
			return nil, err
		}
		for _, sets := range [][2]map[*person]bool{{all.listed, o.listed}, {all.ssn, o.ssn}} {
			maps.Copy(sets[0], sets[1])
		}
		maps.Copy(all.named, o.named)
		maps.Copy(all.bare, o.bare)
		maps.Copy(all.portraits, o.portraits)
		all.kept = append(all.kept, o.kept...)
		for p, cards := range o.confirmed {
			for state := range cards {
				all.confirm(p, state)
			}
		}
		all.states, all.shares = append(all.states, o.states...), append(all.shares, o.shares...)
		if o.index != nil {
			all.index, all.h = o.index, o.h
		}
	}
	return all, errors.Join(all.post(ctx), all.join(ctx))
}

// role reads what only the party's own keys and tables show.
func (o *holding) role(ctx context.Context, name, dir string) (err error) {
	switch {
	case name == auditor:
		return o.audited(ctx)
	case install.IsGateway(name):
		o.states = append(o.states, waypost.Jurisdiction(name))
		err = o.gateway(ctx, dir)
	case name == "hub":
		if o.h, err = attack.LabelKey(dir); err == nil {
			o.index, err = attack.ReadIndex(ctx, "sqlite:"+filepath.Join(dir, "hub.db"))
		}
	case strings.HasPrefix(name, "keyholder"):
		var share toprf.Share
		share, err = attack.ShareOf(dir, o.c.x.Clock.Now)
		o.shares = append(o.shares, share)
	default:
		return nil // a witness has nothing that is not in its files
	}
	if err != nil {
		return err
	}
	opener, err := install.Opener(dir)
	if err != nil {
		return err
	}
	return o.ledger(ctx, dir, opener)
}

// files searches everything in a folder for names with dates, and for portraits.
func (o *holding) files(dir string, pictures *attack.Pieces) error {
	return attack.Files(dir, func(content []byte) {
		pictures.In(content, o.portraits)
		o.text(content)
	})
}

var dateShape = regexp.MustCompile(`[12][0-9]{3}-[01][0-9]-[0-3][0-9]`)

// text looks for people in bytes of whatever kind: a date of birth with first name and
// surname near it.
func (o *holding) text(content []byte) {
	const near = 160
	told, people := 0, []*person{}
	for _, at := range dateShape.FindAllIndex(content, -1) {
		around := content[max(at[0]-near, 0):min(at[1]+near, len(content))]
		for _, p := range o.c.born[string(content[at[0]:at[1]])] {
			if !bytes.Contains(around, []byte(p.Family)) || !bytes.Contains(around, []byte(p.Given)) {
				continue
			}
			o.listed[p] = true
			people = append(people, p)
			if p.SSN5 != "" && bytes.Contains(around, []byte(p.SSN5)) {
				told++
			}
		}
	}
	if told == 0 {
		return
	}
	// Where the SSNs of others stand beside their names, none says that there is none.
	for _, p := range people {
		o.ssn[p] = true
	}
}

// open opens a database of a folder for as long as read takes.
func open(ctx context.Context, file, role string, read func(tx *store.Tx) error) error {
	db, err := store.Open(ctx, "sqlite:"+file, role)
	if err != nil {
		return err
	}
	return errors.Join(db.Read(ctx, read), db.Close())
}

// gateway reads a state's own checks, what others have asked about its people, and
// whose its tokens are.
func (o *holding) gateway(ctx context.Context, dir string) error {
	numbers, err := numbersOf(ctx, dir)
	if err != nil {
		return err
	}
	return open(ctx, filepath.Join(dir, "gateway.db"), "gateway", func(tx *store.Tx) error {
		return errors.Join(o.inquiries(tx), o.notices(tx), o.pointers(tx, numbers))
	})
}

func (o *holding) inquiries(tx *store.Tx) error {
	err := tx.Query(`SELECT ticket, applicant FROM inquiry`, nil, func(scan func(dest ...any) error) error {
		var ticket, raw []byte
		err := scan(&ticket, &raw)
		if o.applicant(raw) != nil {
			o.named["asked "+string(ticket)] = true
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := tx.Query(`SELECT i.applicant, a.owner FROM inquiry i JOIN ask a ON a.ticket = i.ticket WHERE a.outcome = $1 OR a.outcome = $2`,
		[]any{string(waypost.Match), string(waypost.Possible)}, func(scan func(dest ...any) error) error {
			var raw []byte
			var owner waypost.Jurisdiction
			err := scan(&raw, &owner)
			o.confirm(o.applicant(raw), owner)
			return err
		}); err != nil {
		return err
	}
	return tx.Query(`SELECT i.applicant, c.tokens FROM inquiry i JOIN check_token c ON c.ticket = i.ticket`, nil, func(scan func(dest ...any) error) error {
		var raw, tokens []byte
		err := scan(&raw, &tokens)
		var asked waypostv1.CheckRequest
		if proto.Unmarshal(raw, &asked) == nil {
			o.keep(o.applicant(raw), asked.Ssn5, tokens)
		}
		return err
	})
}

// applicant reads an applicant as a gateway keeps one.
func (o *holding) applicant(raw []byte) *person {
	var who waypostv1.CheckRequest
	if err := proto.Unmarshal(raw, &who); err != nil || who.Applicant == nil {
		return nil
	}
	return o.find(who.Applicant)
}

func (o *holding) find(a *waypostv1.Applicant) *person {
	born, err := waypost.ParseDate(a.Born)
	if err != nil {
		return nil
	}
	return o.c.by[bare(waypost.Person{Family: a.Family, Given: a.Given, Born: born})]
}

func (o *holding) notices(tx *store.Tx) error {
	return tx.Query(`SELECT n.ticket, p.person FROM notice n JOIN pointer p ON p.handle = n.handle`, nil, func(scan func(dest ...any) error) error {
		var ticket, raw []byte
		err := scan(&ticket, &raw)
		var who waypostv1.Applicant
		if proto.Unmarshal(raw, &who) == nil && o.find(&who) != nil {
			o.named["found "+string(ticket)] = true
		}
		return err
	})
}

func (o *holding) confirm(p *person, state waypost.Jurisdiction) {
	if p == nil {
		return
	}
	if o.confirmed[p] == nil {
		o.confirmed[p] = make(map[waypost.Jurisdiction]bool)
	}
	o.confirmed[p][state] = true
}

// audited reads the ledgers of all members as an auditor of the roster may.
func (o *holding) audited(ctx context.Context) error {
	opener, err := install.Auditor(o.c.x.Dir)
	if err != nil {
		return err
	}
	for _, name := range o.c.members {
		if err := o.ledger(ctx, install.FolderOf(o.c.x.Dir, name), opener); err != nil {
			return err
		}
	}
	return nil
}

// ledger opens the entries in a role's journal, which are those that it publishes.
func (o *holding) ledger(ctx context.Context, dir string, opener *journal.Opener) error {
	f, err := install.OpenFolder(dir, o.c.x.Clock.Now)
	if err != nil {
		return err
	}
	db, err := store.Open(ctx, "sqlite:"+filepath.Join(dir, string(f.Config.Role)+".db"), string(f.Config.Role))
	if err != nil {
		return err
	}
	readers, err := journal.ParseRecipients(f.Config.Openers...)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	j, err := journal.Open(ctx, db, f.Config.Origin, readers...)
	for from := uint64(0); err == nil; {
		var entries []journal.Stored
		if entries, err = opener.Read(ctx, j, from, 1000); err != nil || len(entries) == 0 {
			break
		}
		for _, e := range entries {
			if e.Opened {
				o.entry(e)
			}
		}
		from += uint64(len(entries))
	}
	return errors.Join(err, db.Close())
}

// entry takes what an entry says: which check, and whoever it names.
func (o *holding) entry(e journal.Stored) {
	o.text(e.Body)
	if slices.Contains([]string{"ask", "evaluate", "search_first", "notified"}, e.Kind) {
		o.bare[string(e.Ticket[:])] = true
	}
}

// post opens what lies in the hub's mailboxes for a state that is served too.
func (o *holding) post(ctx context.Context) error {
	if o.index == nil || len(o.states) == 0 {
		return nil
	}
	for _, state := range o.states {
		f, err := install.OpenFolder(install.FolderOf(o.c.x.Dir, string(state)), o.c.x.Clock.Now)
		if err != nil {
			return err
		}
		ring, err := install.Keyring(ctx, f)
		if err != nil {
			return err
		}
		err = open(ctx, filepath.Join(o.c.x.Dir, "hub", "hub.db"), "hub", func(tx *store.Tx) error {
			return tx.Query(`SELECT sealed FROM mailbox WHERE recipient = $1`, []any{string(state)}, func(scan func(dest ...any) error) error {
				var sealed []byte
				if err := scan(&sealed); err != nil {
					return err
				}
				m, err := seal.Open(sealed, ring, f.Roster.SenderKey, o.c.x.Clock.Now())
				if err != nil {
					o.closed++
					return nil //nolint:nilerr // the line says how many do not open
				}
				o.letters++
				o.text(m.Body)
				return nil
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}
