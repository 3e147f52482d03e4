package errand

import (
	"context"
	"encoding/hex"
	"errors"
	"strconv"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/store"
)

// answerDue asks the handlers again that could not say anything, and those that a
// crash kept from it.
func (e *Engine) answerDue(ctx context.Context) error {
	type key struct {
		from waypost.Jurisdiction
		id   ID
	}
	var due []key
	err := e.DB.Read(ctx, func(tx *store.Tx) error {
		due = nil
		return tx.Query(`SELECT asking, id FROM question WHERE due <= $1 ORDER BY due, asking, id LIMIT $2`, []any{e.Now().Unix(), atOnce},
			func(scan func(dest ...any) error) error {
				var k key
				err := scan(&k.from, &k.id)
				due = append(due, k)
				return err
			})
	})
	for _, k := range due {
		err = errors.Join(err, e.answer(ctx, k.from, k.id))
	}
	return err
}

// answer has the handler decide, and commits what it says. What fails for the
// moment is due again later: the question is kept, and its message done with.
func (e *Engine) answer(ctx context.Context, from waypost.Jurisdiction, id ID) error {
	name := string(from) + string(id[:])
	leave := e.claim(ctx, name)
	if leave == nil {
		return nil
	}
	defer leave()
	q, err := e.loadAsked(ctx, from, id)
	if err != nil || q.due == nil {
		return err
	}
	r, err := e.decide(ctx, q)
	if err == nil {
		err = e.respond(ctx, q, r)
	}
	if err != nil && !tryAgain(err) {
		err = e.respond(ctx, q, refusal(err))
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	e.Log.Warn("a question waits", "asking", from, "kind", q.kind, "ticket", q.Ticket.ID, "code", waypost.CodeOf(err), "cause", err)
	return e.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE question SET due = $1, failures = failures + 1 WHERE asking = $2 AND id = $3 AND due IS NOT NULL`,
			e.Now().Add(backoff(q.failures)).Unix(), from, id)
		return err
	})
}

func refusal(cause error) Response {
	return Response{Word: Refused, Final: true, refused: readable(cause.Error())}
}

// decide asks the handler of the kind.
func (e *Engine) decide(ctx context.Context, q asked) (Response, error) {
	h := e.handlers[q.kind]
	if h.Answer == nil {
		return Response{}, waypost.Errorf(waypost.PermissionDenied, "%s does not answer this", e.State)
	}
	if err := e.able(q); err != nil {
		return Response{}, err
	}
	r, err := h.Answer(ctx, q.Question)
	if err != nil {
		return Response{}, err
	}
	return r, e.checkResponse(q.kind, r)
}

// checkResponse refuses what a handler must not reply.
func (e *Engine) checkResponse(kind waypost.Kind, r Response) error {
	h := e.handlers[kind]
	var wrong string
	switch {
	case r.Word == "" && (r.Final || len(r.Body) > 0):
		wrong = "a response without a word"
	case r.Word != "" && !h.has(r.Word):
		wrong = "a word that is not in the list"
	case r.Word == Refused && (!r.Final || len(r.Body) > 0):
		wrong = "a refusal with more than the word"
	case len(r.Body) > h.room(), !r.Final && len(r.Body) > maxOnTheWay:
		wrong = "a body that is too large"
	case r.Handle != nil && len(r.Handle) != len(waypost.Handle{}):
		wrong = "a handle of another length"
	default:
		return nil
	}
	e.Log.Error("a handler of errands gave what cannot be sent", "kind", kind, "fault", wrong)
	return waypost.Errorf(waypost.InvalidArgument, "%s cannot send its reply: ask it in another way", e.State)
}

// Reply says something more to a question, or the first word where Answer had
// none. NotFound where there is no such question, AlreadyExists where it has had
// its final reply, InvalidArgument where the response cannot be sent.
func (e *Engine) Reply(ctx context.Context, id ID, from waypost.Jurisdiction, r Response) error {
	for {
		q, err := e.loadAsked(ctx, from, id)
		switch {
		case err != nil:
			return err
		case q.finished != nil:
			return waypost.Errorf(waypost.AlreadyExists, "the question has had its final reply")
		case r.Word == "":
			return waypost.Errorf(waypost.InvalidArgument, "a reply needs a word")
		}
		if err = e.checkResponse(q.kind, r); err == nil {
			err = e.respond(ctx, q, r)
		}
		if !errors.Is(err, errChanged) {
			return err
		}
	}
}

// saying is a reply as it is said, and said again.
type saying struct {
	Reply
	first  waypost.TicketID // under which it was said first
	handle []byte
	policy string
}

// respond commits a response with its entry and its letter.
func (e *Engine) respond(ctx context.Context, q asked, r Response) error {
	if r.Word == "" {
		return e.leaveOpen(ctx, q, r)
	}
	s := saying{Reply: Reply{Number: q.replies + 1, Word: r.Word, Final: r.Final, Body: r.Body, Refused: r.refused}, first: q.Ticket.ID, handle: r.Handle, policy: r.Policy}
	letters, err := e.letters(ctx, q, q.Ticket.ID, []saying{s})
	if err != nil {
		return err
	}
	return e.commit(ctx, letters, func(tx *store.Tx) error {
		var finished *int64
		if now := e.Now().Unix(); r.Final {
			finished = &now
		}
		n, err := tx.Exec(`UPDATE question SET replies = $1, due = NULL, failures = 0, finished = $2
			WHERE asking = $3 AND id = $4 AND replies = $5 AND ticket = $6 AND finished IS NULL`,
			s.Number, finished, q.From, q.ID, q.replies, q.Ticket.Bytes())
		if err != nil || n == 0 {
			return errOr(err, errChanged)
		}
		if err := keepSaying(tx, q.From, q.ID, s); err != nil {
			return err
		}
		if r.Commit != nil {
			if err := r.Commit(tx); err != nil {
				return err
			}
		}
		return e.logSaying(tx, q.Ticket, q.evaluations, s)
	})
}

// leaveOpen commits that somebody else will reply.
func (e *Engine) leaveOpen(ctx context.Context, q asked, r Response) error {
	return e.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE question SET due = NULL, failures = 0 WHERE asking = $1 AND id = $2 AND due IS NOT NULL`, q.From, q.ID)
		if err != nil || n == 0 {
			return errOr(err, errChanged)
		}
		if r.Commit != nil {
			if err := r.Commit(tx); err != nil {
				return err
			}
		}
		if !r.Withheld {
			return nil
		}
		var subject []journal.Field
		if r.Handle != nil {
			subject = append(subject, e.Subject(waypost.Handle(r.Handle), q.Ticket.ID))
		}
		return e.log(tx, q.Ticket, "withheld", subject...)
	})
}

