// Command waypost is the exchange: every role, the tools around them, and a
// demonstration of all of it on one machine.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"unicode"

	"github.com/alecthomas/kong"

	"github.com/waypost/waypost"
)

// commands is the command line.
type commands struct {
	Demo       demoCommand       `cmd:"" help:"The whole exchange on this machine: hub, 5 key holders (any 3), states, synthetic people."`
	Check      checkCommand      `cmd:"" help:"Ask about one applicant, from a terminal, at a running demo's counter."`
	Ask        askCommands       `cmd:"" help:"Ask another state one thing: of a card that is shown, or of the record that a check has found."`
	Load       loadCommands      `cmd:"" help:"Check or load a file of a state's records; activate a dark load or take it back."`
	Records    recordsCommands   `cmd:"" help:"The state's own records: issue, change, withdraw, purge, compare; protected persons."`
	Leave      leaveCommand      `cmd:"" help:"Take every record of a state out of the index, for good, with a proof of it."`
	Move       moveCommand       `cmd:"" help:"Change of state of record: a record comes here with its history; notices of issuance."`
	Terminate  terminateCommand  `cmd:"" help:"Cards to be ended: after notice to the resident, who may object."`
	Suspense   suspenseCommand   `cmd:"" help:"What is unfinished between states for long, and what it waits for."`
	Population populationCommand `cmd:"" help:"Write synthetic people of several states, with the truth about them, as CSV."`
	Matcheval  matchevalCommand  `cmd:"" help:"Measure the match keys on two CSV files."`
	Bench      benchCommand      `cmd:"" help:"Measure the group arithmetic beside circl, and one check end to end."`
	Drill      drillCommand      `cmd:"" help:"Adversaries that run for real, and what each obtains beside a plain index and an unkeyed one."`
	Hub        hubCommand        `cmd:"" help:"Run the hub from its folder; the label table over several servers."`
	Keyholder  roleCommand       `cmd:"" help:"Run a key holder from its folder."`
	Gateway    roleCommand       `cmd:"" help:"Run a state's gateway from its folder."`
	Witness    roleCommand       `cmd:"" help:"Run a witness of the ledgers, outside the key holders, from its folder."`
	Ceremony   ceremonyCommands  `cmd:"" help:"The key holders make, refresh and reshare their key; nobody ever has it."`
	Roster     rosterCommand     `cmd:"" help:"Who may take part: draft, sign, verify, show and publish rosters."`
	Audit      auditCommand      `cmd:"" help:"What the published ledgers show: reconcile."`
	Driver     driverCommands    `cmd:"" help:"Driver history: reports to the state of record, and the histories of this state's own records."`
	Canary     canaryCommand     `cmd:"" help:"Synthetic people that states hold of each other, so that a hub that hides a pointer is found out."`
	Case       caseCommand       `cmd:"" help:"Records that may be one person's: cases shared by two states, the campaign, the worklist."`
	Doctor     doctorCommand     `cmd:"" help:"What is wrong with an installation, in words, with the next step."`
	Backup     backupCommand     `cmd:"" help:"Copy a role's folder into one encrypted archive, while it runs."`
	Restore    restoreCommand    `cmd:"" help:"Bring a role's folder back, and its ledger to where the world has seen it."`
	Version    versionCommand    `cmd:"" help:"Print the version."`

	Verbose bool `short:"v" help:"Log to standard error what each role does. Logs never hold personal data."`
}

// session is what every command works with.
type session struct {
	ctx      context.Context
	out, err io.Writer
	log      *slog.Logger
}

func main() { os.Exit(run()) }

// run is main without the exit, so that script tests run the real program.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	var c commands
	parser, err := kong.New(&c, kong.Name("waypost"),
		kong.Description("Waypost finds out, for one applicant at a time, whether a person already holds a card in another state.\n\nStart with: waypost demo --once"),
		kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Vars{"purposes": "issue_licence, issue_permit, issue_id, issue_real_id, renew, duplicate_resolution or post_conviction"})
	if err != nil {
		fmt.Fprintln(os.Stderr, "waypost:", err)
		return 2
	}
	command, err := parser.Parse(os.Args[1:])
	if err != nil {
		parser.Errorf("%s", err)
		if _, ok := errors.AsType[*kong.ParseError](err); ok {
			fmt.Fprintln(os.Stderr, "Try: waypost --help")
		}
		return 2
	}
	level := slog.LevelError
	if c.Verbose {
		level = slog.LevelDebug
	}
	s := &session{ctx: ctx, out: os.Stdout, err: os.Stderr,
		log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))}
	if err := command.Run(s); err != nil {
		fmt.Fprintln(os.Stderr, "waypost:", explain(err))
		return 1
	}
	return 0
}

// explain gives the public message of an error, and its cause where that says
// more.
func explain(err error) string {
	text := printed(err.Error(), '\n', '\t')
	var e *waypost.Error
	if errors.As(err, &e) && e.Unwrap() != nil && e.Code != waypost.Internal {
		if cause := e.Unwrap().Error(); !strings.HasSuffix(cause, e.Error()) { // a gateway's own words, as they came over the wire
			text += " (" + printed(cause) + ")"
		}
	}
	return text
}

// printed is text in which there may be words of others, as it can be shown: nothing in it
// moves the cursor, but for what is kept.
func printed(text string, keep ...rune) string {
	return strings.Map(func(r rune) rune {
		switch {
		case slices.Contains(keep, r) || unicode.IsPrint(r):
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return '?'
	}, text)
}

type versionCommand struct{}

// Run prints the version that the module was built as.
func (versionCommand) Run(s *session) error {
	fmt.Fprintln(s.out, "waypost", version())
	return nil
}
