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
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/statefile"
)

// loadCommands are a load and what is done with one.
type loadCommands struct {
	File     loadCommand         `cmd:"" default:"withargs" help:"Check a file, or load it."`
	Activate loadActivateCommand `cmd:"" help:"Make a dark generation visible to other states, all of it at once."`
	Rollback loadRollbackCommand `cmd:"" help:"Take a dark generation back that was not activated."`
	Status   loadStatusCommand   `cmd:"" help:"How many records are in the index, and how the generations stand."`
}

type loadCommand struct {
	File     string `arg:"" help:"CSV file with a header line: id,family,given,middle,suffix,dob,sex,ssn5,card_number,card_kind,status,status_since,real_id,protected in any order; only names and dob are needed. Or any file, with --layout." type:"existingfile"`
	Dir      string `help:"Folder of a running demo." type:"existingdir"`
	State    string `help:"The state whose records these are."`
	Layout   string `help:"JSON file that says what stands where: other columns, fixed width, other dates and codes." type:"existingfile"`
	Rejected string `help:"Where to write the rows that cannot be used, with line and reason. Default: beside the file." type:"path"`
	JSON     bool   `help:"Print the result as JSON."`

	Dark       bool   `help:"Publish into the next generation, which nobody finds before it is activated." group:"Dark load" xor:"into"`
	Generation uint32 `help:"The same, into the generation with this number: to go on with a load." group:"Dark load" xor:"into"`

	Check      bool   `help:"Load nothing: say what is in the file and what to clean. Needs no gateway." group:"Check"`
	Report     string `help:"With --check: write the report as a web page too." group:"Check" type:"path"`
	Duplicates string `help:"With --check: write pairs of ids that look like one person. For the state's own eyes." group:"Check" type:"path"`
}

// Help shows an example.
func (loadCommands) Help() string { return loadCommand{}.Help() }

// Help shows an example.
func (loadCommand) Help() string {
	return `Examples:
  waypost load --check people.csv --report people.html
  waypost load --dir D --state CA people.csv
  waypost load --dir D --state CA people.txt --layout layout.json --dark
  waypost load activate --dir D --state CA --generation 1 --records 26400123
A row that cannot be used is reported with its line and the reason; the others are loaded.
A load may be repeated, also after it was cut off anywhere: what is published stays as it is.
All flags: waypost load file --help`
}

// Run checks the file or loads it.
func (c loadCommand) Run(s *session) error {
	var layout *statefile.Layout
	if c.Layout != "" {
		text, err := os.ReadFile(c.Layout)
		if err != nil {
			return err
		}
		if layout, err = statefile.ParseLayout(text); err != nil {
			return fmt.Errorf("%s: %w", c.Layout, err)
		}
	}
	if c.Check {
		return c.check(s, layout)
	}
	if c.Report != "" || c.Duplicates != "" {
		return errors.New("--report and --duplicates are for --check")
	}
	if c.Dir == "" || c.State == "" {
		return errors.New("--dir and --state are needed to load; --check needs neither")
	}
	return c.load(s, layout)
}

// adviseDark is a number of rows from which a load is better not seen half done.
const adviseDark = 10_000

func (c loadCommand) load(s *session, layout *statefile.Layout) error {
	state, err := waypost.ParseJurisdiction(c.State)
	if err != nil {
		return err
	}
	counter, _, err := cluster.Counter(c.Dir, state)
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
	if total > adviseDark && !c.Dark && c.Generation == 0 {
		fmt.Fprintf(s.err, "waypost: %d rows become visible one by one; with --dark all of them at once, and only when you say so\n", total)
	}
	file, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer file.Close()
	records, explain, err := recordsDoor{c.Dir, c.State}.open()
	if err != nil {
		return err
	}
	if c.Dark {
		if c.Generation, err = nextDark(s.ctx, records); err != nil {
			return explain(err)
		}
	}
	bar := newBar(s, "loading "+c.State, total)
	loader := cluster.NewLoader(counter, c.Generation, bar.set)
	err = statefile.Read(file, layout, func(row statefile.Row) error { return loader.Add(s.ctx, row) })
	result, finishErr := loader.Finish(s.ctx)
	err = errors.Join(err, finishErr)
	bar.finish()
	err = explain(err)
	if len(result.Rejected) > 0 {
		err = errors.Join(err, writeRejected(c.Rejected, result.Rejected))
	}
	if err != nil {
		return err
	}
	into := &waypostv1.Generation{}
	if c.Generation != 0 && result.Published+result.Already > 0 {
		if into, err = generationOf(s.ctx, records, c.Generation); err != nil {
			return explain(err)
		}
	}
	return c.print(s.out, result, into)
}

// unanswered says what to do where nobody answered.
func unanswered(err error, url, dir string) error {
	if waypost.CodeOf(err) != waypost.Unavailable {
		return err
	}
	return fmt.Errorf("%w: is the demo running? (%s; start it with: waypost demo --dir %s)", err, url, dir)
}

// print tells the result, and of a generation how many records are in it.
func (c loadCommand) print(out io.Writer, r cluster.Loaded, into *waypostv1.Generation) error {
	if c.JSON {
		return json.NewEncoder(out).Encode(map[string]any{
			"rows": r.Rows, "published": r.Published, "already": r.Already, "rejected": len(r.Rejected), "rejected_file": c.rejectedFile(r),
			"generation": c.Generation, "generation_records": into.Live})
	}
	fmt.Fprintf(out, "%d rows: %d published, %d already in the index, %d rejected\n", r.Rows, r.Published, r.Already, len(r.Rejected))
	if name := c.rejectedFile(r); name != "" {
		fmt.Fprintf(out, "the rejected rows, with line and reason: %s\n", name)
	}
	if into.State == darkGeneration {
		fmt.Fprintf(out, "generation %d has %d records and is dark: nobody finds them before\n  waypost load activate --dir %s --state %s --generation %d --records %d\n",
			into.Number, into.Live, c.Dir, c.State, into.Number, into.Live)
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
	return writeCSV(path, []string{"line", "reason"}, func(w *csv.Writer) error {
		for _, r := range rows {
			if err := w.Write([]string{strconv.Itoa(r.Line), r.Reason}); err != nil {
				return err
			}
		}
		return nil
	})
}

// writeCSV writes a file that only its owner may read.
func writeCSV(path string, header []string, rows func(*csv.Writer) error) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	w := csv.NewWriter(f)
	err = w.Write(header)
	if err == nil {
		err = rows(w)
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
