package clerk

import (
	"context"
	"fmt"
	"slices"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/drill"
)

// traces are what others have of an enumeration.
type traces struct {
	told          toldOf
	unasked       int                       // searches that nobody followed up, by the owners' metrics
	findings      map[string]map[string]int // of an auditor, by member and kind
	onlyGuilty    bool                      // and of nobody else
	drawn, opened int
}

// traces looks for them.
func (p *play) traces(ctx context.Context, h help, l looks) (t traces, err error) {
	if t.told, err = p.told(ctx, l.before); err != nil {
		return t, err
	}
	for _, owner := range owners {
		n, err := p.x.Gateway(owner).Unasked(ctx)
		if err != nil {
			return t, err
		}
		t.unasked += n[rogueState]
	}
	if t.findings, err = p.findings(ctx); err != nil {
		return t, err
	}
	t.onlyGuilty = p.onlyGuilty(h, t.findings)
	t.drawn, t.opened, err = p.sample(ctx)
	return t, err
}

// well reports whether everybody noticed who should, and nobody is named who kept the rules.
func (t traces) well() bool {
	return t.told.all() && t.unasked > 0 && len(t.findings[string(rogueState)]) > 0 && t.onlyGuilty && t.drawn > 0 && t.opened == 0
}

func (t traces) words(l looks) string {
	return fmt.Sprintf("%s; %s; %d searches without a question pointed at by their owners' metrics after an hour; the auditor, %v after: %s; of %d tickets so far that are drawn for opening (every second one here, of 200 in earnest) %d show an applicant",
		l.alarm.words("the first alarm of a quota at the hub"), t.told, t.unasked, unaskedAfter, inWords(t.findings), t.drawn, t.opened)
}

// judge says what came of filling tickets, and who noticed it.
func (p *play) judge(h help, l looks, found traces) drill.Line {
	names, bound := l.searched*waypost.CheckElements, p.bound(h)*waypost.CheckElements
	_, wrong := h.asker.judge()
	n := float64(names)
	line := drill.Line{
		Party:     h.party,
		Attempted: fmt.Sprintf("puts one key each of %d people of a list, half of whom have a card elsewhere, into one ticket, until refused", waypost.CheckElements),
		Obtained: fmt.Sprintf("%d names in %d tickets: %d candidates shown, only how many in which states for the %d of part one together and the %d of part two; certain of %d names alone, wrong about %d. Key holders would have evaluated %d tickets",
			names, l.searched, l.shown, waypost.NameElements, waypost.SSNElements, len(h.asker.sure), wrong, l.evaluated),
		Noticed:  found.words(l),
		Baseline: p.inBaselines(),
		Target:   fmt.Sprintf("an alarm and then refused at %d names a day, every candidate told to its state, the state named by the auditor", bound),
		OK:       p.refused(l) && l.shown > 0 && l.evaluated <= p.evaluable(h) && wrong*100 <= len(h.asker.sure) && found.well(),
		Figure:   &drill.Figure{Name: "names a day", Value: n, Low: n, High: n, Bound: float64(bound), AtMost: !h.planted, Others: p.others()},
		Planted:  h.planted,
	}
	if h.planted {
		line.Target = fmt.Sprintf("conceded: with a quorum and the hub nothing is refused, also beyond %d names", bound)
		line.OK = names > bound && l.refused == ""
	}
	line.NoticedSeconds = l.alarm.seconds()
	return line
}

// onlyGuilty reports whether nobody is named who kept the rules.
func (p *play) onlyGuilty(h help, found map[string]map[string]int) bool {
	guilty := []string{string(rogueState)}
	for _, member := range p.x.Roster().Holders()[:h.holders] {
		guilty = append(guilty, member.Name)
	}
	if h.hub {
		guilty = append(guilty, "hub")
	}
	for member := range found {
		if !slices.Contains(guilty, member) {
			return false
		}
	}
	return true
}
