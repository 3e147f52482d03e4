package move

import (
	"context"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
)

// EndOwn ends a card of this state because its holder keeps another one: a card of
// that state, or of this one. The resident gets the letter, and the time to object,
// as if another state had asked. AlreadyExists where the card is being ended, or has
// ended.
func (m *Moves) EndOwn(ctx context.Context, record string, kept waypost.Jurisdiction, told, language string) (id [16]byte, err error) {
	if err := checkConsent(told, language); err != nil {
		return id, err
	}
	here, err := m.File.Record(ctx, record)
	if err != nil {
		return id, err
	}
	if !held(here.Status) {
		return id, waypost.Errorf(waypost.AlreadyExists, "this card has ended already")
	}
	id = newID()
	e := ending{id: id, letter: id, asking: kept, errand: newID(), record: record, begun: m.Now().Unix()}
	return id, m.DB.Write(ctx, func(tx *store.Tx) error {
		before, err := endings(tx, `WHERE record = $1 AND state <= $2`, record, int(closing))
		if err != nil {
			return err
		}
		if len(before) > 0 {
			return waypost.Errorf(waypost.AlreadyExists, "this card is being ended already: waypost terminate list")
		}
		pointers, err := m.File.Pointers(tx, record)
		if err != nil {
			return err
		}
		if len(pointers) > 0 {
			e.handle = pointers[0].Handle
		}
		return m.open(tx, e)
	})
}

// The letter where the card that is kept is of this state too.
const (
	ownEnglish = `Notice about your {state} card

You have two driver licences or identification cards of {state}, and may hold only one. We are going to end one of them: the number of the card is on the back of this letter.

That card ends {days} days after the day on which this letter was mailed. If you agree, you do not have to do anything.

If this is not right, because only one of the cards is yours, because you want to keep the other one, or for any other reason, tell us before that day: at any of our offices, by telephone or by mail. Give this number: {number}. Your card stays good until a person has looked into it and has written to you.
`
	ownSpanish = `Aviso sobre su tarjeta de {state}

Usted tiene dos licencias de conducir o tarjetas de identificación de {state}, y solo puede tener una. Vamos a anular una de ellas: el número de la tarjeta está al dorso de esta carta.

Esa tarjeta dejará de ser válida {days} días después del día en que se envió esta carta. Si está de acuerdo, no tiene que hacer nada.

Si esto no es correcto, porque solo una de las tarjetas es suya, porque desea conservar la otra, o por cualquier otro motivo, avísenos antes de ese día: en cualquiera de nuestras oficinas, por teléfono o por correo. Indique este número: {number}. Su tarjeta seguirá siendo válida hasta que una persona haya revisado el caso y le haya escrito.
`
)

// foundSame reports whether the check found this person: it said so, or clerks of
// both states have found it since.
func (m *Moves) foundSame(tx *store.Tx, told waypost.Outcome, check waypost.TicketID, reference []byte) (bool, error) {
	if told == waypost.Match || m.Agreed == nil {
		return told == waypost.Match, nil
	}
	return m.Agreed(tx, check, reference)
}