// letters seals replies, all of the size of their kind.
func (e *Engine) letters(ctx context.Context, q asked, ticket waypost.TicketID, said []saying) ([]Letter, error) {
	var letters []Letter
	for _, s := range said {
		raw, err := e.encodeReply(q.ID, ticket, s.Reply)
		if err != nil {
			return nil, err
		}
		l, err := e.Post.Seal(ctx, string(q.From), waypost.MessageReply, ticket, e.handlers[q.kind].size(), raw)
		if err != nil {
			return nil, err
		}
		letters = append(letters, l)
	}
	return letters, nil
}

// logSaying appends the entry of a reply, under the ticket to which it goes.
func (e *Engine) logSaying(tx *store.Tx, t waypost.SignedTicket, places string, s saying) error {
	final := "no"
	if s.Final {
		final = "yes"
	}
	fields := []journal.Field{{Name: "number", Value: strconv.FormatUint(uint64(s.Number), 10)}, {Name: "word", Value: s.Word}, {Name: "final", Value: final}}
	if s.Number == 1 {
		fields = append(fields, journal.Field{Name: "evaluations", Value: places})
	}
	if s.first != t.ID {
		fields = append(fields, journal.Field{Name: "first", Value: hex.EncodeToString(s.first[:])})
	}
	if len(s.handle) > 0 {
		fields = append(fields, e.Subject(waypost.Handle(s.handle), t.ID))
	}
	if s.policy != "" {
		fields = append(fields, journal.Field{Name: "policy", Value: s.policy})
	}
	return e.log(tx, t, "replied", fields...)
}

func keepSaying(tx *store.Tx, from waypost.Jurisdiction, id ID, s saying) error {
	for _, b := range []*[]byte{&s.Body, &s.handle} {
		if *b == nil {
			*b = []byte{}
		}
	}
	_, err := tx.Exec(`INSERT INTO question_reply (asking, id, number, ticket, word, final, body, refused, handle, policy)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, from, id, s.Number, s.first, s.Word, s.Final, s.Body, s.Refused, s.handle, s.policy)
	return err
}

// sayings returns what was said to a question, in order.
func sayings(tx *store.Tx, from waypost.Jurisdiction, id ID) (said []saying, err error) {
	err = tx.Query(`SELECT number, ticket, word, final, body, refused, handle, policy FROM question_reply WHERE asking = $1 AND id = $2 ORDER BY number`,
		[]any{from, id}, func(scan func(dest ...any) error) error {
			var s saying
			err := scan(&s.Number, &s.first, &s.Word, &s.Final, &s.Body, &s.Refused, &s.handle, &s.policy)
			said = append(said, s)
			return err
		})
	return said, err
}
