package main

import (
	"fmt"
	"io"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/cluster"
)

type recordsPurgeCommand struct {
	recordsDoor
	Preview bool `help:"Withdraw nothing: only say what would be."`
	JSON    bool `help:"Print the result as JSON."`
}

// Help shows an example.
func (recordsPurgeCommand) Help() string {
	return `Example:
  waypost records purge --dir D --state AZ --preview
A record stays findable for some years after it is closed (3), expired or surrendered (10); all else stays.
The state's own system keeps what is purged from the index.`
}

// Run purges.
func (c recordsPurgeCommand) Run(s *session) error {
	door, explain, err := c.open()
	if err != nil {
		return err
	}
	res, err := door.Purge(s.ctx, &waypostv1.PurgeRequest{Preview: c.Preview})
	if err != nil {
		return explain(err)
	}
	return s.reply(c.JSON, map[string]any{"counts": res.Counts, "ids": res.Ids, "unknown_since": res.UnknownSince}, func(w io.Writer) {
		what := "withdrawn"
		if c.Preview {
			what = "would be withdrawn"
		}
		var all uint64
		for _, n := range res.Counts {
			fmt.Fprintf(w, "%s\t%d years\t%d\n", n.Status, n.Years, n.Records)
			all += n.Records
		}
		fmt.Fprintf(w, "%d records %s\n", all, what)
		for _, id := range res.Ids {
			fmt.Fprintln(w, " ", id)
		}
		if more := all - uint64(len(res.Ids)); more > 0 {
			fmt.Fprintf(w, "  and %d more\n", more)
		}
		if res.UnknownSince > 0 {
			fmt.Fprintf(w, "%d records stay because it is not known since when they have their status: see the column status_since\n", res.UnknownSince)
		}
	})
}

type recordsCompareCommand struct {
	recordsDoor
	Last bool `help:"Compare nothing: show what the last comparison came to."`
	JSON bool `help:"Print the result as JSON."`
}

// Help shows an example.
func (recordsCompareCommand) Help() string {
	return `Example:
  waypost records compare --dir D --state AZ
A gateway does so every night by itself.`
}

// Run compares.
func (c recordsCompareCommand) Run(s *session) error {
	door, explain, err := c.open()
	if err != nil {
		return err
	}
	res, err := door.Compare(s.ctx, &waypostv1.CompareRequest{Last: c.Last})
	if err != nil {
		return explain(err)
	}
	at := time.Unix(res.At, 0).UTC().Format(time.RFC3339)
	return s.reply(c.JSON, map[string]any{"at": at, "pointers": res.Pointers, "missing": res.Missing, "withdrawn": res.Withdrawn}, func(w io.Writer) {
		fmt.Fprintf(w, "%s: %d pointers; %d that the hub had not are published anew, %d that this state has not were withdrawn\n",
			at, res.Pointers, res.Missing, res.Withdrawn)
	})
}

// recordsWithheldCommand lists, or answers one. It is for the special unit.
type recordsWithheldCommand struct {
	recordsDoor
	Release string `help:"Answer this question as any other." placeholder:"ID" xor:"answer"`
	Decline string `help:"Answer this question as if there were no such record." placeholder:"ID" xor:"answer"`
	JSON    bool   `help:"Print the list as JSON."`
}

// Help shows an example.
func (recordsWithheldCommand) Help() string {
	return `Examples:
  waypost records withheld --dir D --state AZ
  waypost records withheld --dir D --state AZ --release check:6b1f...
It uses the certificate in the gateway's folder unit/, which may do nothing else.`
}

// Run lists or answers.
func (c recordsWithheldCommand) Run(s *session) error {
	state, err := waypost.ParseJurisdiction(c.State)
	if err != nil {
		return err
	}
	client, url, err := cluster.Unit(c.Dir, state)
	if err != nil {
		return err
	}
	door := waypostv1connect.NewRecordsClient(client)
	if id := c.Release + c.Decline; id != "" {
		if _, err := door.AnswerWithheld(s.ctx, &waypostv1.AnswerWithheldRequest{Id: id, Release: c.Release != ""}); err != nil {
			return unanswered(err, url, c.Dir)
		}
		fmt.Fprintln(s.out, "answered")
		return nil
	}
	res, err := door.Withheld(s.ctx, &waypostv1.WithheldRequest{})
	if err != nil {
		return unanswered(err, url, c.Dir)
	}
	return s.reply(c.JSON, res.Questions, func(w io.Writer) {
		for _, q := range res.Questions {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", q.Id, q.Asking, q.Kind, q.Purpose, q.Record, time.Unix(q.Since, 0).UTC().Format(time.RFC3339))
		}
		if len(res.Questions) == 0 {
			fmt.Fprintln(w, "no question waits")
		}
	})
}
