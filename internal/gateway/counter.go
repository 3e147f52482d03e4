package gateway

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"net"
	"strings"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/metrics"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/internal/store"
)

// Operators are certificates that may use a gateway's counter door: the SHA-256
// of their public keys, and whose they are.
type Operators map[[32]byte]string

// Callers are who may use a counter door: operators, and for some calls nobody
// but auditors, or the special unit that answers for protected persons.
type Callers struct{ Operators, Auditors, Unit Operators }

// of returns who may make a call, and what they are.
func (c Callers) of(procedure string) (known Operators, what string) {
	switch {
	case auditing[procedure]:
		return c.Auditors, "auditor"
	case records.UnitOnly[procedure]:
		return c.Unit, "official of the special unit"
	}
	return c.Operators, "operator"
}

// counterDoor is the door of a gateway towards its own state's counters, loaders
// and auditors. It listens on an address of the state's own network.
type counterDoor struct {
	server   *Server
	callers  Callers
	courtesy *courtesy
}

// ServeCounter serves the services of the counter door until the context ends.
func (s *Server) ServeCounter(ctx context.Context, listener net.Listener, cert tls.Certificate, callers Callers) error {
	door := counterDoor{s, callers, newCourtesy()}
	server := connect.NewServer(rpc.ErrorsToWire(s.Log), rpc.Observe(s.Metrics.Call), door.requireOperator)
	waypostv1connect.RegisterCounterHandler(server, door)
	s.register(server)
	config := &tls.Config{
		Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13, NextProtos: []string{"h2", "http/1.1"},
		// Operators' certificates are self-signed and pinned: requireOperator
		// looks the key up for each call, and TLS has proved its possession.
		ClientAuth: tls.RequireAnyClientCert,
	}
	return rpc.Serve(ctx, rpc.NewHTTPServer(rpc.Mount(server), config, s.Log), listener)
}

// DialDoor connects to a gateway's counter door, whose certificate key must have
// the given pin, for a client of any service there.
func DialDoor(url string, cert tls.Certificate, pin [32]byte) *connect.Client {
	return rpc.NewClient(&tls.Config{
		Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13,
		InsecureSkipVerify: true, // self-signed and pinned, see VerifyConnection
		VerifyConnection: func(state tls.ConnectionState) error {
			if pinOf(state) != pin {
				return waypost.Errorf(waypost.Unauthenticated, "the gateway's certificate is not the one expected")
			}
			return nil
		},
	}, url)
}

// DialCounter is DialDoor for the Counter service.
func DialCounter(url string, cert tls.Certificate, pin [32]byte) waypostv1connect.CounterClient {
	return waypostv1connect.NewCounterClient(DialDoor(url, cert, pin))
}

func pinOf(state tls.ConnectionState) [32]byte {
	if len(state.PeerCertificates) == 0 {
		return [32]byte{}
	}
	return sha256.Sum256(state.PeerCertificates[0].RawSubjectPublicKeyInfo)
}

func (d counterDoor) requireOperator(next connect.ServerFunc) connect.ServerFunc {
	return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
		info, ok := connecthttp.ServerInfoForContext(ctx)
		if !ok || info.TLS() == nil {
			return waypost.Errorf(waypost.Unauthenticated, "this port speaks TLS with client certificates only")
		}
		known, what := d.callers.of(spec.Procedure)
		operator, ok := known[pinOf(*info.TLS())]
		if !ok && strings.HasPrefix(spec.Procedure, "/"+waypostv1connect.CasesName+"/") {
			// Cases about protected persons are among the others, for them to see.
			if operator, ok = d.callers.Unit[pinOf(*info.TLS())]; ok {
				ctx = rpc.WithUnit(ctx)
			}
		}
		if !ok {
			return waypost.Errorf(waypost.Unauthenticated, "this certificate does not belong to an %s of %s", what, d.server.config.State)
		}
		return next(rpc.WithOperator(ctx, operator), spec, stream)
	}
}

