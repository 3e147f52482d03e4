package driver

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/store"
)

func (o *office) write(fn func(tx *store.Tx) error) error {
	return o.desk.DB.Write(context.Background(), fn)
}

func (o *office) entries(record string) (entries []Entry) {
	o.t.Helper()
	o.must(o.desk.DB.Read(context.Background(), func(tx *store.Tx) (err error) {
		entries, err = o.desk.Book.Of(tx, record)
		return err
	}))
	return entries
}

func (o *office) export(record string) (raw []byte) {
	o.t.Helper()
	o.must(o.desk.DB.Read(context.Background(), func(tx *store.Tx) (err error) {
		raw, err = o.desk.Book.Export(tx, record)
		return err
	}))
	return raw
}

func TestBook(t *testing.T) {
	r := newRig(t, "CA", "AZ")
	ca, az := r.states["CA"], r.states["AZ"]
	withdrawal, clearance := item(t, Withdrawal, "W-1"), item(t, Clearance, "X-1")
	conviction, negate := item(t, Conviction, "C-1"), item(t, Negate, "N-1")
	add := func(items ...Item) (n int, err error) {
		err = ca.write(func(tx *store.Tx) error {
			var arrivals []Arrival
			for _, i := range items {
				arrivals = append(arrivals, Arrival{Item: i, From: "NV", At: r.now, Statement: []byte("signed")})
			}
			n, err = ca.desk.Book.Add(tx, "CA-1", arrivals...)
			return err
		})
		return n, err
	}
	// What ends and what cancels may come first.
	if n, err := add(clearance, negate, withdrawal, conviction, conviction); n != 4 || err != nil {
		t.Fatal(n, err)
	}
	if n, err := add(conviction); n != 0 || err != nil {
		t.Errorf("again: %d %v", n, err)
	}
	other := conviction
	other.Speed = 99
	if _, err := add(item(t, Accident, "A-1"), other); waypost.CodeOf(err) != waypost.AlreadyExists {
		t.Errorf("the same reference with other content: %v", err)
	}
	entries := ca.entries("CA-1")
	if len(entries) != 4 {
		t.Fatalf("%d entries: a part of what failed was added", len(entries))
	}
	if e := entries[2]; e.EndedBy != clearance.ID || e.NegatedBy != (ItemID{}) {
		t.Errorf("the withdrawal: %+v", e)
	}
	if e := entries[3]; e.NegatedBy != negate.ID || string(e.Statement) != "signed" {
		t.Errorf("the conviction: %+v", e)
	}

	// To the next state, twice; and to one that has an item in another way.
	raw := ca.export("CA-1")
	if !bytes.Equal(raw, ca.export("CA-1")) {
		t.Error("the same history in other bytes")
	}
	r.must(az.write(func(tx *store.Tx) error {
		_, err := az.desk.Book.Add(tx, "AZ-2", Arrival{Item: other, From: "NV", At: r.now})
		return err
	}))
	r.now = r.now.Add(time.Hour)
	for _, record := range []string{"AZ-1", "AZ-1", "AZ-2"} {
		r.must(az.write(func(tx *store.Tx) error { return az.desk.Book.Import(tx, record, "CA", raw) }))
	}
	moved := az.entries("AZ-1")
	for n := range moved {
		if moved[n].From != "CA" || len(moved[n].Statement) > 0 {
			t.Errorf("imported: %+v", moved[n])
		}
		moved[n].From, moved[n].Statement = "NV", []byte("signed")
	}
	if !slices.EqualFunc(moved, entries, func(a, b Entry) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
		t.Errorf("the history was %v and became %v", entries, moved)
	}
	disputed := az.entries("AZ-2")
	if len(disputed) != 4 || disputed[0].Speed != 99 || disputed[0].Disputed != "CA" || disputed[1].Disputed != "" {
		t.Errorf("with an item in another way: %+v", disputed)
	}
}

// A cancelled clearance ends nothing, and nobody ends or cancels what another has
// reported.
func TestMark(t *testing.T) {
	entry := func(i Item) Entry { return Entry{Arrival: Arrival{Item: i}} }
	withdrawal, clearance := item(t, Withdrawal, "W-1"), item(t, Clearance, "X-1")
	negate := item(t, Negate, "N-1")
	negate.Linked = clearance.ID
	foreign := item(t, Negate, "N-2")
	foreign.Linked, foreign.Reporter = withdrawal.ID, "UT"
	foreign.ID = IDOf(foreign.Type, foreign.Reporter, foreign.Reference)
	again := item(t, Negate, "N-3")
	again.Linked = negate.ID
	entries := []Entry{entry(withdrawal), entry(clearance), entry(negate), entry(foreign), entry(again)}
	mark(entries)
	if e := entries[0]; e.EndedBy != (ItemID{}) || e.NegatedBy != (ItemID{}) {
		t.Errorf("the withdrawal: %+v", e)
	}
	if entries[1].NegatedBy != negate.ID || entries[2].NegatedBy != (ItemID{}) {
		t.Errorf("the clearance: %+v, what cancels it: %+v", entries[1], entries[2])
	}
	if s := ProposedStatus(entries); s != waypost.Suspended {
		t.Errorf("the status proposed is %q", s)
	}
	commercial := withdrawal
	commercial.Extent = "commercial"
	if s := ProposedStatus([]Entry{entry(commercial)}); s != waypost.Disqualified {
		t.Errorf("of a commercial licence it is %q", s)
	}
	ended := []Entry{entry(withdrawal), entry(clearance)}
	if mark(ended); ProposedStatus(ended) != "" {
		t.Error("a status is proposed where nothing is withdrawn any more")
	}
}

