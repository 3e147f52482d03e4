package audit

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/translog"
)

// RecordKey finds the entries about one record of a state: see
// [records.Key].
type RecordKey struct {
	ID  string // the state's own
	Key [32]byte
}

// Look is one question of another state that reached a record: at most one for
// each ticket.
type Look struct {
	Record  string    `json:"record"`
	Asked   string    `json:"asked"` // who asked
	Ticket  string    `json:"ticket"`
	At      time.Time `json:"at"` // when the record was found
	Purpose string    `json:"purpose,omitempty"`
	Class   string    `json:"class,omitempty"`   // attended, unattended
	Outcome string    `json:"outcome,omitempty"` // where an answer was given in clear
	Policy  string    `json:"policy,omitempty"`  // version of the disclosure table
	Ended   string    `json:"ended"`             // in words
	Entries []Trace   `json:"entries"`
}

// Trace is an entry of the ledger about a look.
type Trace struct {
	Kind  string    `json:"kind"`
	At    time.Time `json:"at"`
	Place string    `json:"place"` // "<member>/<instance>:<index>"
}

// Accounting is every look at somebody's records that the state's ledger holds.
type Accounting struct {
	State  string `json:"state"`
	Size   int64  `json:"size"`   // entries read
	Erased int64  `json:"erased"` // of them; what was about this person among them is gone
	Closed int64  `json:"closed"` // that are not sealed for the identities given
	Looks  []Look `json:"looks"`
}

// FromGateway returns the options to read a gateway's own ledger from its
// folder, whether it runs or not, with the age identities in the files: by
// default the folder's own opener.
func FromGateway(dir string, identityFiles ...string) (Options, error) {
	var o Options
	role, err := install.RoleOf(dir)
	if err != nil {
		return o, err
	}
	if role != roster.Gateway {
		return o, waypost.Errorf(waypost.InvalidArgument, "%s is the folder of a %s: a gateway's is needed", dir, role)
	}
	trusted, err := readGovernance(filepath.Join(dir, "governance.json"))
	if err != nil {
		return o, err
	}
	signed, err := install.Rosters(dir)
	if err != nil {
		return o, err
	}
	if o.Rosters, err = ReadRosters(trusted, signed...); err != nil {
		return o, err
	}
	if len(identityFiles) == 0 {
		identityFiles = []string{filepath.Join(dir, "opener.key")}
	}
	if o.Identities, err = ReadIdentities(identityFiles...); err != nil {
		return o, err
	}
	for _, m := range o.Rosters[len(o.Rosters)-1].Members {
		instances, err := folders(filepath.Join(dir, "log", m.Name))
		if err != nil {
			return o, err
		}
		for _, instance := range instances {
			s := Source{Member: m.Name, Instance: instance}
			if s.Reader, err = translog.Dir(filepath.Join(dir, "log", m.Name, instance)); err != nil {
				return o, err
			}
			o.Sources = append(o.Sources, s)
		}
	}
	if len(o.Sources) == 0 {
		return o, waypost.Errorf(waypost.NotFound, "%s has published no ledger yet", dir)
	}
	o.Now = time.Now()
	return o, nil
}

// Person lists all looks at the records whose keys are given, from the verified
// ledger of their state, and proves each entry.
func Person(ctx context.Context, o Options, records []RecordKey) (*Accounting, []translog.Proof, error) {
	if len(o.Identities) == 0 || len(records) == 0 {
		return nil, nil, errors.New("an identity that opens the ledger, and the key of a record, are needed")
	}
	p := accountant{Options: o, records: records, looks: make(map[string]*Look)}
	var heads []translog.Checkpoint
	for _, s := range o.Sources {
		head, err := readHead(ctx, o.Rosters, s)
		if err != nil {
			return nil, nil, fmt.Errorf("the ledger %s/%s: %w", s.Member, s.Instance, err)
		}
		heads = append(heads, head)
		p.size += head.N
	}
	opener := journal.NewOpener(o.Identities...)
	for i, s := range o.Sources {
		p.source, p.head, p.found.State = s, heads[i], s.Member
		if err := eachOpened(ctx, opener, roleIn(o.Rosters, s.Member), s.Reader, heads[i], 0, func(e opened) error { return p.entry(ctx, e) }); err != nil {
			return nil, nil, fmt.Errorf("the ledger %s/%s: %w", s.Member, s.Instance, err)
		}
	}
	p.found.Looks = []Look{}
	for _, l := range p.looks {
		l.Ended = endOf(*l)
		p.found.Looks = append(p.found.Looks, *l)
	}
	slices.SortFunc(p.found.Looks, func(a, b Look) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Ticket, b.Ticket), cmp.Compare(a.Record, b.Record))
	})
	p.found.Size = p.size
	return &p.found, p.proofs, nil
}

