package dryrun

import (
	_ "embed"
	"html/template"
	"io"
)

//go:embed report.html
var page string

var pageTemplate = template.Must(template.New("report").Parse(page))

// drawn is a bar with its place on the page, in pixels.
type drawn struct {
	Bar
	Y, Text             int // top of the bar, baseline of the text
	NameX, BarX, CountX int
	Width               int
}

const barHeight = 16

// draw places a bar: a short name stands before it, a long one after it.
func (c chart) draw(i int) drawn {
	d := drawn{Bar: c.Bars[i], Y: i*barHeight + 2, Text: i*barHeight + 13}
	if c.wordy {
		d.BarX, d.Width = 80, c.width(d.Bar, 120)
		d.CountX, d.NameX = 0, 210
		return d
	}
	d.BarX, d.Width = 110, c.width(d.Bar, 480)
	d.CountX = d.BarX + d.Width + 8
	return d
}

// WriteHTML writes the report as one page that needs nothing else: no script, no
// font, no picture from elsewhere.
func (r *Report) WriteHTML(w io.Writer) error {
	type picture struct {
		Title  string
		Height int
		Bars   []drawn
	}
	var pictures []picture
	for _, c := range r.charts() {
		p := picture{Title: c.Title, Height: len(c.Bars)*barHeight + 4}
		for i := range c.Bars {
			p.Bars = append(p.Bars, c.draw(i))
		}
		pictures = append(pictures, p)
	}
	return pageTemplate.Execute(w, struct {
		*Report
		Refused  int
		Pictures []picture
	}{r, r.Rows - r.Usable, pictures})
}
