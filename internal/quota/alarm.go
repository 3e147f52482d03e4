package quota

import (
	"encoding/hex"
	"log/slog"
	"strconv"
	"time"

	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/store"
)

// raised marks, in the table quota, alarms that there have been.
const raised = "alarm"

// levels are the parts of a limit, in percent, at which somebody is told.
var levels = [...]int64{100, 80}

// Alarm says that a limit is used to 80 or to 100 percent.
type Alarm struct {
	Member      string
	Class       string // tickets, unattended, operator, operators, publish, load, republish, once_more, grant_..., follow_ups, follow_ups_operator, upkeep
	Level       int64  // 80 or 100
	Used, Limit int64
	operator    []byte // whose limit it is, where it is an operator's: for the ledger only
}

// Alarms are what one charge raised, mostly none.
type Alarms []Alarm

// alarms returns what the counters have reached and what was not said before in
// the same window: of two levels reached at once the higher. Only what is used
// to 80 percent or more costs a statement.
func (c counter) alarms(counts []*count) (raisedNow Alarms, err error) {
	for _, n := range counts {
		said := false
		for _, level := range levels {
			if n.limit == 0 || n.used*100 < n.limit*level {
				continue
			}
			first, err := c.once(raised, n.alarmKey(level), n.window, n.used)
			if err != nil {
				return nil, err
			}
			if !first || said {
				continue
			}
			said = true
			a := Alarm{Member: c.member, Class: n.class, Level: level, Used: n.used, Limit: n.limit}
			if n.class == operatorHour || n.class == followUpHour {
				a.operator = n.key
			}
			raisedNow = append(raisedNow, a)
		}
	}
	return raisedNow, nil
}

// alarmKey names the alarm of a counter at a level.
func (n *count) alarmKey(level int64) []byte {
	return append([]byte(n.class+"\x00"+strconv.FormatInt(level, 10)+"\x00"), n.key...)
}

// Ledger is where alarms are written down: a [journal.Journal].
type Ledger interface {
	Append(tx *store.Tx, e journal.Entry) (seq uint64, err error)
}

// Append adds an entry for each alarm to the ledger, in the transaction of the
// charge. It names no ticket: it is about all that were counted.
func (a Alarms) Append(tx *store.Tx, j Ledger, now time.Time) error {
	for _, one := range a {
		fields := []journal.Field{
			{Name: "member", Value: one.Member}, {Name: "class", Value: one.Class}, {Name: "level", Value: strconv.FormatInt(one.Level, 10)},
			{Name: "used", Value: strconv.FormatInt(one.Used, 10)}, {Name: "limit", Value: strconv.FormatInt(one.Limit, 10)},
		}
		if one.operator != nil {
			fields = append(fields, journal.Field{Name: "operator", Value: hex.EncodeToString(one.operator)})
		}
		body, err := journal.Body(fields...)
		if err != nil {
			return err
		}
		if _, err := j.Append(tx, journal.Entry{Kind: raised, At: now, Body: body}); err != nil {
			return err
		}
	}
	return nil
}

// Warn writes each alarm into the log: which member and which limit, and never
// which operator. It is called when the charge is durable.
func (a Alarms) Warn(log *slog.Logger) {
	for _, one := range a {
		words := "a quota is nearly used"
		if one.Level == 100 {
			words = "a quota is used up"
		}
		log.Warn(words, "member", one.Member, "class", one.Class, "used", one.Used, "limit", one.Limit)
	}
}