// The largest history there can be fits into one message, and no more is added.
func TestBookFull(t *testing.T) {
	r := newRig(t, "CA")
	ca := r.states["CA"]
	largest := item(t, Conviction, "")
	largest.Detail, largest.Linked = strings.Repeat("ä", maxDetail/2), ItemID{1}
	largest.CommercialVehicle, largest.HazardousMaterial, largest.CommercialHolder = true, true, true
	largest.Code, largest.Severity, largest.BAC = "U08", "property", mostBAC
	largest.Basis, largest.Extent, largest.LinkedState = Bases[1], Extents[1], "UT"
	largest.LinkedNumber, largest.Effective, largest.Eligible = strings.Repeat("9", maxNumber), largest.Occurred, largest.Occurred
	full := func(n int) Arrival {
		i := largest
		i.Reference = fmt.Sprintf("%0*d", maxReference, n)
		i.ID = IDOf(i.Type, i.Reporter, i.Reference)
		return Arrival{Item: i, From: "NV", At: r.now}
	}
	r.must(ca.write(func(tx *store.Tx) error {
		for n := range MaxItems {
			if _, err := ca.desk.Book.Add(tx, "CA-1", full(n)); err != nil {
				return err
			}
		}
		return nil
	}))
	if raw := ca.export("CA-1"); len(raw) > maxHistory || len(raw) < maxHistory/2 {
		t.Errorf("a full history has %d bytes", len(raw))
	} else if entries, err := ParseHistory(raw); err != nil || len(entries) != MaxItems {
		t.Errorf("a full history: %d entries, %v", len(entries), err)
	}
	err := ca.write(func(tx *store.Tx) error {
		_, err := ca.desk.Book.Add(tx, "CA-1", full(MaxItems))
		return err
	})
	if waypost.CodeOf(err) != waypost.QuotaExceeded {
		t.Errorf("one more: %v", err)
	}
	rec := jane(t, "CA-1", "D111")
	ca.add(rec)
	body := must(report{Item: item(t, Conviction, "C-1"), card: shows(rec, "CA")}.encode())
	res, err := ca.desk.answer(context.Background(), r.questionOfReport("CA", body))
	if err != nil || res.Word != Rejected {
		t.Errorf("a report to it: %v %v", res, err)
	}
	got, err := (Door{ca.desk}).Get(context.Background(), &waypostv1.GetHistoryRequest{Record: "CA-1"})
	if err != nil || len(got.Entries) != ShownConvictions || !got.More {
		t.Errorf("at a glance %d entries, more %v, %v", len(got.GetEntries()), got.GetMore(), err)
	}
	if got, err := (Door{ca.desk}).Get(context.Background(), &waypostv1.GetHistoryRequest{Record: "CA-1", All: true}); err != nil || len(got.Entries) != MaxItems || got.More {
		t.Errorf("all: %d entries, %v", len(got.GetEntries()), err)
	}
}

