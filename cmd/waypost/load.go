package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/statefile"
)

type loadCommand struct {
	Dir      string `help:"Folder of a running demo." required:"" type:"existingdir"`
	State    string `help:"The state whose records these are." required:""`
	File     string `arg:"" help:"CSV file with a header line: id,family,given,middle,suffix,dob,sex,ssn5,card_number,card_kind,status,real_id in any order; only names and dob are needed." type:"existingfile"`
	Rejected string `help:"Where to write the rows that cannot be used, with line and reason. Default: beside the file." type:"path"`
	JSON     bool   `help:"Print the result as JSON."`
}

// Help shows an example.
func (loadCommand) Help() string {
	return "Example: waypost load --dir D --state CA people.csv\nA row that cannot be used is reported with its line and the reason; the others are loaded. A load may be repeated: what is published stays as it is."
}

// Run loads batches of records and reports the rest.
func (c loadCommand) Run(s *session) error {
	state, err := waypost.ParseJurisdiction(c.State)
	if err != nil {
		return err
	}
	counter, url, err := cluster.Counter(c.Dir, state)
	if err != nil {
		return err
	}
	if c.Rejected == "" {
		c.Rejected = c.File + ".rejected.csv"
	}
	total, err := countLines(c.File)
	if err != nil {
		return err
	}
	file, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer file.Close()
	bar := newBar(s, "loading "+c.State, total)
	loader := cluster.NewLoader(counter, bar.set)
	err = statefile.Read(file, nil, func(row statefile.Row) error { return loader.Add(s.ctx, row) })
	result, finishErr := loader.Finish(s.ctx)
	err = errors.Join(err, finishErr)
	bar.finish()
	if waypost.CodeOf(err) == waypost.Unavailable {
		err = fmt.Errorf("%w: is the demo running? (%s; start it with: waypost demo --dir %s)", err, url, c.Dir)
	}
	if len(result.Rejected) > 0 {
		err = errors.Join(err, writeRejected(c.Rejected, result.Rejected))
	}
	if err != nil {
		return err
	}
	return c.print(s.out, result)
}

func (c loadCommand) print(out io.Writer, r cluster.Loaded) error {
	if c.JSON {
		return json.NewEncoder(out).Encode(map[string]any{
			"rows": r.Rows, "published": r.Published, "already": r.Already, "rejected": len(r.Rejected), "rejected_file": c.rejectedFile(r)})
	}
	fmt.Fprintf(out, "%d rows: %d published, %d already in the index, %d rejected\n", r.Rows, r.Published, r.Already, len(r.Rejected))
	if name := c.rejectedFile(r); name != "" {
		fmt.Fprintf(out, "the rejected rows, with line and reason: %s\n", name)
	}
	return nil
}

func (c loadCommand) rejectedFile(r cluster.Loaded) string {
	if len(r.Rejected) == 0 {
		return ""
	}
	return c.Rejected
}

func writeRejected(path string, rows []cluster.RejectedRow) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	w := csv.NewWriter(f)
	err = w.Write([]string{"line", "reason"})
	for _, r := range rows {
		err = errors.Join(err, w.Write([]string{strconv.Itoa(r.Line), r.Reason}))
	}
	w.Flush()
	return errors.Join(err, w.Error(), f.Close())
}

func countLines(path string) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	buf, lines := make([]byte, 64<<10), 0
	for {
		n, err := f.Read(buf)
		for _, b := range buf[:n] {
			if b == '\n' {
				lines++
			}
		}
		if err == io.EOF {
			return max(lines-1, 1), nil
		}
		if err != nil {
			return 0, err
		}
	}
}
