package store

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/waypost/waypost"
)

// Unreachable reports that a statement failed because a server that it needed did
// not answer: where tables lie on several servers, others may go on. A caller sees
// such an error as [waypost.Unavailable].
func Unreachable(err error) bool {
	var answered *pgconn.PgError
	if !errors.As(err, &answered) {
		return false
	}
	switch answered.Code {
	case "57P01", "57P02", "57P03", // it is going down, or coming up
		"57014", // it took too long
		"HV00N": // a foreign server cannot be connected to
		return true
	}
	return strings.HasPrefix(answered.Code, "08") // the connection
}

// coded gives an error the code that others act by.
func coded(err error) error {
	if Unreachable(err) {
		return waypost.Errorf(waypost.Unavailable, "a server of the database does not answer now: the same request does what is left once it does").WithCause(err)
	}
	return err
}
