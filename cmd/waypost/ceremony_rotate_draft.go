package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/roster"
)

// rotateDraft is what every step of a rotation takes that governance signs.
type rotateDraft struct {
	Previous string        `help:"The newest roster: a file, or a role's folder." required:"" type:"path"`
	Out      string        `help:"Where to write the draft; an existing file is not overwritten." required:"" type:"path"`
	In       time.Duration `help:"How long from now the draft begins: the time that the officers take to sign." default:"0s"`
}

// draft writes a successor with a change, and says what is different.
func (c rotateDraft) draft(s *session, change func(draft, latest *roster.Roster) error) error {
	_, latest, err := readRoster(c.Previous)
	if err != nil {
		return err
	}
	begin := time.Now().UTC().Add(c.In).Truncate(time.Second)
	draft, err := latest.Successor(begin, begin.Add(roster.MaxValidity))
	if err != nil {
		return err
	}
	if err := change(draft, latest); err != nil {
		return err
	}
	if err := latest.Precedes(draft); err != nil {
		return err
	}
	text, err := draft.Text()
	if err != nil {
		return err
	}
	if err := writeNew(c.Out, []byte(text)); err != nil {
		return err
	}
	for _, changed := range roster.Changes(latest, draft) {
		fmt.Fprintln(s.out, changed)
	}
	fmt.Fprintf(s.out, "Next: governance signs %s, see waypost roster sign.\n", c.Out)
	return nil
}

type rotateAnnounceCommand struct {
	rotateDraft
	Ceremony string `help:"The transcript of the key generation of the next epoch." required:"" type:"existingfile"`
	Counts   string `help:"The hub's signed counts." required:"" type:"existingfile"`
}

// Help shows an example.
func (rotateAnnounceCommand) Help() string {
	return `Example:
  waypost ceremony rotate announce --previous hub/ --ceremony keygen.json --counts counts.json --out draft.txt
Each state gets what the hub counted and a twentieth, at least 100, to spare: for batches that are cut off and records
that come from other states meanwhile. At the hub each record can be published once more only once.`
}

// Run drafts what is announced for after the delay.
func (c rotateAnnounceCommand) Run(s *session) error {
	return c.draft(s, func(draft, latest *roster.Roster) error {
		t, under, err := readTranscript(c.Ceremony, c.Previous)
		if err != nil {
			return err
		}
		result, err := t.Verify(under)
		if err != nil {
			return err
		}
		if result.Plan.Epoch <= latest.Newest() {
			return waypost.Errorf(waypost.InvalidArgument, "the ceremony made shares of epoch %d: a rotation needs a key that is newer than epoch %d", result.Plan.Epoch, latest.Newest())
		}
		counted, err := readCounts(c.Counts, latest)
		if err != nil {
			return err
		}
		group := result.Keys.Group()
		a := roster.Announcement{From: draft.NotBefore.Add(roster.Delay), GroupKey: group.Bytes()}
		if t := result.Keys.Threshold(); t < latest.Threshold {
			a.Threshold = t
		}
		draft.Announced = append(draft.Announced, a)
		for _, m := range latest.Gateways() {
			live, _ := counted.live(m.Name, result.Plan.Epoch)
			if live == 0 {
				continue
			}
			if err := draft.SetQuota(m.Name, "republish_records", int(live+max(live/20, 100))); err != nil {
				return err
			}
		}
		return nil
	})
}

type rotateBeginCommand struct {
	rotateDraft
	Ceremony string `help:"The transcript of the key generation of the next epoch." required:"" type:"existingfile"`
}

// Help shows an example.
func (rotateBeginCommand) Help() string {
	return `Example: waypost ceremony rotate begin --previous keyholder-1/ --ceremony keygen.json --out draft.txt
From the folder of a key holder all are asked first whether they can open their shares of the next key. From then on what is published goes into the index under both keys, and states publish once more what is there.`
}

// Run drafts the version that serves both keys.
func (c rotateBeginCommand) Run(s *session) error {
	return c.draft(s, func(draft, latest *roster.Roster) error {
		t, under, err := readTranscript(c.Ceremony, c.Previous)
		if err != nil {
			return err
		}
		result, err := t.Verify(under)
		if err != nil {
			return err
		}
		if err := askHolders(s, c.Previous, result.Plan); err != nil {
			return err
		}
		return nameShares(draft, latest, under, result)
	})
}

type rotateSwitchCommand struct {
	rotateDraft
	Counts string `help:"The hub's signed counts, not older than a day." required:"" type:"existingfile"`
	Late   bool   `help:"Switch although states are not through: their records are found again when they are, and they are shown as loading."`
}

// Help shows an example.
func (rotateSwitchCommand) Help() string {
	return `Example: waypost ceremony rotate switch --previous hub/ --counts counts.json --out draft.txt
From then on searches are under the next key. A day later, at the earliest: waypost ceremony rotate end`
}

// Run drafts the switch.
func (c rotateSwitchCommand) Run(s *session) error {
	return c.draft(s, func(draft, latest *roster.Roster) error {
		if err := draft.Switch(); err != nil {
			return err
		}
		counted, err := readCounts(c.Counts, latest)
		if err != nil {
			return err
		}
		if time.Since(counted.At) > 24*time.Hour {
			return waypost.Errorf(waypost.Expired, "%s is from %s: have the hub count again", c.Counts, clock(counted.At))
		}
		return counted.through(draft, c.Late)
	})
}

// through refuses the switch while a state has records that are not under the new key,
// unless everybody is told that it is loading: as it is, or from then on where late
// states are allowed.
func (c countedPointers) through(draft *roster.Roster, allowLate bool) error {
	var late []string
	for i, m := range draft.Members {
		if m.Participation == roster.Full && slices.Contains(c.unfinished(draft.Epoch), m.Name) {
			late = append(late, m.Name)
			draft.Members[i].Participation = roster.Loading
		}
	}
	if len(late) > 0 && !allowLate {
		return waypost.Errorf(waypost.InvalidArgument, "%s are not through, and who has not published once more is not found by others: wait, or switch with --late", strings.Join(late, ", "))
	}
	return nil
}

type rotateEndCommand struct{ rotateDraft }

// Help shows an example.
func (rotateEndCommand) Help() string {
	return `Example: waypost ceremony rotate end --previous hub/ --out draft.txt
The key holders destroy their shares of the old key when no version that is good names them; the hub deletes its labels.`
}

// Run drafts the end.
func (c rotateEndCommand) Run(s *session) error {
	return c.draft(s, func(draft, latest *roster.Roster) error {
		switch {
		case latest.Beside == nil:
			return waypost.Errorf(waypost.InvalidArgument, "roster version %d serves one key only: there is nothing to end", latest.Version)
		case latest.Beside.Epoch > latest.Epoch:
			return waypost.Errorf(waypost.InvalidArgument, "the key of epoch %d waits: waypost ceremony rotate switch comes first", latest.Beside.Epoch)
		case draft.NotBefore.Before(latest.NotBefore.Add(roster.Grace)):
			return waypost.Errorf(waypost.InvalidArgument, "roster version %d began less than a day before: a state that still goes by the version before would not find what is new; end it a day after the switch", latest.Version)
		}
		draft.Beside = nil
		return nil
	})
}
