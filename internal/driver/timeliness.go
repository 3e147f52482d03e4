package driver

import (
	"context"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/metrics"
	"github.com/waypost/waypost/internal/store"
)

// What federal rules allow between the event and the report, in days.
const (
	commercialDays = 10 // 49 CFR 384.209: convictions of commercial drivers
	registerDays   = 31 // 23 CFR 1327.5: reports to the National Driver Register
)

// bands are what days are counted by: the last day of each.
var bands = []int{3, commercialDays, registerDays, 92, 365}

var bandWords = []string{"up to 3 days", "4 to 10 days", "11 to 31 days", "32 to 92 days", "93 to 365 days", "more than a year"}

// lateness is how many days after the event an item came: after the conviction, or
// after a withdrawal took effect. Some types of items are not about an event.
func lateness(i Item, now time.Time) (days int, measured bool) {
	from := i.Convicted
	switch i.Type {
	case Conviction:
	case Withdrawal, Clearance:
		from = i.Effective
	case Accident:
		from = i.Occurred
	default:
		return 0, false
	}
	if from.IsZero() {
		return 0, false
	}
	event := time.Date(from.Year, time.Month(from.Month), from.Day, 0, 0, 0, 0, time.UTC)
	return max(0, int(now.UTC().Truncate(24*time.Hour).Sub(event)/(24*time.Hour))), true
}

func bandOf(days int) int {
	for n, last := range bands {
		if days <= last {
			return n
		}
	}
	return len(bands)
}

// punctual counts an item that another state has reported, when it is taken.
func (d *Desk) punctual(tx *store.Tx, i Item) error {
	days, measured := lateness(i, d.Now())
	if !measured {
		return nil
	}
	d.Metrics.Count(metrics.DriverItems, string(i.Reporter), withinWord(days))
	_, err := tx.Exec(`INSERT INTO driver_timeliness (reporter, type, month, band, items, worst) VALUES ($1, $2, $3, $4, 1, $5)
		ON CONFLICT (reporter, type, month, band) DO UPDATE SET items = driver_timeliness.items + 1,
		worst = CASE WHEN excluded.worst > driver_timeliness.worst THEN excluded.worst ELSE driver_timeliness.worst END`,
		i.Reporter, i.Type, monthOf(d.Now()), bandOf(days), days)
	return err
}

func withinWord(days int) string {
	switch {
	case days <= commercialDays:
		return "10_days"
	case days <= registerDays:
		return "31_days"
	}
	return "later"
}

// rejected counts why an item was rejected, each reason once.
func (d *Desk) rejected(tx *store.Tx, i Item, problems []Problem) error {
	d.Metrics.Count(metrics.DriverRejected, string(i.Reporter))
	seen := make(map[[2]string]bool, len(problems))
	for _, p := range problems {
		if seen[[2]string{p.Field, p.Code}] {
			continue
		}
		seen[[2]string{p.Field, p.Code}] = true
		if _, err := tx.Exec(`INSERT INTO driver_rejection (reporter, month, field, code, times) VALUES ($1, $2, $3, $4, 1)
			ON CONFLICT (reporter, month, field, code) DO UPDATE SET times = driver_rejection.times + 1`,
			i.Reporter, monthOf(d.Now()), p.Field, p.Code); err != nil {
			return err
		}
	}
	return nil
}

// Punctuality is how soon one state has reported items of one type in one month.
type Punctuality struct {
	Reporter waypost.Jurisdiction `json:"reporter"`
	Type     Type                 `json:"type"`
	Month    string               `json:"month"` // YYYY-MM, of arrival
	Items    int                  `json:"items"`
	Within10 int                  `json:"within_10"`
	Within31 int                  `json:"within_31"`
	Median   string               `json:"median"` // a band of days
	Worst    int                  `json:"worst"`  // days

	byBand [6]int
}

// Rejection is how often items of one state were rejected for one reason in one
// month.
type Rejection struct {
	Reporter waypost.Jurisdiction `json:"reporter"`
	Month    string               `json:"month"`
	Field    string               `json:"field"`
	Code     string               `json:"code"`
	Times    int                  `json:"times"`
}

// Timeliness returns what was counted in the months from and to, both included, as
// YYYY-MM: by state, type and month.
func (d *Desk) Timeliness(ctx context.Context, from, to string) (rows []Punctuality, rejections []Rejection, err error) {
	err = d.DB.Read(ctx, func(tx *store.Tx) error {
		if err := tx.Query(`SELECT reporter, type, month, band, items, worst FROM driver_timeliness WHERE month >= $1 AND month <= $2
			ORDER BY reporter, type, month, band`, []any{from, to}, func(scan func(...any) error) error {
			var p Punctuality
			var band int
			if err := scan(&p.Reporter, &p.Type, &p.Month, &band, &p.Items, &p.Worst); err != nil {
				return err
			}
			rows = merge(rows, p, band)
			return nil
		}); err != nil {
			return err
		}
		return tx.Query(`SELECT reporter, month, field, code, times FROM driver_rejection WHERE month >= $1 AND month <= $2
			ORDER BY reporter, month, field, code`, []any{from, to}, func(scan func(...any) error) error {
			var j Rejection
			err := scan(&j.Reporter, &j.Month, &j.Field, &j.Code, &j.Times)
			rejections = append(rejections, j)
			return err
		})
	})
	for n := range rows {
		rows[n].Median = bandWords[rows[n].median()]
	}
	return rows, rejections, err
}

// merge adds the count of one band to the row that it belongs to, which is the last
// if it is there.
func merge(rows []Punctuality, p Punctuality, band int) []Punctuality {
	n := len(rows) - 1
	if n < 0 || rows[n].Reporter != p.Reporter || rows[n].Type != p.Type || rows[n].Month != p.Month {
		rows = append(rows, Punctuality{Reporter: p.Reporter, Type: p.Type, Month: p.Month})
		n++
	}
	row := &rows[n]
	row.Items += p.Items
	row.byBand[band] += p.Items
	if bands[min(band, len(bands)-1)] <= commercialDays {
		row.Within10 += p.Items
	}
	if bands[min(band, len(bands)-1)] <= registerDays {
		row.Within31 += p.Items
	}
	row.Worst = max(row.Worst, p.Worst)
	return rows
}

// median is the band in which the middle item lies.
func (p Punctuality) median() int {
	seen := 0
	for band, n := range p.byBand {
		if seen += n; 2*seen >= p.Items {
			return band
		}
	}
	return len(p.byBand) - 1
}

func monthOf(t time.Time) string { return t.UTC().Format("2006-01") }

// measure shows in the metrics how many reports of this state have no final word.
func (d *Desk) measure() {
	d.Metrics.Gauge(metrics.DriverReports, func(ctx context.Context) (values []metrics.Value, err error) {
		counts := make([]int, int(cancelled)+1)
		err = d.DB.Read(ctx, func(tx *store.Tx) error {
			return tx.Query(`SELECT state, count(*) FROM driver_report WHERE state < 5 GROUP BY state`, nil,
				func(scan func(...any) error) error {
					var s state
					var n int
					err := scan(&s, &n)
					counts[s] = n
					return err
				})
		})
		for s := range done {
			values = append(values, metrics.Value{Labels: []string{s.String()}, Value: float64(counts[s])})
		}
		return values, err
	})
}
