package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
)

type leaveCommand struct {
	recordsDoor
	Yes  bool `help:"Do not ask: the state's name was confirmed elsewhere."`
	JSON bool `help:"Print the proof as JSON."`
}

// Help shows an example.
func (leaveCommand) Help() string {
	return `Example:
  waypost leave --dir D --state CA --yes
Takes every record of the state out of the index, for good, and prints the proof: the hub's signed receipt
that nothing of the state is left, and its place in the hub's ledger. The state's own files stay as they are.
It can be repeated after it was cut off; it goes on where it was.`
}

// Run withdraws everything and prints the proof of it.
func (c leaveCommand) Run(s *session) error {
	records, explain, err := c.open()
	if err != nil {
		return err
	}
	c.State = strings.ToUpper(strings.TrimSpace(c.State))
	if !c.Yes {
		if err := c.confirm(s); err != nil {
			return err
		}
	}
	fmt.Fprintf(s.err, "%s leaves: its records are withdrawn, then compared with what the hub has left ...\n", c.State)
	res, err := records.Leave(s.ctx, &waypostv1.LeaveRequest{})
	if err != nil {
		return explain(err)
	}
	// The gateway has verified the receipt: it is for a comparison that found nothing.
	receipt, err := waypost.ParseReceipt(res.Receipt)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(s.out).Encode(map[string]any{
			"state": c.State, "withdrawn": res.Withdrawn, "left": 0, "hub": receipt.Signer, "origin": receipt.Origin,
			"entry": receipt.Sequence, "ticket": receipt.Ticket.String(), "receipt": hex.EncodeToString(res.Receipt),
		})
	}
	fmt.Fprintf(s.out, "%s has left: %d pointers were withdrawn, and the hub has none of %s any more.\n", c.State, res.Withdrawn, c.State)
	fmt.Fprintf(s.out, "%s has signed that, as entry %d of %s:\n%s\n", receipt.Signer, receipt.Sequence, receipt.Origin, hex.EncodeToString(res.Receipt))
	return nil
}

// confirm asks for the state's name.
func (c leaveCommand) confirm(s *session) error {
	fmt.Fprintf(s.err, "This takes every record of %s out of the index, for good: other states will not find them any more.\nType the state's name to go on: ", c.State)
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if strings.TrimSpace(line) != c.State {
		return errors.New("not confirmed: nothing was withdrawn")
	}
	return nil
}
