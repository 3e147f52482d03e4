package main

import (
	"fmt"
	"io"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/cluster"
)

// moveCommand is a change of state of record.
type moveCommand struct {
	Start     moveStartCommand     `cmd:"" help:"Make this state the state of record of one that a check has found."`
	Show      moveShowCommand      `cmd:"" help:"One move, as it stands."`
	List      moveListCommand      `cmd:"" help:"Moves to this state, newest first."`
	Cancel    moveCancelCommand    `cmd:"" help:"Give a move up, before the hub was asked to pass the pointers."`
	Resume    moveResumeCommand    `cmd:"" help:"Have a move that waits tried again at once."`
	Announce  moveAnnounceCommand  `cmd:"" help:"Tell a former state that a card was issued here; nothing is ended by it."`
	Announced moveAnnouncedCommand `cmd:"" help:"Cards that other states have issued to holders of this state's."`
}

// movesDoor says at which counter the clerk sits.
type movesDoor struct {
	Dir   string `help:"Folder of a running demo." required:"" type:"existingdir"`
	State string `help:"The state whose clerk this is." required:""`
	JSON  bool   `help:"Print the result as JSON."`
}

// movesCall makes one call at the door to moves, and prints what it returns: as
// JSON where that is wanted.
func movesCall[Res proto.Message](s *session, d movesDoor, call func(waypostv1connect.MovesClient) (Res, error), show func(io.Writer, Res)) error {
	state, err := waypost.ParseJurisdiction(d.State)
	if err != nil {
		return err
	}
	door, url, err := cluster.Door(d.Dir, state)
	if err != nil {
		return err
	}
	res, err := call(waypostv1connect.NewMovesClient(door))
	if err != nil {
		return unanswered(err, url, d.Dir)
	}
	if !d.JSON {
		show(s.out, res)
		return nil
	}
	raw, err := protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}.Marshal(res)
	if err == nil {
		_, err = fmt.Fprintf(s.out, "%s\n", raw)
	}
	return err
}

// citedFlags name a candidate of a check.
type citedFlags struct {
	Check     string `help:"Ticket of the check, 64 hex digits." required:""`
	Reference string `help:"The candidate of that check, 32 hex digits." required:""`
}

// consentFlags are what the resident was told before choosing.
type consentFlags struct {
	Told     string `help:"What the resident was told before choosing: it is kept." required:""`
	Language string `help:"In which language, like en or es." default:"en"`
}

func (c consentFlags) proto() *waypostv1.Consent {
	return &waypostv1.Consent{Told: c.Told, Language: c.Language}
}

type moveStartCommand struct {
	movesDoor
	citedFlags
	consentFlags
	Record string `help:"This state's own id for the record: a new one, or that of a record of the same person." required:""`
	Card   string `help:"Number of the card that is to be issued."`
	Kind   string `help:"licence, permit, id or commercial." default:"licence"`
	RealID bool   `help:"The card is to be a REAL ID."`
}

// Help shows an example.
func (moveStartCommand) Help() string {
	return `Example:
  waypost move start --dir D --state AZ --check 5f0c... --reference 81aa... --record AZ-000123 --card D0000001 \
    --told "You give up your California licence." --language en
The former state releases the record with its history, the hub passes it, the card may be made. It goes on by itself,
also after a crash of anybody; waypost move show says how it stands, waypost suspense what takes long.`
}

// Run starts the move.
func (c moveStartCommand) Run(s *session) error {
	return movesCall(s, c.movesDoor, func(d waypostv1connect.MovesClient) (*waypostv1.Move, error) {
		return d.Start(s.ctx, &waypostv1.StartMoveRequest{
			Check: c.Check, Reference: c.Reference, Record: c.Record, CardNumber: c.Card, CardKind: c.Kind, RealId: c.RealID, Consent: c.proto()})
	}, showMove)
}

func showMove(out io.Writer, m *waypostv1.Move) {
	fmt.Fprintf(out, "%s  %s  %s to record %s, since %s: %s\n", m.Id, m.State, m.From, m.Record, dayOf(m.Begun), m.Words)
}

func dayOf(second int64) string { return time.Unix(second, 0).UTC().Format("2006-01-02 15:04 UTC") }

// idArgument names one thing.
type idArgument struct {
	ID string `arg:"" help:"Its id, 32 hex digits."`
}

type moveShowCommand struct {
	movesDoor
	idArgument
}

// Help shows an example.
func (moveShowCommand) Help() string {
	return "Example: waypost move show --dir D --state AZ 2de8d21f12bf3ec0300f2e247cd10fa4"
}

// Run shows it.
func (c moveShowCommand) Run(s *session) error {
	return movesCall(s, c.movesDoor, func(d waypostv1connect.MovesClient) (*waypostv1.Move, error) {
		return d.Get(s.ctx, &waypostv1.GetMoveRequest{Id: c.ID})
	}, showMove)
}

