package audit

import (
	"encoding/binary"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
)

// load publishes a batch, which may be cut off.
func (s *sim) load() {
	soi := genStates[s.rng.IntN(len(genStates))]
	records := 1 + s.rng.IntN(100)
	t := s.ticket(waypost.KindPublish, soi, records*waypost.RecordElements, waypost.Loader)
	s.put(s.now, string(soi), "ask", t, ticketFields(t))
	holders := s.evaluate(t)
	s.in(1, func() {
		if s.chance(20) { // before the hub has it
			s.in(100, func() { s.put(s.now, string(soi), "abandoned", t, ticketFields(t)) })
			return
		}
		evals := strings.Join(holders(), " ")
		said := records
		if s.plays("over_published", "hub") {
			said++
		}
		place := s.logs["hub"].place(s.logs["hub"].size)
		s.put(s.now, "hub", "publish", t, ticketFields(t, "records", strconv.Itoa(said), "evaluations", evals))
		if s.chance(20) { // after
			s.in(100, func() { s.put(s.now, string(soi), "abandoned", t, ticketFields(t)) })
			return
		}
		mine := records
		if s.plays("under_reported", string(soi)) {
			mine--
		}
		s.in(1, func() {
			s.put(s.now, string(soi), "published", t, ticketFields(t, "records", strconv.Itoa(mine), "evaluations", evals, "publications", place))
		})
	})
}

// statement is an owner's answer as it signed it, the way of internal/seal.
func (s *sim) statement(owner waypost.Jurisdiction, ticket [32]byte, messageType string, body proto.Message) []byte {
	raw, err := proto.Marshal(body)
	must(s.t, err)
	b := append([]byte("waypost message v1"), 0, 1, byte(len(owner)))
	b = append(append(b, owner...), make([]byte, 32)...)
	b = append(append(b, byte(len(messageType))), messageType...)
	s.serial++
	id := make([]byte, 16)
	id[0] = 1
	binary.BigEndian.PutUint64(id[8:], s.serial)
	b = append(append(b, id...), ticket[:]...)
	b = binary.BigEndian.AppendUint64(b, 1)
	b = binary.BigEndian.AppendUint64(b, uint64(s.now+600))
	b = binary.BigEndian.AppendUint32(b, uint32(len(raw)))
	b = append(b, raw...)
	return append(b, signWith(genKey(string(owner)+" identity"), b)...)
}
