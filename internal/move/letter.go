package move

import (
	"context"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
)

// A letter tells a resident that a card is to be ended, or was. It names the two
// states, what to do and a number, and nothing about the person: the state that
// mails it knows whom the record belongs to.

// letter is a row of that table.
type letter struct {
	id               [16]byte
	record           string
	english, spanish string
	made             int64
}

// numberOf is what the resident says at a counter: the first eight digits
// of the id, in two groups.
func numberOf(id [16]byte) string {
	n := strings.ToUpper(hex.EncodeToString(id[:4]))
	return n[:4] + "-" + n[4:]
}

// The texts, with the places that are filled in.
const (
	noticeEnglish = `Notice about your {state} card

{other} has asked us to end your {state} driver licence or identification card, because you have a card of {other}, or are about to get one, and may not hold both.

Your {state} card ends {days} days after the day on which this letter was mailed. If you agree, you do not have to do anything.

If this is not right, because you have not asked for a card of {other}, because you want to keep your {state} card, or for any other reason, tell us before that day: at any of our offices, by telephone or by mail. Give this number: {number}. Your card stays good until a person has looked into it and has written to you.
`
	noticeSpanish = `Aviso sobre su tarjeta de {state}

{other} nos ha pedido que anulemos su licencia de conducir o tarjeta de identificación de {state}, porque usted tiene una tarjeta de {other}, o está por recibirla, y no puede tener las dos.

Su tarjeta de {state} dejará de ser válida {days} días después del día en que se envió esta carta. Si está de acuerdo, no tiene que hacer nada.

Si esto no es correcto, porque usted no ha pedido una tarjeta de {other}, porque desea conservar su tarjeta de {state}, o por cualquier otro motivo, avísenos antes de ese día: en cualquiera de nuestras oficinas, por teléfono o por correo. Indique este número: {number}. Su tarjeta seguirá siendo válida hasta que una persona haya revisado el caso y le haya escrito.
`
	doneEnglish = `Your {state} card has ended

{other} has told us that you gave up your {state} driver licence or identification card there and signed for it. It is no longer good.

If you did not do that, tell us at once: at any of our offices, by telephone or by mail. Give this number: {number}.
`
	doneSpanish = `Su tarjeta de {state} ha sido anulada

{other} nos ha comunicado que usted entregó allí su licencia de conducir o tarjeta de identificación de {state} y firmó la entrega. Ya no es válida.

Si usted no lo hizo, avísenos de inmediato: en cualquiera de nuestras oficinas, por teléfono o por correo. Indique este número: {number}.
`
)

// write writes the one letter about an ending.
func (m *Moves) write(tx *store.Tx, e ending) error {
	english, spanish := noticeEnglish, noticeSpanish
	switch {
	case e.surrendered:
		english, spanish = doneEnglish, doneSpanish
	case e.asking == m.State:
		english, spanish = ownEnglish, ownSpanish
	}
	days := int((m.notice + 24*time.Hour - 1) / (24 * time.Hour))
	fill := strings.NewReplacer("{state}", nameOf(m.State), "{other}", nameOf(e.asking), "{days}", strconv.Itoa(days), "{number}", numberOf(e.id))
	_, err := tx.Exec(`INSERT INTO letter (id, record, english, spanish, made) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING`,
		e.id[:], e.record, fill.Replace(english), fill.Replace(spanish), m.Now().Unix())
	return err
}

// Mailed notes that letters were mailed: the time to object begins.
func (m *Moves) Mailed(ctx context.Context, ids [][16]byte) error {
	return m.DB.Write(ctx, func(tx *store.Tx) error {
		now := m.Now()
		for _, id := range ids {
			n, err := tx.Exec(`UPDATE letter SET mailed = $1 WHERE id = $2 AND mailed IS NULL`, now.Unix(), id[:])
			if err != nil {
				return err
			}
			if n == 0 {
				continue // again changes nothing
			}
			// All requests to end the same card wait for this one letter.
			if _, err := tx.Exec(`UPDATE ending SET due = $1, changed = $2 WHERE letter = $3 AND state = $4 AND due IS NULL`,
				now.Add(m.notice).Unix(), now.Unix(), id[:], int(noticed)); err != nil {
				return err
			}
		}
		return nil
	})
}

// unmailed returns the letters that wait to be mailed, oldest first.
func (m *Moves) unmailed(ctx context.Context) (all []letter, err error) {
	err = m.DB.Read(ctx, func(tx *store.Tx) error {
		all = nil
		return tx.Query(`SELECT id, record, english, spanish, made FROM letter WHERE mailed IS NULL ORDER BY made, id LIMIT 1000`, nil,
			func(scan func(dest ...any) error) error {
				var l letter
				err := scan(&l.id, &l.record, &l.english, &l.spanish, &l.made)
				all = append(all, l)
				return err
			})
	})
	return all, err
}

// nameOf is the name of a jurisdiction in a letter.
func nameOf(j waypost.Jurisdiction) string {
	if name, ok := stateNames[j]; ok {
		return name
	}
	return string(j)
}

var stateNames = map[waypost.Jurisdiction]string{
	"AL": "Alabama", "AK": "Alaska", "AS": "American Samoa", "AZ": "Arizona", "AR": "Arkansas", "CA": "California", "CO": "Colorado",
	"CT": "Connecticut", "DE": "Delaware", "DC": "District of Columbia", "FL": "Florida", "GA": "Georgia", "GU": "Guam", "HI": "Hawaii",
	"ID": "Idaho", "IL": "Illinois", "IN": "Indiana", "IA": "Iowa", "KS": "Kansas", "KY": "Kentucky", "LA": "Louisiana", "ME": "Maine",
	"MD": "Maryland", "MA": "Massachusetts", "MI": "Michigan", "MN": "Minnesota", "MS": "Mississippi", "MO": "Missouri", "MT": "Montana",
	"NE": "Nebraska", "NV": "Nevada", "NH": "New Hampshire", "NJ": "New Jersey", "NM": "New Mexico", "NY": "New York", "NC": "North Carolina",
	"ND": "North Dakota", "MP": "Northern Mariana Islands", "OH": "Ohio", "OK": "Oklahoma", "OR": "Oregon", "PA": "Pennsylvania",
	"PR": "Puerto Rico", "RI": "Rhode Island", "SC": "South Carolina", "SD": "South Dakota", "TN": "Tennessee", "TX": "Texas",
	"VI": "Virgin Islands", "UT": "Utah", "VT": "Vermont", "VA": "Virginia", "WA": "Washington", "WV": "West Virginia",
	"WI": "Wisconsin", "WY": "Wyoming",
}
