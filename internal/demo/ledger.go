package demo

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/journal"
)

const page = 1000

// scan reads a running role's whole ledger, as an auditor.
func (d *Demo) scan(ctx context.Context, role string, each func(journal.Stored)) error {
	r := d.exchange.Role(role)
	if r == nil {
		return fmt.Errorf("%s is not running", role)
	}
	for from := uint64(0); ; {
		batch, err := d.auditor.Read(ctx, r.Journal, from, page)
		if err != nil {
			return err
		}
		for _, e := range batch {
			each(e)
		}
		if len(batch) < page {
			return nil
		}
		from += page
	}
}

// entries counts a ledger's entries by kind.
func (d *Demo) entries(ctx context.Context, role string) (total int, kinds string, err error) {
	counts := make(map[string]int)
	err = d.scan(ctx, role, func(e journal.Stored) {
		counts[e.Kind]++
		total++
	})
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s %d", kind, counts[kind]))
	}
	return total, strings.Join(parts, ", "), err
}

// entriesOf counts a role's entries of one kind about one ticket.
func (d *Demo) entriesOf(ctx context.Context, role, kind string, id waypost.TicketID) (n int, err error) {
	err = d.scan(ctx, role, func(e journal.Stored) {
		if e.Kind == kind && e.Ticket == id {
			n++
		}
	})
	return n, err
}