// accountant collects what is about the records.
type accountant struct {
	Options
	found   Accounting
	records []RecordKey
	looks   map[string]*Look // by subject
	proofs  []translog.Proof
	source  Source
	head    translog.Checkpoint
	done    int64
	size    int64
}

func (p *accountant) entry(ctx context.Context, e opened) error {
	if p.done++; p.Progress != nil && p.done%256 == 0 {
		p.Progress(p.done, p.size)
	}
	switch {
	case errors.Is(e.err, translog.ErrErased):
		p.found.Erased++
		return nil
	case errors.Is(e.err, journal.ErrNotEntitled):
		p.found.Closed++
		return nil
	case e.err != nil:
		return fmt.Errorf("entry %d: %w", e.index, e.err)
	}
	fields, err := translog.ParseBody(e.entry.Body)
	if err != nil {
		return fmt.Errorf("entry %d: %w", e.index, err)
	}
	subject := fields["subject"]
	i := slices.IndexFunc(p.records, func(r RecordKey) bool { return subject != "" && records.Subject(r.Key, e.entry.Ticket) == subject })
	if i < 0 {
		return nil
	}
	_, proof, err := translog.Leaf(ctx, p.source.Reader, p.head, e.index)
	if err != nil {
		return err
	}
	p.proofs = append(p.proofs, translog.Proof{Origin: p.head.Origin, Index: e.index, Leaf: e.leaf, Entry: e.entry, Inclusion: proof, Checkpoint: p.head.Note})
	l := p.looks[subject]
	if l == nil {
		l = &Look{Record: p.records[i].ID, Ticket: hex.EncodeToString(e.entry.Ticket[:]), At: e.entry.At}
		p.looks[subject] = l
	}
	l.Asked = fields["soi"]
	for _, f := range []struct {
		to   *string
		name string
	}{{&l.Purpose, "purpose"}, {&l.Class, "class"}, {&l.Outcome, "outcome"}, {&l.Policy, "policy"}} {
		if v := fields[f.name]; v != "" {
			*f.to = v
		}
	}
	l.Entries = append(l.Entries, Trace{Kind: e.entry.Kind, At: e.entry.At, Place: fmt.Sprintf("%s/%s:%d", p.source.Member, p.source.Instance, e.index)})
	return nil
}

// endOf says in words how far a question came.
func endOf(l Look) string {
	switch last := l.Entries[len(l.Entries)-1]; {
	case last.Kind == "disclose":
		return "was told: " + l.Outcome
	case last.Kind == "decline" && l.Outcome != "":
		return "named an applicant, and was told that this is another person"
	case last.Kind == "decline":
		return "was told no: the blinded question did not agree with the record"
	case last.Kind == "continue":
		return "was told that the record may be the applicant's; no applicant has been named"
	case last.Kind == "withheld":
		return "named an applicant; the answer waits for the special unit"
	case last.Kind == "misuse":
		return "refused: the ticket had been made for another person than the one named"
	}
	return "its search found the record; it has asked nothing about it"
}

// WriteText prints the accounting for people.
func (a *Accounting) WriteText(w io.Writer) error {
	looks := "looks"
	if len(a.Looks) == 1 {
		looks = "look"
	}
	fmt.Fprintf(w, "The ledger of %s, %d entries, tells of %d %s at this person's records.\n", a.State, a.Size, len(a.Looks), looks)
	if a.Erased > 0 {
		fmt.Fprintf(w, "%d entries have been erased at the end of their retention: what was about this person among them cannot be told.\n", a.Erased)
	}
	if a.Closed > 0 {
		fmt.Fprintf(w, "%d entries are not sealed for this identity: the state's own opener reads them all.\n", a.Closed)
	}
	if len(a.Looks) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\nWHEN\tWHO\tWHY\tWHAT CAME OF IT\tTICKET\tENTRIES\n")
	for _, l := range a.Looks {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%.16s\t", l.At.UTC().Format("2006-01-02 15:04 UTC"), l.Asked, cmp.Or(l.Purpose, "-"), l.Ended, l.Ticket)
		for i, e := range l.Entries {
			if i > 0 {
				fmt.Fprint(t, ", ")
			}
			fmt.Fprintf(t, "%s %s", e.Kind, e.Place)
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}
