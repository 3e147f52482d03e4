package duplicate

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"unicode"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/matchkey"
)

// What is remembered of a pair that is two people is keyed digests, so that the
// table alone names nobody. Of the person it has what a second leg shows, in the
// form that is compared; the SSN is in none of them, so that whether a pair is
// raised again never depends on it.

// clearing is one pair, as the state of record remembers it.
type clearing struct {
	state  waypost.Jurisdiction // that asks, or this one
	person [32]byte             // a digest of the applicant, or a pseudonym
	record string
	digest [32]byte // of the record, as it was looked at
}

// mac is a keyed digest of texts.
func mac(key []byte, use string, texts ...string) [32]byte {
	m := hmac.New(sha256.New, key)
	for _, t := range append([]string{use}, texts...) {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(t)))
		m.Write(n[:])
		m.Write([]byte(t))
	}
	return [32]byte(m.Sum(nil))
}

// compared lists what is compared of a person, in one form for all spellings.
func compared(p waypost.Person) []string {
	n := matchkey.Normalize(p)
	texts := []string{n.Suffix, n.Born.String(), string(p.Sex)}
	for _, names := range [][]string{n.Family, n.Given, n.Middle} {
		texts = append(texts, "names")
		texts = append(texts, names...)
	}
	return texts
}

func (c *Cases) personDigest(p waypost.Person) [32]byte {
	return mac(c.persons, "applicant", compared(p)...)
}

func (c *Cases) recordDigest(r waypost.Record) [32]byte {
	return mac(c.persons, "record", append(compared(r.Person), r.CardNumber)...)
}

// pseudonym is how this state names its own person towards one other state, and
// only towards that one. With a record it is of that record: a namesake is
// somebody else.
func (c *Cases) pseudonym(towards waypost.Jurisdiction, p waypost.Person, record string) (id ID) {
	m := mac(c.pseudonyms, string(towards), append(compared(p), record)...)
	copy(id[:], m[:])
	return id
}

// wide is a pseudonym of another state, as long as a digest.
func wide(person ID) (out [32]byte) {
	copy(out[:], person[:])
	return out
}

// Cleared reports whether this applicant of that state was found to be somebody
// else than the person of the record, as the record is now. A card shown that is
// the record's own speaks against any namesake: then it is false. The call costs
// the same whatever it returns.
func (c *Cases) Cleared(tx *store.Tx, from waypost.Jurisdiction, applicant waypost.Person, cardNumber string, record waypost.Record) (bool, error) {
	known, err := c.isCleared(tx, clearing{from, c.personDigest(applicant), record.ID, c.recordDigest(record)})
	if shown := lettersAndDigits(cardNumber); shown != "" && shown == lettersAndDigits(record.CardNumber) {
		known = false
	}
	return known, err
}

// lettersAndDigits is a card number without what people put between.
func lettersAndDigits(number string) string {
	return strings.ToUpper(strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, number))
}

func (c *Cases) isCleared(tx *store.Tx, k clearing) (bool, error) {
	var n int
	err := tx.Row(`SELECT count(*) FROM cleared WHERE state = $1 AND person = $2 AND record = $3 AND digest = $4 AND valid = 1`,
		k.state, k.person[:], k.record, k.digest[:]).Scan(&n)
	return n > 0, err
}

// clearings are what would be remembered of a case if it is two people: of the
// record as it is now, which a person of this state looks at.
func (c *Cases) clearings(ctx context.Context, p pair) ([]clearing, error) {
	if p.other != "" && p.asked {
		return nil, nil // the record is the other state's
	}
	record, err := c.File.Record(ctx, p.record)
	if waypost.CodeOf(err) == waypost.NotFound {
		return nil, nil // gone: nothing is raised about it
	}
	if err != nil {
		return nil, err
	}
	if p.other != "" {
		list := []clearing{{p.other, wide(p.person), record.ID, c.recordDigest(record)}}
		if who, ok := personOf(p.applicant); ok {
			list = append(list, clearing{p.other, c.personDigest(who), record.ID, c.recordDigest(record)})
		}
		return list, nil
	}
	too, err := c.File.Record(ctx, p.recordToo)
	if err != nil {
		return nil, err
	}
	return []clearing{
		{c.State, c.personDigest(record.Person), too.ID, c.recordDigest(too)},
		{c.State, c.personDigest(too.Person), record.ID, c.recordDigest(record)},
	}, nil
}

// personOf reads an applicant, who has no SSN here.
func personOf(a *waypostv1.Applicant) (waypost.Person, bool) {
	if a == nil {
		return waypost.Person{}, false
	}
	born, err := waypost.ParseDate(a.Born)
	return waypost.Person{Family: a.Family, Given: a.Given, Middle: a.Middle, Suffix: a.Suffix, Born: born, Sex: waypost.Sex(a.Sex)}, err == nil
}

// prepare notes what is remembered as soon as both states agree, and not before.
func (c *Cases) prepare(tx *store.Tx, p pair, list []clearing) error {
	for _, k := range list {
		if _, err := tx.Exec(`INSERT INTO cleared (state, person, record, duplicate, digest, valid, at) VALUES ($1, $2, $3, $4, $5, 0, $6)
			ON CONFLICT (state, person, record, duplicate) DO UPDATE SET digest = excluded.digest`,
			k.state, k.person[:], k.record, p.id[:], k.digest[:], c.Now().Unix()); err != nil {
			return err
		}
	}
	return nil
}

// settle remembers, or no longer remembers, what a case has come to.
func (c *Cases) settle(tx *store.Tx, p pair, s standing) error {
	two := s.outcome == Different && !s.fraud
	if _, err := tx.Exec(`UPDATE cleared SET valid = $1 WHERE duplicate = $2`, two, p.id[:]); err != nil {
		return err
	}
	if p.other == "" || !p.asked {
		return nil
	}
	// At the state that asked, its own word is enough: the clerk who serves the
	// person need not wait for the other state. Fraud is never cleared.
	if two || s.ours == Different && s.theirs != Same && !s.fraud {
		_, err := tx.Exec(`INSERT INTO cleared_elsewhere (person, state, duplicate, at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
			p.person[:], p.other, p.id[:], c.Now().Unix())
		return err
	}
	_, err := tx.Exec(`DELETE FROM cleared_elsewhere WHERE duplicate = $1`, p.id[:])
	return err
}

// clearedElsewhere counts the records of another state that this state has found
// to be somebody else than its own person.
func clearedElsewhere(tx *store.Tx, person ID, state waypost.Jurisdiction) (n int, err error) {
	err = tx.Row(`SELECT count(*) FROM cleared_elsewhere WHERE person = $1 AND state = $2`, person[:], state).Scan(&n)
	return n, err
}

// remembered reports whether a pseudonym was cleared against the record as it is.
func (c *Cases) remembered(tx *store.Tx, from waypost.Jurisdiction, person ID, record waypost.Record) (bool, error) {
	return c.isCleared(tx, clearing{from, wide(person), record.ID, c.recordDigest(record)})
}

// anyFraud reports whether a case about one of the records is for investigators.
func anyFraud(tx *store.Tx, recordIDs ...string) (bool, error) {
	for _, id := range recordIDs {
		var n int
		err := tx.Row(`SELECT count(*) FROM duplicate WHERE (record = $1 OR record_too = $1) AND fraud = 1 AND $1 <> ''`, id).Scan(&n)
		if err != nil || n > 0 {
			return n > 0, err
		}
	}
	return false, nil
}
