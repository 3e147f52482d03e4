package seized

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/drill/attack"
	"github.com/waypost/waypost/internal/store"
)

// published is a pointer as its owner knows it.
type published struct {
	record string
	owner  waypost.Jurisdiction
	tokens []byte // of 32 bytes
}

// owned are the pointers of all states by their handles, from the states' own
// databases: the truth.
func (t *theft) owned(ctx context.Context) (map[string]published, error) {
	all := make(map[string]published)
	for _, state := range drill.States {
		db, err := store.Open(ctx, "sqlite:"+filepath.Join(t.x.Dir, "gateway-"+string(state), "gateway.db"), "gateway")
		if err != nil {
			return nil, err
		}
		err = db.Read(ctx, func(tx *store.Tx) error {
			return tx.Query(`SELECT handle, record, tokens FROM pointer`, nil, func(scan func(dest ...any) error) error {
				p := published{owner: state}
				var handle []byte
				err := scan(&handle, &p.record, &p.tokens)
				all[string(handle)] = p
				return err
			})
		})
		if err = errors.Join(err, db.Close()); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// traces looks in the bytes of the files, freed pages and logs included, for anybody's
// name, date and card, for any token, and for the secrets.
func (t *theft) traces(ctx context.Context) error {
	personal, secret, err := t.pieces(ctx)
	if err != nil {
		return err
	}
	var size int64
	worst := 0
	for _, what := range []string{"running", "after", "archives", "backup"} {
		if err := attack.Files(t.files[what], func(content []byte) { size += int64(len(content)) }); err != nil {
			return err
		}
		for _, pieces := range []*attack.Pieces{personal, secret} {
			hits, err := pieces.Under(t.files[what])
			if err != nil {
				return err
			}
			worst = max(worst, len(hits))
		}
	}
	t.Add(drill.Line{
		Party:     "who has the files of the database, while it ran and afterwards, and an archive of waypost backup, as it is and opened",
		Attempted: fmt.Sprintf("search %.0f MB for %d names, dates and card numbers, and for %d tokens, shares and h", float64(size)/1e6, personal.Len(), secret.Len()),
		Obtained:  fmt.Sprintf("%d of them", worst), Noticed: unnoticed,
		Baseline: "plain: every row", Target: "none stands anywhere in the files", OK: size > 0 && personal.Len() > 0 && secret.Len() > 0,
		Figure: &drill.Figure{Name: "names, tokens and secrets found in the files", Value: float64(worst), Low: float64(worst), High: float64(worst), AtMost: true},
	})
	own, err := personal.Under(filepath.Join(t.x.Dir, "gateway-CA"))
	if err != nil {
		return err
	}
	folder, err := secret.Under(filepath.Join(t.x.Dir, "hub"))
	if err != nil {
		return err
	}
	keys, err := secret.Under(t.files["keys"])
	if err != nil {
		return err
	}
	t.Add(drill.Line{
		Party:     "the same search, in the folder of a state; of the hub, with the file of h; and in the archive of its keys (planted)",
		Attempted: "the same",
		Obtained:  fmt.Sprintf("%d names, dates and cards of the state's people; %d secret in the hub's whole folder, %d in the archive that waypost backup --keys makes apart", len(own), len(folder), len(keys)),
		Noticed:   unnoticed, Target: "the search finds what is there", OK: len(own) >= len(t.x.Records["CA"]) && len(folder) == 1 && len(keys) == 1, Planted: true,
	})
	return nil
}

// pieces are what must not stand in the hub's files.
func (t *theft) pieces(ctx context.Context) (personal, secret *attack.Pieces, err error) {
	var names, keys [][]byte
	for _, state := range drill.States {
		for _, r := range t.x.Records[state] {
			for _, text := range []string{r.Person.Family, r.Person.Given, r.Person.Born.String(), r.CardNumber, r.ID} {
				names = append(names, []byte(text))
			}
		}
	}
	both := func(b []byte) { keys = append(keys, b, []byte(hex.EncodeToString(b))) }
	both(t.h[:])
	for _, s := range t.shares {
		raw, err := s.MarshalBinary()
		if err != nil {
			return nil, nil, err
		}
		both(raw[2:])
	}
	owned, err := t.owned(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, p := range owned {
		for at := 0; at+32 <= len(p.tokens); at += 32 {
			both(p.tokens[at:][:16]) // a half tells as much as a whole
		}
	}
	return attack.NewPieces(names), attack.NewPieces(keys), nil
}

// sharing are the pairs of pointers of two states that have a token in common, by the
// ids of the pointers in a copy.
func (t *theft) sharing(x *attack.Index, owned map[string]published) map[[2]int64]bool {
	by := make(map[string][]*attack.Pointer)
	for _, p := range x.Pointers {
		mine := owned[string(p.Handle)]
		for at := 0; at+32 <= len(mine.tokens); at += 32 {
			token := string(mine.tokens[at:][:32])
			by[token] = append(by[token], p)
		}
	}
	pairs := make(map[[2]int64]bool)
	for _, all := range by {
		join(pairs, all)
	}
	return pairs
}

// join adds the pairs among pointers of different owners.
func join(pairs map[[2]int64]bool, all []*attack.Pointer) {
	for _, a := range all {
		for _, b := range all {
			if a != nil && b != nil && a.ID < b.ID && a.Owner != b.Owner {
				pairs[[2]int64{a.ID, b.ID}] = true
			}
		}
	}
}

// pairs asks whether a copy shows that two pointers of two states are of people who
// share a token: of one person, as a rule. A label differs by its counter from those of
// the same token; what is left is that a ticket's searches are kept for twenty minutes.
func (t *theft) pairs(ctx context.Context) error {
	owned, err := t.owned(ctx)
	if err != nil {
		return err
	}
	truth := t.sharing(t.after, owned)
	linked, mistaken, tickets := t.linked(t.running, t.sharing(t.running, owned))
	without := t.uncounted(t.after, owned, truth)
	byLabel := 0
	for pair := range truth {
		if similar(t.after, pair) {
			byLabel++
		}
	}
	t.Add(drill.Line{
		Party:     "who has a copy of the database",
		Attempted: fmt.Sprintf("link the %d pairs of pointers of two states that share a token, by what is equal in their rows and by labels alike in 6 bytes", len(truth)),
		Obtained:  fmt.Sprintf("%d pairs by rows and labels", byLabel), Noticed: unnoticed,
		Baseline: fmt.Sprintf("plain: all; unkeyed: all; labels without a counter: %d of %d", without, len(truth)), Target: "no pair is linked", OK: len(truth) > 0,
		Figure: &drill.Figure{Name: "pairs linked at rest", Value: float64(byLabel), Low: float64(byLabel), High: float64(byLabel), AtMost: true,
			Others: []drill.Other{{Name: "labels without a counter", Value: float64(without)}}},
	})
	t.Add(drill.Line{
		Party:     "the same, of an index whose labels have no counter (planted)",
		Attempted: "link the same pairs by equal labels", Obtained: fmt.Sprintf("%d of %d", without, len(truth)), Noticed: unnoticed,
		Target: "all pairs are linked", OK: without == len(truth), Planted: true,
	})
	t.Add(drill.Line{
		Party:     "the same, of the searches that are kept for as long as a ticket may be searched again, 20 minutes",
		Attempted: fmt.Sprintf("link pointers that one of %d searches found", tickets),
		Obtained:  fmt.Sprintf("%d pairs that share a token, %d that share none, of what was searched in the last 20 minutes", linked, mistaken), Noticed: unnoticed,
		Target: "conceded: what was searched in the last 20 minutes, without names", OK: tickets > 0,
	})
	return nil
}

// linked are the pairs that the searches in a copy link, also with what was published
// under the same ticket.
func (t *theft) linked(x *attack.Index, truth map[[2]int64]bool) (right, wrong, tickets int) {
	under := make(map[string][]*attack.Pointer)
	for _, p := range x.Pointers {
		under[string(p.Receipt)] = append(under[string(p.Receipt)], p)
	}
	pairs := make(map[[2]int64]bool)
	for ticket, ids := range x.Found {
		var all []*attack.Pointer
		for _, id := range ids {
			all = append(all, x.Pointers[id])
		}
		receipt := waypost.PublishedUnder(ticket)
		join(pairs, append(all, under[string(receipt[:])]...))
	}
	for pair := range pairs {
		if truth[pair] {
			right++
		} else {
			wrong++
		}
	}
	return right, wrong, len(x.Found)
}

// similar reports whether rows of two pointers have something in common beyond their
// owners' batches: the handle, the receipt, or labels with six equal bytes: four are alike by chance
// once in some hundred thousand copies of a small exchange, and often in large ones.
func similar(x *attack.Index, pair [2]int64) bool {
	a, b := x.Pointers[pair[0]], x.Pointers[pair[1]]
	if string(a.Handle) == string(b.Handle) || string(a.Receipt) == string(b.Receipt) {
		return true
	}
	starts := make(map[[6]byte]bool)
	for _, l := range x.Of(a.ID) {
		starts[[6]byte(l[1:7])] = true
	}
	for _, l := range x.Of(b.ID) {
		if starts[[6]byte(l[1:7])] {
			return true
		}
	}
	return false
}

// uncounted are the pairs that could be linked if labels had no counter.
func (t *theft) uncounted(x *attack.Index, owned map[string]published, truth map[[2]int64]bool) int {
	by := make(map[[16]byte][]*attack.Pointer)
	for _, p := range x.Pointers {
		mine := owned[string(p.Handle)]
		for at := 0; at+32 <= len(mine.tokens); at += 32 {
			label := attack.Label(t.h, t.epoch, waypost.Token(mine.tokens[at:][:32]), 0)
			by[label] = append(by[label], p)
		}
	}
	pairs := make(map[[2]int64]bool)
	for _, all := range by {
		join(pairs, all)
	}
	n := 0
	for pair := range pairs {
		if truth[pair] {
			n++
		}
	}
	return n
}

// shapes asks whether a copy tells how many people have no SSN: whether their pointers
// look different in anything but numbers drawn at random.
func (t *theft) shapes(ctx context.Context) error {
	owned, err := t.owned(ctx)
	if err != nil {
		return err
	}
	without := make(map[string]bool)
	for _, state := range drill.States {
		for _, r := range t.x.Records[state] {
			without[string(state)+r.ID] = r.SSN5 == ""
		}
	}
	for _, r := range t.moved {
		without["AZ"+r.ID] = r.SSN5 == ""
	}
	noSSN := 0
	for _, p := range t.after.Pointers {
		if mine := owned[string(p.Handle)]; without[string(mine.owner)+mine.record] {
			noSSN++
		}
	}
	type shape struct {
		labels, handle, receipt, state int
		generation, version, epoch     uint32
	}
	count := func(fewer int) (odd, rightly int) {
		all, none := make(map[shape]int), make(map[shape]int)
		for _, p := range t.after.Pointers {
			s := shape{p.Labels, len(p.Handle), len(p.Receipt), p.State, p.Generation, p.Version, p.Epoch}
			mine := owned[string(p.Handle)]
			if without[string(mine.owner)+mine.record] {
				s.labels -= fewer
				none[s]++
			}
			all[s]++
		}
		for s, n := range all {
			if 2*n <= len(t.after.Pointers) {
				odd, rightly = odd+n, rightly+none[s]
			}
		}
		return odd, rightly
	}
	odd, _ := count(0)
	t.Add(drill.Line{
		Party:     "who has a copy of the database",
		Attempted: fmt.Sprintf("count the people without an SSN (%d records) by the shape of their rows: number of labels, sizes, versions", noSSN),
		Obtained:  fmt.Sprintf("%d of %d pointers look different from the others", odd, len(t.after.Pointers)), Noticed: unnoticed,
		Baseline: fmt.Sprintf("plain: all %d, by the mark %s; unkeyed: all %d of a list", t.noSSN, drill.NoSSN, t.listed), Target: "all rows have one shape", OK: noSSN > 0,
		Figure: &drill.Figure{Name: "pointers of another shape", Value: float64(odd), Low: float64(odd), High: float64(odd), AtMost: true,
			Others: []drill.Other{{Name: "plain table", Value: float64(t.noSSN)}, {Name: "unkeyed hash", Value: float64(t.listed)}}},
	})
	_, told := count(4)
	t.Add(drill.Line{
		Party:     "the same, of an index where nothing stands in for an SSN that is not there (planted)",
		Attempted: "the same", Obtained: fmt.Sprintf("%d of %d records of people without an SSN", told, noSSN), Noticed: unnoticed,
		Target: "all of them are told apart", OK: told == noSSN, Planted: true,
	})
	return nil
}