func TestParseHistoryRefuses(t *testing.T) {
	good := &waypostv1.History{Entries: []*waypostv1.HistoryEntry{{Item: item(t, Conviction, "C-1").Proto(), From: "CA", Arrived: 1}}}
	if _, err := ParseHistory(must(proto.Marshal(good))); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(h *waypostv1.History){
		"an item twice":         func(h *waypostv1.History) { h.Entries = append(h.Entries, h.Entries[0]) },
		"no state":              func(h *waypostv1.History) { h.Entries[0].From = "" },
		"a state in lower case": func(h *waypostv1.History) { h.Entries[0].From = "ca" },
		"disputed by nobody":    func(h *waypostv1.History) { h.Entries[0].Disputed = "Ohio" },
		"before there was time": func(h *waypostv1.History) { h.Entries[0].Arrived = -1 },
		"after it has ended":    func(h *waypostv1.History) { h.Entries[0].Arrived = lastSecond + 1 },
		"another id":            func(h *waypostv1.History) { h.Entries[0].Item.Id[3] ^= 1 },
		"a type from elsewhere": func(h *waypostv1.History) {
			i := h.Entries[0].Item
			i.Type = "parking"
			id := IDOf("parking", "NV", i.Reference)
			i.Id = id[:]
		},
		"a date that is none":       func(h *waypostv1.History) { h.Entries[0].Item.Occurred = "2026-02-30" },
		"a date in another form":    func(h *waypostv1.History) { h.Entries[0].Item.Occurred = "20260201" },
		"a control character":       func(h *waypostv1.History) { h.Entries[0].Item.Detail = "a\x1b[2J" },
		"a text that is too long":   func(h *waypostv1.History) { h.Entries[0].Item.Detail = strings.Repeat("a", maxDetail+1) },
		"a link that is too short":  func(h *waypostv1.History) { h.Entries[0].Item.Linked = []byte{1} },
		"a link to nothing":         func(h *waypostv1.History) { h.Entries[0].Item.Linked = make([]byte, 16) },
		"no item":                   func(h *waypostv1.History) { h.Entries[0].Item = nil },
		"a field of another format": func(h *waypostv1.History) { h.Entries[0].Item.ProtoReflect().SetUnknown([]byte{0xf8, 0x7f, 1}) },
		"too many":                  func(h *waypostv1.History) { h.Entries = make([]*waypostv1.HistoryEntry, MaxItems+1) },
	} {
		h, _ := proto.Clone(good).(*waypostv1.History)
		spoil(h)
		if _, err := ParseHistory(must(proto.Marshal(h))); waypost.CodeOf(err) != waypost.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A person's whole history is printed, with what other states have reported.
func TestPrint(t *testing.T) {
	r := newRig(t, "NV", "CA", "AZ")
	ca := r.states["CA"]
	rec := jane(t, "CA-1", "D111")
	ca.add(rec)
	for _, i := range []Item{item(t, Withdrawal, "W-1"), item(t, Conviction, "C-1"), item(t, Clearance, "X-1"), item(t, Negate, "N-1")} {
		if s := r.report("NV", i, shows(rec, "CA")); s.Word != Accepted {
			t.Fatal(s)
		}
	}
	own := item(t, Accident, "A-1")
	own.Severity = "property"
	added, err := (Door{ca.desk}).AddOwn(context.Background(), &waypostv1.AddOwnRequest{Record: "CA-1",
		Items: []*waypostv1.Item{own.Proto(), own.Proto(), {Type: "parking"}, {Type: string(Accident), Reference: "A-2"}}})
	if err != nil || added.Added != 2 || len(added.Rejected) != 2 || added.Rejected[1].Index != 3 || len(added.Rejected[1].Problems) != 2 {
		t.Fatal(err, added)
	}
	r.move("CA", "AZ", "CA-1", "AZ-1", nil)
	r.now = r.now.Add(48 * time.Hour)
	res, err := (Door{r.states["AZ"].desk}).Print(context.Background(), &waypostv1.PrintHistoryRequest{Record: "AZ-1"})
	if err != nil {
		t.Fatal(err)
	}
	want := `DRIVER HISTORY kept by AZ on 2026-11-25
Record AZ-1   Jane Rosalind Quillfeather   born 1987-03-14

1. 2026-10-01  CONVICTION
   S92 Speeding, at the speed and limit given; 88 mph where 65 were allowed
   occurred 2026-10-01
   convicted 2026-11-02
   reported by NV, reference C-1; arrived 2026-11-23
   passed on by CA
   CANCELLED by: negate of NV, reference N-1

2. 2026-10-01  ACCIDENT
   crash: property
   occurred 2026-10-01
   reported by CA, reference A-1; arrived 2026-11-23

3. 2026-11-10  WITHDRAWAL
   A98 Administrative per se at .08; basis: administrative; extent: all
   effective 2026-11-10
   until or eligible from 2027-05-10
   reported by NV, reference W-1; arrived 2026-11-23
   passed on by CA
   ENDED by: clearance of NV, reference X-1

4. 2026-11-20  CLEARANCE
   effective 2026-11-20
   about: withdrawal of NV, reference W-1
   reported by NV, reference X-1; arrived 2026-11-23
   passed on by CA

5. 2026-11-23  NEGATE
   wrong driver
   about: conviction of NV, reference C-1
   reported by NV, reference N-1; arrived 2026-11-23
   passed on by CA

5 items, 5 of them reported by other states. If something is wrong, ask the state that has reported it; it can cancel an item.
`
	if res.Text != want {
		t.Errorf("printed:\n%s", res.Text)
	}
	if len(res.History.Entries) != 5 || res.History.ProposedStatus != "" {
		t.Errorf("as data: %v", res.History)
	}
	if _, err := (Door{ca.desk}).AddOwn(context.Background(), &waypostv1.AddOwnRequest{Record: "CA-1", Items: []*waypostv1.Item{own.Proto()}}); waypost.CodeOf(err) != waypost.InvalidArgument {
		t.Errorf("an own item for a record that has gone: %v", err)
	}
}
