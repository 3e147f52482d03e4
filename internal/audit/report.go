package audit

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// The kinds of finding. Each is explained where its rule is.
const (
	UnloggedSearch          = "unlogged_search"
	UnloggedDisclosure      = "unlogged_disclosure"
	DisclosureWithoutSearch = "disclosure_without_search"
	SearchWithoutQuorum     = "search_without_quorum"
	EvaluationWithoutOwner  = "evaluation_without_owner"
	NeverAsked              = "never_asked"
	NeverNotified           = "never_notified"
	PublicationMismatch     = "publication_mismatch"
	Misuse                  = "misuse"
	HiddenPointer           = "hidden_pointer"
	Unfinished              = "unfinished"
	CutOff                  = "cut_off"
	QuotaExceeded           = "quota_exceeded"
	RepublishSurplus        = "republish_surplus"

	Missing       = "missing"
	Gap           = "gap"
	Damaged       = "damaged"
	Fork          = "fork"
	Rollback      = "rollback"
	Stale         = "stale"
	Unwitnessed   = "unwitnessed"
	BackDated     = "back_dated"
	PostDated     = "post_dated"
	Untimely      = "untimely"
	Miscounted    = "miscounted"
	ReceiptMissed = "receipt_missed"
	RosterMissing = "roster_missing"
	UnsignedShare = "unsigned_share"

	LostInRestore  = "lost_in_restore"
	FalseSuccessor = "false_successor"
)

// Finding is one thing that does not add up, and the one member who has to
// answer for it. Where the ledgers alone cannot tell who was at fault, it is the
// one who has to answer first, and the evidence "or" names the others: a word
// against a word, which what the two have kept decides.
type Finding struct {
	Kind     string            `json:"kind"`
	Member   string            `json:"member"`
	Evidence map[string]string `json:"evidence"` // places, tickets, times: what to look at
	Words    string            `json:"words"`
}

// LogReport says how far one log was read.
type LogReport struct {
	Origin   string    `json:"origin"`
	Size     int64     `json:"size"`     // entries
	Cosigned time.Time `json:"cosigned"` // of the checkpoint, by the witnesses' clocks
}

// Report is what a run found.
type Report struct {
	Tickets  int64            `json:"tickets"` // that had entries in this run or were carried over to it
	Entries  int64            `json:"entries"` // read in this run
	Open     int64            `json:"open"`    // tickets that cannot be judged to the end yet
	Findings []Finding        `json:"findings"`
	Omitted  int64            `json:"omitted,omitempty"` // findings like those listed, beyond maxAlike
	Logs     []LogReport      `json:"logs"`
	Counters map[string]int64 `json:"counters"` // entries read in this run, by kind
}

// WriteText prints the report as a table, for people.
func (r *Report) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "LEDGER\tENTRIES\tCOSIGNED\n")
	for _, l := range r.Logs {
		cosigned := "never"
		if !l.Cosigned.IsZero() {
			cosigned = l.Cosigned.UTC().Format("2006-01-02 15:04:05 UTC")
		}
		fmt.Fprintf(t, "%s\t%d\t%s\n", l.Origin, l.Size, cosigned)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%d entries read, %d tickets, %d of them open still.\n", r.Entries, r.Tickets, r.Open)
	if len(r.Findings) == 0 {
		_, err := fmt.Fprintln(w, "The ledgers agree with each other: nothing was found.")
		return err
	}
	fmt.Fprintf(w, "\nFINDINGS: %d\n", int64(len(r.Findings))+r.Omitted)
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "MEMBER\tKIND\tWHAT\n")
	for _, f := range r.Findings {
		fmt.Fprintf(t, "%s\t%s\t%s\n", f.Member, f.Kind, f.Words)
		for _, name := range sortedKeys(f.Evidence) {
			fmt.Fprintf(t, "\t\t  %s: %s\n", name, f.Evidence[name])
		}
	}
	if r.Omitted > 0 {
		fmt.Fprintf(t, "\t\tand %d more like these\n", r.Omitted)
	}
	return t.Flush()
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// maxAlike bounds the findings of one kind against one member: a broken ledger
// would give one for each entry.
const maxAlike = 100

// findings collects from several goroutines.
type findings struct {
	mu      sync.Mutex
	list    []Finding
	alike   map[[2]string]int
	omitted int64
}

func (f *findings) add(one Finding) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.alike == nil {
		f.alike = make(map[[2]string]int)
	}
	key := [2]string{one.Kind, one.Member}
	if f.alike[key]++; f.alike[key] > maxAlike {
		f.omitted++
		return
	}
	if one.Evidence == nil {
		one.Evidence = map[string]string{}
	}
	f.list = append(f.list, one)
}

// sorted returns the findings in an order that does not depend on which
// goroutine was faster.
func (f *findings) sorted() []Finding {
	list := slices.Clone(f.list)
	slices.SortFunc(list, func(a, b Finding) int {
		return cmp.Or(strings.Compare(a.Member, b.Member), strings.Compare(a.Kind, b.Kind),
			strings.Compare(a.Evidence["place"], b.Evidence["place"]), strings.Compare(a.Evidence["ticket"], b.Evidence["ticket"]),
			strings.Compare(a.Words, b.Words))
	})
	if list == nil {
		list = []Finding{}
	}
	return list
}