type moveListCommand struct {
	movesDoor
	All   bool   `help:"Also those that are over."`
	Limit uint32 `help:"How many." default:"100"`
}

// Help shows an example.
func (moveListCommand) Help() string { return "Example: waypost move list --dir D --state AZ --all" }

// Run lists them.
func (c moveListCommand) Run(s *session) error {
	return movesCall(s, c.movesDoor, func(d waypostv1connect.MovesClient) (*waypostv1.ListMovesResponse, error) {
		return d.List(s.ctx, &waypostv1.ListMovesRequest{All: c.All, Limit: c.Limit})
	}, func(out io.Writer, res *waypostv1.ListMovesResponse) {
		for _, m := range res.Moves {
			showMove(out, m)
		}
		noneOrMore(out, len(res.Moves), res.More)
	})
}

// noneOrMore says that there is nothing, or more.
func noneOrMore(out io.Writer, n int, more bool) {
	switch {
	case n == 0:
		fmt.Fprintln(out, "none")
	case more:
		fmt.Fprintln(out, "and more: see --limit")
	}
}

type moveCancelCommand struct {
	movesDoor
	idArgument
}

// Help shows an example.
func (moveCancelCommand) Help() string {
	return "Example: waypost move cancel --dir D --state AZ 2de8d21f12bf3ec0300f2e247cd10fa4\nOnce the hub was asked to pass the pointers nothing can be taken back."
}

// Run gives it up.
func (c moveCancelCommand) Run(s *session) error { return cancel(s, c.movesDoor, c.ID) }

func cancel(s *session, d movesDoor, id string) error {
	return movesCall(s, d, func(d waypostv1connect.MovesClient) (*waypostv1.CancelMoveResponse, error) {
		return d.Cancel(s.ctx, &waypostv1.CancelMoveRequest{Id: id})
	}, func(out io.Writer, _ *waypostv1.CancelMoveResponse) { fmt.Fprintln(out, "cancelled") })
}

type moveResumeCommand struct {
	movesDoor
	idArgument
}

// Help shows an example.
func (moveResumeCommand) Help() string {
	return "Example: waypost move resume --dir D --state AZ 2de8d21f12bf3ec0300f2e247cd10fa4"
}

// Run has it tried again.
func (c moveResumeCommand) Run(s *session) error { return resume(s, c.movesDoor, c.ID) }

func resume(s *session, d movesDoor, id string) error {
	return movesCall(s, d, func(d waypostv1connect.MovesClient) (*waypostv1.ResumeMoveResponse, error) {
		return d.Resume(s.ctx, &waypostv1.ResumeMoveRequest{Id: id})
	}, func(out io.Writer, _ *waypostv1.ResumeMoveResponse) { fmt.Fprintln(out, "tried again now") })
}

type moveAnnounceCommand struct {
	movesDoor
	citedFlags
	Issued string `help:"The day on which the card was issued, YYYY-MM-DD; today where it is not given."`
}

// Help shows an example.
func (moveAnnounceCommand) Help() string {
	return "Example: waypost move announce --dir D --state AZ --check 5f0c... --reference 81aa... --issued 2026-11-20"
}

// Run tells the other state.
func (c moveAnnounceCommand) Run(s *session) error {
	return movesCall(s, c.movesDoor, func(d waypostv1connect.MovesClient) (*waypostv1.AnnounceResponse, error) {
		return d.Announce(s.ctx, &waypostv1.AnnounceRequest{Check: c.Check, Reference: c.Reference, Issued: c.Issued})
	}, func(out io.Writer, res *waypostv1.AnnounceResponse) { fmt.Fprintln(out, "announced:", res.Id) })
}

type moveAnnouncedCommand struct {
	movesDoor
	Limit uint32 `help:"How many." default:"100"`
}

// Help shows an example.
func (moveAnnouncedCommand) Help() string {
	return "Example: waypost move announced --dir D --state CA"
}

// Run lists them.
func (c moveAnnouncedCommand) Run(s *session) error {
	return movesCall(s, c.movesDoor, func(d waypostv1connect.MovesClient) (*waypostv1.AnnouncedResponse, error) {
		return d.Announced(s.ctx, &waypostv1.AnnouncedRequest{Limit: c.Limit})
	}, func(out io.Writer, res *waypostv1.AnnouncedResponse) {
		for _, a := range res.Announcements {
			fmt.Fprintf(out, "%s issued a card on %s to the holder of record %s (told on %s)\n", a.State, a.Issued, a.Record, dayOf(a.At))
		}
		noneOrMore(out, len(res.Announcements), false)
	})
}
