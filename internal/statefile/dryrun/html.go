package dryrun

import (
	_ "embed"
	"html/template"
	"io"
)

//go:embed report.html
var page string

var pageTemplate = template.Must(template.New("report").Parse(page))

// Sizes of a chart on the page, in pixels.
const (
	barWidth  = 420
	barHeight = 16
)

// drawn is a bar with its place.
type drawn struct {
	Bar
	Y, Text, Width int
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
		for i, b := range c.Bars {
			p.Bars = append(p.Bars, drawn{Bar: b, Y: i*barHeight + 2, Text: i*barHeight + 14, Width: c.width(b, barWidth)})
		}
		pictures = append(pictures, p)
	}
	return pageTemplate.Execute(w, struct {
		*Report
		Refused  int
		Pictures []picture
	}{r, r.Rows - r.Usable, pictures})
}
