package clerk

import (
	"context"
	"fmt"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/drill"
)

// pace is how long the clerk takes for a name: to type it and to read the answer.
const pace = 30 * time.Second

// counter is the clerk with a list of names, at the counter of a gateway that keeps the
// rules. Each hour it goes on until it is refused.
func (p *play) counter(ctx context.Context) error {
	hours := p.Size.Pick(1, 3, 24)
	var looked, found, known, refused, most int
	var alarm *noticed
	told, err := p.entries(ctx, "notified")
	if err != nil {
		return err
	}
	watch, err := p.watch(ctx)
	if err != nil {
		return err
	}
	for hour := range hours {
		n := 0
		for ; n < 2*p.quota.TicketsPerOperatorHour; n++ { // beyond that there is no quota
			who := p.list[looked%len(p.list)]
			answer, err := p.x.Made(ctx, clerkState, who.Person, waypost.IssueLicence, fmt.Sprintf("CASE-%d", looked))
			if waypost.CodeOf(err) == waypost.QuotaExceeded {
				refused++
				break
			}
			if err != nil {
				return err
			}
			if answer.Best() == waypost.Match {
				found++
			}
			if who.known {
				known++
			}
			looked++
			p.x.Clock.Advance(pace)
			if alarm == nil {
				if alarm, err = watch.alarm(ctx, looked); err != nil {
					return err
				}
			}
			p.Progress("at the counter", looked, hours*p.quota.TicketsPerOperatorHour)
		}
		if most = max(most, n); hour < hours-1 {
			now := p.x.Clock.Now()
			p.x.Clock.Advance(now.Truncate(time.Hour).Add(time.Hour + time.Minute).Sub(now))
		}
	}
	after, err := p.told(ctx, told)
	if err != nil {
		return err
	}
	line := drill.Line{
		Party:     "a clerk, at the counter of an honest gateway",
		Attempted: fmt.Sprintf("looks up names from a list, one every %v, until refused, for %d hours", pace, hours),
		Obtained: fmt.Sprintf("%d names looked up, then refused until the next hour, %d in all; %d of the %d of them who hold a card elsewhere found (an answer names the state, as it does for anybody)",
			most, looked, found, known),
		Noticed:  fmt.Sprintf("%s; %s", alarm.words("the alarm of the operator's hour, at key holders and hub"), after),
		Baseline: p.inBaselines(),
		Target:   fmt.Sprintf("no more than %d names an hour, an alarm before the refusal, and each state that has the record told of each look", p.quota.TicketsPerOperatorHour),
		OK:       looked > 0 && found > 0 && refused == hours && alarm != nil && alarm.looks < p.quota.TicketsPerOperatorHour && after.all(),
		Figure: &drill.Figure{Name: "names an hour", Value: float64(most), Low: float64(most), High: float64(most), Bound: float64(p.quota.TicketsPerOperatorHour), AtMost: true,
			Others: p.others()},
	}
	line.NoticedSeconds = alarm.seconds()
	p.Add(line)
	return nil
}
