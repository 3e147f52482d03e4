package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
)

type casePortraitsCommand struct {
	caseDoor
	ID  string `arg:"" help:"The case."`
	Out string `help:"Folder for own.jpg and other.jpg." default:"." type:"existingdir"`
}

// Help shows an example.
func (casePortraitsCommand) Help() string {
	return `The other state may decline. How often it is asked is limited and noted in the case. Delete the files when you have compared them.
Example:
  waypost case portraits --dir D --state AZ 4f21 --out /tmp/4f21`
}

// Run writes the two portraits.
func (c casePortraitsCommand) Run(s *session) error {
	var written []string
	var failed error
	var word string
	quiet := c.caseDoor
	quiet.JSON = false
	err := caseCall(s, quiet, waypostv1connect.CasesClient.Portraits, &waypostv1.CasePortraitsRequest{Id: c.ID}, func(_ io.Writer, res *waypostv1.CasePortraitsResponse) {
		word = res.Word
		for name, jpeg := range map[string][]byte{"own.jpg": res.Own, "other.jpg": res.Other} {
			path := filepath.Join(c.Out, name)
			if len(jpeg) == 0 || failed != nil {
				continue
			}
			failed = os.WriteFile(path, jpeg, 0o600)
			written = append(written, path)
		}
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(s.out).Encode(map[string]any{"word": word, "files": written})
	}
	for _, path := range written {
		fmt.Fprintln(s.out, path)
	}
	switch word {
	case "pending":
		fmt.Fprintln(s.out, "The other state has not answered yet: ask again in a while, it counts as one.")
	case "declined":
		fmt.Fprintln(s.out, "The other state has no portrait to show.")
	}
	return nil
}

type caseMergeCommand struct {
	caseDoor
	ID        string `arg:"" help:"The case, which both states have decided: same."`
	Keep      string `help:"The state, or the record of this state, whose card is kept. Default: the newest, as the case proposes."`
	Text      string `help:"Why, where another card than the newest is kept."`
	Told      string `help:"What the resident was told, and chose." required:""`
	Language  string `help:"In which language they were told." default:"en"`
	Check     string `help:"A check of this state that found the other card: needed where the other state made the check of the case."`
	Reference string `help:"And its candidate."`
}

// Help shows an example.
func (caseMergeCommand) Help() string {
	return `No card is ended without notice to the resident, who can object.
Example:
  waypost case merge --dir D --state AZ 4f21 --told "May hold one card; keeps Arizona's"`
}

// Run begins the end of the other card.
func (c caseMergeCommand) Run(s *session) error {
	req := &waypostv1.MergeCaseRequest{Id: c.ID, Keep: c.Keep, Text: c.Text, Told: c.Told, Language: c.Language, Check: c.Check, Reference: c.Reference}
	return caseCall(s, c.caseDoor, waypostv1connect.CasesClient.Merge, req, printCase)
}

type caseCampaignCommand struct {
	caseDoor
	Action    string `arg:"" help:"start, pause, resume, stop or status." enum:"start,pause,resume,stop,status" default:"status"`
	PerMinute uint32 `help:"With start: records a minute. Default: as configured."`
	PerDay    uint32 `help:"With start: records a day, below the roster's quota for unattended checks."`
	From      uint32 `help:"With start: not before this hour of the day, UTC."`
	To        uint32 `help:"With start: not from this hour of the day on, UTC."`
	AnyHour   bool   `help:"With start: at any hour."`
}

// Help shows an example.
func (caseCampaignCommand) Help() string {
	return `Every record is looked for in the other states once, by tags alone: no name leaves this state. Where another state's record agrees, both get a case.
Example:
  waypost case campaign --dir D --state CA start --per-minute 30 --per-day 20000 --from 4 --to 11`
}

// Run steers the campaign and shows how far it is.
func (c caseCampaignCommand) Run(s *session) error {
	req := &waypostv1.CampaignRequest{Action: c.Action, PerMinute: c.PerMinute, PerDay: c.PerDay, FromHour: c.From, ToHour: c.To, AnyHour: c.AnyHour}
	return caseCall(s, c.caseDoor, waypostv1connect.CasesClient.Campaign, req, func(out io.Writer, k *waypostv1.CampaignStatus) {
		if k.State == "none" {
			fmt.Fprintln(out, "there has been no campaign")
			return
		}
		fmt.Fprintf(out, "%s", k.State)
		if k.Why != "" {
			fmt.Fprintf(out, " (%s)", k.Why)
		}
		fmt.Fprintf(out, ": %d of %d records asked about, %d wait for answers, %d cases opened, %d skipped\n", k.Asked, k.Records, k.Waiting, k.Opened, k.Skipped)
		fmt.Fprintf(out, "at most %d a minute and %d a day", k.PerMinute, k.PerDay)
		if k.FromHour != k.ToHour {
			fmt.Fprintf(out, ", from %02d:00 to %02d:00 UTC", k.FromHour, k.ToHour)
		}
		fmt.Fprintln(out)
	})
}

type caseFrequentCommand struct {
	caseDoor
	Acknowledge string `help:"Take this record off the list: what was asked so far was looked at."`
}

// Help shows an example.
func (caseFrequentCommand) Help() string {
	return "Example:\n  waypost case frequent --dir D --state CA\n  waypost case frequent --dir D --state CA --acknowledge CA-000017"
}

// Run lists who was asked about often, by whom and why.
func (c caseFrequentCommand) Run(s *session) error {
	return caseCall(s, c.caseDoor, waypostv1connect.CasesClient.Frequent, &waypostv1.FrequentRequest{Acknowledge: c.Acknowledge}, func(out io.Writer, res *waypostv1.FrequentResponse) {
		for _, f := range res.Records {
			fmt.Fprintln(out, f.Record)
			for _, i := range f.Inquiries {
				fmt.Fprintf(out, "  %s  %s  %s\n", time.Unix(i.At, 0).UTC().Format("2006-01-02 15:04"), i.Asking, i.Purpose)
			}
		}
		if len(res.Records) == 0 {
			fmt.Fprintln(out, "no record was asked about unusually often")
		}
	})
}

type worklistCommand struct{ caseDoor }

// Help shows an example.
func (worklistCommand) Help() string {
	return "Example:\n  waypost case worklist --dir D --state CA"
}

// Run shows what waits for a person, what is late first.
func (c worklistCommand) Run(s *session) error {
	return caseCall(s, c.caseDoor, waypostv1connect.CasesClient.Worklist, &waypostv1.WorklistRequest{}, func(out io.Writer, res *waypostv1.WorklistResponse) {
		for _, i := range res.Items {
			late := " "
			if i.Late {
				late = "!"
			}
			id := i.Id
			if len(id) > 16 {
				id = id[:8]
			}
			if i.Count > 0 {
				id += fmt.Sprintf(" (%d)", i.Count)
			}
			fmt.Fprintf(out, "%s %-11s  %-16s  %-2s  %3d days  %s\n", late, i.Type, id, i.Other, i.AgeDays, i.Next)
		}
		if len(res.Items) == 0 {
			fmt.Fprintln(out, "nothing waits for a person")
		}
	})
}
