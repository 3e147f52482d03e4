package shards

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"
)

// move takes the labels of one table to others.
type move struct {
	source  place
	targets []place // all parts of the source
	modulus int     // of the parts
	// swap puts the targets in the source's place, under the writers' lock.
	swap func(ctx context.Context, tx pgx.Tx) error
}

const (
	drainAtOnce = 2000 // noted labels that are copied after in one step
	// fewNoted is how many may be left for when the writers stand still.
	fewNoted = 200
)

// carry copies, catches up, compares and switches: see the package's text.
func (t *Table) carry(ctx context.Context, m move) error {
	source, err := t.conn(ctx, m.source.server)
	if err != nil {
		return err
	}
	if err := t.locked(ctx, func(ctx context.Context, _ pgx.Tx) error { return t.note(ctx, source, m.source) }); err != nil {
		return err
	}
	if err := t.at("noted"); err != nil {
		return err
	}
	for _, target := range m.targets {
		if err := t.copy(ctx, source, m, target); err != nil {
			return err
		}
		if err := t.at("copied"); err != nil {
			return err
		}
	}
	c := catchUp{t: t, move: m, source: source}
	if err := c.compare(ctx); err != nil {
		return err
	}
	if err := t.at("compared"); err != nil {
		return err
	}
	t.report(Progress{Step: "switching", Partition: m.targets[0].part})
	err = c.settled(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if err := t.at("switching"); err != nil {
			return err
		}
		if err := m.swap(ctx, tx); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE `+t.schema+`.`+ownerTable+` SET switches = switches + 1`)
		return err
	})
	if err != nil {
		return err
	}
	return t.at("switched")
}

// note has every label that is written to a table from now on noted beside it.
// No writer is under way.
func (t *Table) note(ctx context.Context, c *pgx.Conn, p place) error {
	return once(ctx, c,
		`CREATE TABLE `+t.schema+`.log (n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, label BYTEA NOT NULL)`,
		`CREATE FUNCTION `+t.schema+`.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			INSERT INTO `+t.schema+`.log (label) VALUES (CASE TG_OP WHEN 'DELETE' THEN OLD.label ELSE NEW.label END); RETURN NULL; END $$`,
		`CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON `+t.name(p)+` FOR EACH ROW EXECUTE FUNCTION `+t.schema+`.note()`)
}

// part is the condition that a row l of a move's source belongs to a part.
func (m move) part(part string) string {
	if len(m.targets) == 1 {
		return "true"
	}
	return fmt.Sprintf(`satisfies_hash_partition('label_parts'::regclass, %d, %s, l.label)`, m.modulus, part)
}

// copy fills a target and builds its primary key.
func (t *Table) copy(ctx context.Context, source *pgx.Conn, m move, to place) error {
	target, err := t.conn(ctx, to.server)
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	read := make(chan error, 1)
	go func() {
		_, err := source.PgConn().CopyTo(ctx, &counting{w: w, report: func(rows int64) {
			t.report(Progress{"copying", to.part, rows})
		}}, fmt.Sprintf(`COPY (SELECT label, pointer FROM %s l WHERE %s) TO STDOUT (FORMAT binary)`, t.name(m.source), m.part(fmt.Sprint(to.part))))
		w.CloseWithError(err) // nil ends the stream
		read <- err
	}()
	_, err = target.PgConn().CopyFrom(ctx, r, `COPY `+t.name(to)+` (label, pointer) FROM STDIN (FORMAT binary)`)
	r.CloseWithError(io.ErrClosedPipe)
	if readErr := <-read; err == nil {
		err = readErr
	}
	if err != nil {
		return discreet(err)
	}
	t.report(Progress{Step: "indexing", Partition: to.part})
	return run(ctx, target, `ALTER TABLE `+t.name(to)+` ADD PRIMARY KEY (label)`, `ANALYZE `+t.name(to))
}

// rowSize is that of a label in a binary COPY: the number of fields, and two with
// their lengths.
const rowSize = 2 + 4 + 16 + 4 + 8

// counting reports about how many rows have passed, now and then.
type counting struct {
	w           io.Writer
	sent, shown int64
	report      func(rows int64)
}

// Write implements io.Writer.
func (c *counting) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	if c.sent += int64(n); c.sent-c.shown > 1<<20 {
		c.shown = c.sent
		c.report(c.sent / rowSize)
	}
	return n, err
}

// catchUp copies after what is written to the source of a move meanwhile.
type catchUp struct {
	t       *Table
	move    move
	source  *pgx.Conn
	reached int64 // in the log
}

// settled runs fn while nothing is written and the targets are as the source is.
func (c *catchUp) settled(ctx context.Context, fn func(ctx context.Context, tx pgx.Tx) error) error {
	for n := drainAtOnce; n > fewNoted; {
		var err error
		if n, err = c.drain(ctx); err != nil {
			return err
		}
	}
	return c.t.locked(ctx, func(ctx context.Context, tx pgx.Tx) error {
		for n := drainAtOnce; n == drainAtOnce; {
			var err error
			if n, err = c.drain(ctx); err != nil {
				return err
			}
		}
		return fn(ctx, tx)
	})
}

// drain copies the next labels of the log, as they stand now, and returns how many.
// Writers come one after the other, so the numbers of the log are in the order of
// their commits.
func (c *catchUp) drain(ctx context.Context) (int, error) {
	rows, err := c.source.Query(ctx, `SELECT n, label FROM `+c.t.schema+`.log WHERE n > $1 ORDER BY n LIMIT $2`, c.reached, drainAtOnce)
	if err != nil {
		return 0, discreet(err)
	}
	var labels [][]byte
	var label []byte
	upTo := c.reached
	if _, err := pgx.ForEachRow(rows, []any{&upTo, &label}, func() error {
		labels = append(labels, label)
		return nil
	}); err != nil {
		return 0, discreet(err)
	}
	if len(labels) == 0 {
		return 0, nil
	}
	for _, target := range c.move.targets {
		if err := c.put(ctx, target, labels); err != nil {
			return 0, err
		}
	}
	c.reached = upTo
	return len(labels), nil
}

// put writes to a target those of the labels that the source has and that belong
// there, reads them back, and deletes those that the source has no more.
func (c *catchUp) put(ctx context.Context, to place, labels [][]byte) error {
	rows, err := c.source.Query(ctx, `SELECT label, pointer FROM `+c.t.name(c.move.source)+` l WHERE label = ANY ($1) AND `+c.move.part(fmt.Sprint(to.part)), labels)
	if err != nil {
		return discreet(err)
	}
	keys, pointers := [][]byte{}, []int64{}
	var key []byte
	var pointer int64
	if _, err := pgx.ForEachRow(rows, []any{&key, &pointer}, func() error {
		keys, pointers = append(keys, key), append(pointers, pointer)
		return nil
	}); err != nil {
		return discreet(err)
	}
	target, err := c.t.conn(ctx, to.server)
	if err != nil {
		return err
	}
	const given = `unnest($1::bytea[], $2::bigint[]) AS g (label, pointer)`
	if _, err := target.Exec(ctx, `INSERT INTO `+c.t.name(to)+` (label, pointer) SELECT label, pointer FROM `+given+`
		ON CONFLICT (label) DO UPDATE SET pointer = excluded.pointer`, keys, pointers); err != nil {
		return discreet(err)
	}
	if _, err := target.Exec(ctx, `DELETE FROM `+c.t.name(to)+` WHERE label = ANY ($1) AND NOT label = ANY ($2)`, labels, keys); err != nil {
		return discreet(err)
	}
	var there int
	if err := target.QueryRow(ctx, `SELECT count(*) FROM `+given+` JOIN `+c.t.name(to)+` l ON l.label = g.label AND l.pointer = g.pointer`, keys, pointers).Scan(&there); err != nil {
		return discreet(err)
	}
	if there != len(keys) {
		return fmt.Errorf("server %s has %d of %d labels that were written to it: nothing was switched", to.server, there, len(keys))
	}
	return nil
}

// compare holds what was copied against the source, as it stands at one moment:
// the source in a snapshot taken while nothing is written, the targets by writing
// nothing to them until it is done.
func (c *catchUp) compare(ctx context.Context) error {
	snapshot := c.source
	if err := c.settled(ctx, func(ctx context.Context, _ pgx.Tx) error {
		// The snapshot is taken by the first statement that reads.
		_, err := snapshot.PgConn().Exec(ctx, `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1 FROM `+c.t.schema+`.log LIMIT 1`).ReadAll()
		return discreet(err)
	}); err != nil {
		return err
	}
	for _, target := range c.move.targets {
		c.t.report(Progress{Step: "comparing", Partition: target.part})
		conn, err := c.t.conn(ctx, target.server)
		if err != nil {
			return err
		}
		want, err := digest(ctx, snapshot, c.t.name(c.move.source), c.move.part(fmt.Sprint(target.part)))
		if err != nil {
			return err
		}
		got, err := digest(ctx, conn, c.t.name(target), "true")
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("the copy of partition %d on server %s has %s labels, of %s, or others: nothing was switched; run the command again",
				target.part, target.server, count(got), count(want))
		}
	}
	_, err := snapshot.Exec(ctx, `COMMIT`)
	return discreet(err)
}

// digest is the number of rows and the sum of a hash of each, whatever their order.
func digest(ctx context.Context, c *pgx.Conn, table, where string) (d string, err error) {
	err = c.QueryRow(ctx, `SELECT count(*)::text || ' ' || coalesce(sum(('x' || encode(substr(sha256(label || int8send(pointer)), 1, 8), 'hex'))::bit(64)::bigint::numeric), 0)::text
		FROM `+table+` l WHERE `+where).Scan(&d)
	return d, discreet(err)
}

func count(digest string) string {
	n, _, _ := strings.Cut(digest, " ")
	return n
}