// Check asks about one applicant.
func (d counterDoor) Check(ctx context.Context, req *waypostv1.CheckRequest) (*waypostv1.CheckAnswer, error) {
	who, err := fromProto(req.Applicant)
	if err != nil {
		return nil, err
	}
	who.SSN5 = req.Ssn5
	why := Counter{Operator: rpc.Operator(ctx), Class: waypost.Attended, Purpose: waypost.Purpose(req.Purpose), Case: req.CaseReference}
	if req.Cites != "" {
		if why.Cites, err = parseTicketID(req.Cites); err != nil {
			return nil, err
		}
	}
	defer d.courtesy.begin()()
	ctx, laps := timed(ctx, d.server.Now)
	answer, err := d.server.Check(ctx, who, why)
	if err != nil {
		return nil, err
	}
	laps.tell(ctx)
	d.server.Metrics.Count(metrics.Checks, firstRead(answer))
	return AnswerToProto(answer), nil
}

// firstRead is what the clerk reads first, in a word for the metrics.
func firstRead(answer waypost.Answer) string {
	if answer.Owed {
		return "owed"
	}
	return string(answer.Best())
}

// measure shows in the metrics how many checks are owed.
func (s *Server) measure() {
	s.Metrics.Gauge(metrics.ChecksOwed, func(ctx context.Context) ([]metrics.Value, error) {
		var owed int64
		err := s.DB.Read(ctx, func(tx *store.Tx) error {
			return tx.Row(`SELECT count(*) FROM inquiry WHERE due IS NOT NULL AND state = $1 AND successor IS NULL`, inquiryOwed).Scan(&owed)
		})
		return []metrics.Value{{Value: float64(owed)}}, err
	})
}

func parseTicketID(text string) (waypost.TicketID, error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(waypost.TicketID{}) {
		return waypost.TicketID{}, waypost.Errorf(waypost.InvalidArgument, "a ticket is named by 64 hex digits")
	}
	return waypost.TicketID(raw), nil
}

// GetCheck returns what is known now.
func (d counterDoor) GetCheck(ctx context.Context, req *waypostv1.GetCheckRequest) (*waypostv1.CheckAnswer, error) {
	id, err := parseTicketID(req.Ticket)
	if err != nil {
		return nil, err
	}
	answer, err := d.server.Answer(ctx, id)
	if err != nil {
		return nil, err
	}
	return AnswerToProto(answer), nil
}

// Load takes up to 100 records.
func (d counterDoor) Load(ctx context.Context, req *waypostv1.LoadRequest) (*waypostv1.LoadResponse, error) {
	res := &waypostv1.LoadResponse{}
	var good []waypost.Record
	var index []int // of each record in the request
	for i, r := range req.Records {
		record, err := records.FromProto(r)
		if err != nil {
			res.Rejected = append(res.Rejected, &waypostv1.Rejected{Index: uint32(i), Reason: err.Error()})
			continue
		}
		good, index = append(good, record), append(index, i)
	}
	defer d.courtesy.batch(ctx)()
	published, rejected, err := d.server.file.Load(ctx, rpc.Operator(ctx), req.Generation, good)
	if err != nil {
		return nil, err
	}
	d.server.loader.Store(rpc.Operator(ctx))
	res.Published = uint32(published)
	for _, r := range rejected {
		res.Rejected = append(res.Rejected, &waypostv1.Rejected{Index: uint32(index[r.Index]), Reason: r.Reason})
	}
	return res, nil
}

// Status counts.
func (d counterDoor) Status(ctx context.Context, _ *waypostv1.StatusRequest) (*waypostv1.StatusResponse, error) {
	res := &waypostv1.StatusResponse{State: string(d.server.config.State)}
	err := d.server.DB.Read(ctx, func(tx *store.Tx) error {
		var err error
		if res.Records, res.Published, err = d.server.file.Count(tx); err != nil {
			return err
		}
		return tx.Row(`SELECT count(*) FROM outbox`).Scan(&res.WaitingToSend)
	})
	return res, err
}

// RecordToProto is a record as Load takes it.
func RecordToProto(r waypost.Record) *waypostv1.Record {
	return records.ToProto(r)
}

// CheckToProto is the request for a check of this applicant.
func CheckToProto(who Applicant, purpose waypost.Purpose, caseReference string) *waypostv1.CheckRequest {
	return &waypostv1.CheckRequest{Applicant: toProto(who), Ssn5: who.SSN5, Purpose: string(purpose), CaseReference: caseReference}
}
