package ceremony

import (
	"context"
	"encoding/hex"
	"strconv"
	"time"

	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/store"
)

// What a participant keeps in its database.

// The states of a ceremony at one participant.
const (
	stateOpen    = "open"
	stateSigned  = "signed" // its share is kept; the others' signatures are not here yet
	stateDone    = "done"   // all have signed
	stateAborted = "aborted"
)

// record is a ceremony at one participant.
type record struct {
	id         ID
	plan       Plan
	opener     string // whose certificate opened it here
	started    time.Time
	state      string
	slot       string // in the vault, while it may have to be tidied
	transcript [32]byte
	culprit    string
	reason     string
}

func (r record) wire() *waypostv1.CeremonyState {
	return &waypostv1.CeremonyState{Ceremony: r.id[:], Plan: r.plan.Bytes(), Approval: r.plan.Approval, State: r.state, Culprit: r.culprit, Reason: r.reason}
}

func (r record) insert(tx *store.Tx) error {
	_, err := tx.Exec(`INSERT INTO ceremony (id, plan, approval, opener, started, state, slot, transcript, culprit, reason) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		r.id[:], r.plan.Bytes(), append([]byte{}, r.plan.Approval...), r.opener, r.started.UnixNano(), r.state, r.slot, r.transcript[:], r.culprit, r.reason)
	return err
}

func (r record) update(tx *store.Tx) error {
	_, err := tx.Exec(`UPDATE ceremony SET state = $2, transcript = $3, culprit = $4, reason = $5, slot = $6 WHERE id = $1`,
		r.id[:], r.state, r.transcript[:], r.culprit, r.reason, r.slot)
	return err
}

// remove deletes it with its messages.
func (r record) remove(tx *store.Tx) error {
	_, err := tx.Exec(`DELETE FROM ceremony_message WHERE ceremony = $1`, r.id[:])
	if err == nil {
		_, err = tx.Exec(`DELETE FROM ceremony WHERE id = $1`, r.id[:])
	}
	return err
}

const selectRecord = `SELECT plan, approval, opener, started, state, slot, transcript, culprit, reason FROM ceremony `

func scanRecord(scan func(...any) error) (r record, err error) {
	var plan, approval, transcript []byte
	var started int64
	if err = scan(&plan, &approval, &r.opener, &started, &r.state, &r.slot, &transcript, &r.culprit, &r.reason); err != nil {
		return r, err
	}
	copy(r.transcript[:], transcript)
	r.started = time.Unix(0, started)
	if r.plan, err = ParsePlan(plan); err == nil {
		r.id, r.plan.Approval = r.plan.ID(), approval
	}
	return r, err
}

// record finds one; store.ErrNoRows if there is none.
func (h *Holder) record(ctx context.Context, id ID) (r record, err error) {
	err = h.DB.Read(ctx, func(tx *store.Tx) error {
		r, err = scanRecord(tx.Row(selectRecord+`WHERE id = $1`, id[:]).Scan)
		return err
	})
	return r, err
}

// records are all, the latest last. There is one every few months, and those that were
// given up, or that no roster names, go after a year.
func (h *Holder) records(ctx context.Context) (all []record, err error) {
	err = h.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Query(selectRecord+`ORDER BY started, id`, nil, func(scan func(...any) error) error {
			r, err := scanRecord(scan)
			all = append(all, r)
			return err
		})
	})
	return all, err
}

// keepMessage keeps a signed message. Two different ones of one participant and round
// are both kept: they are evidence.
func keepMessage(tx *store.Tx, m Message) error {
	digest := m.Digest()
	_, err := tx.Exec(`INSERT INTO ceremony_message (ceremony, round, sender, digest, signed) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (ceremony, round, sender, digest) DO NOTHING`, m.Ceremony[:], int64(m.Round), m.Sender, digest[:], m.signed)
	return err
}

// messages are all that are kept of a ceremony, by round.
func (h *Holder) messages(ctx context.Context, id ID) (all []Message, err error) {
	err = h.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Query(`SELECT signed FROM ceremony_message WHERE ceremony = $1 ORDER BY round, sender, digest`, []any{id[:]},
			func(scan func(...any) error) error {
				var signed []byte
				if err := scan(&signed); err != nil {
					return err
				}
				m, err := ParseMessage(signed)
				all = append(all, m)
				return err
			})
	})
	return all, err
}

// note writes a step into the ledger.
func (h *Holder) note(tx *store.Tx, r record, step string, more ...journal.Field) error {
	fields := append([]journal.Field{
		{Name: "ceremony", Value: hex.EncodeToString(r.id[:])},
		{Name: "made", Value: kindWord(r.plan.Kind)},
		{Name: "epoch", Value: strconv.FormatUint(uint64(r.plan.Epoch), 10)},
		{Name: "roster", Value: strconv.FormatUint(r.plan.Roster, 10)},
		{Name: "step", Value: step},
	}, more...)
	if step == "signed" {
		fields = append(fields, journal.Field{Name: "transcript", Value: hex.EncodeToString(r.transcript[:])})
	}
	if r.state == stateAborted || r.culprit != "" {
		fields = append(fields, journal.Field{Name: "culprit", Value: r.culprit}, journal.Field{Name: "reason", Value: r.reason})
	}
	body, err := journal.Body(fields...)
	if err != nil {
		return err
	}
	_, err = h.Journal.Append(tx, journal.Entry{Kind: "ceremony", At: h.Now(), Body: body})
	return err
}
