package population

import (
	"bufio"
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"sync"

	"github.com/waypost/waypost"
)

// namesGz holds the 40,000 commonest surnames with counts and the share of
// Hispanic bearers (US Census Bureau, surnames of the Census 2000) and the 500
// commonest first names of each decade of birth 1930 to 2000 and sex (US
// Social Security Administration). Both are in the public domain.
//
//go:generate go run ./gennames
//go:embed names.gz
var namesGz []byte

// weighted draws names in proportion to their weights.
type weighted struct {
	names []string
	sums  []float64 // running sum of the weights
}

func (w *weighted) add(name string, weight float64) {
	if weight <= 0 {
		return
	}
	if n := len(w.sums); n > 0 {
		weight += w.sums[n-1]
	}
	w.names, w.sums = append(w.names, name), append(w.sums, weight)
}

func (w *weighted) draw(r *rand.Rand) int {
	x := r.Float64() * w.sums[len(w.sums)-1]
	return min(sort.SearchFloat64s(w.sums, x), len(w.names)-1)
}

func (w *weighted) name(r *rand.Rand) string { return w.names[w.draw(r)] }

type cohort struct {
	decade int
	sex    waypost.Sex
}

type nameTables struct {
	family         weighted
	hispanic       []float64 // share of the family name's bearers, by its index
	hispanicFamily weighted  // family names by the number of Hispanic bearers
	given          map[cohort]*weighted
}

// tables parses the embedded lists once.
var tables = sync.OnceValue(func() *nameTables {
	z, err := gzip.NewReader(bytes.NewReader(namesGz))
	if err != nil {
		panic("population: the embedded names: " + err.Error()) // the package's tests read them
	}
	t := &nameTables{given: map[cohort]*weighted{}}
	lines := bufio.NewScanner(z)
	for lines.Scan() {
		line := lines.Text()
		var decade int
		var sex waypost.Sex
		var name string
		var count, share float64
		if rest, ok := strings.CutPrefix(line, "S "); ok {
			scan(rest, &name, &count, &share)
			t.family.add(name, count)
			t.hispanic = append(t.hispanic, share/100)
			t.hispanicFamily.add(name, count*share/100)
			continue
		}
		scan(line, &decade, &sex, &name, &count)
		c := cohort{decade, sex}
		if t.given[c] == nil {
			t.given[c] = new(weighted)
		}
		t.given[c].add(name, count)
	}
	if err := lines.Err(); err != nil {
		panic("population: the embedded names: " + err.Error())
	}
	return t
})

func scan(line string, into ...any) {
	if _, err := fmt.Sscan(line, into...); err != nil {
		panic("population: the embedded names: " + err.Error())
	}
}

// hispanicGiven are first names that Hispanic families choose far more often
// than others, about half of the time; the tables above cannot say so, because
// they count first names and surnames apart.
var hispanicGiven = map[waypost.Sex][]string{
	"F": strings.Fields(`MARIA MARIA MARIA MARIA ANA GUADALUPE CARMEN ROSA JUANA MARGARITA LETICIA VERONICA
		ALICIA SILVIA YOLANDA PATRICIA ELIZABETH GLORIA TERESA ADRIANA CLAUDIA ALEJANDRA GABRIELA DANIELA`),
	"M": strings.Fields(`JOSE JOSE JOSE JUAN JUAN LUIS CARLOS JESUS JORGE MIGUEL ANTONIO FRANCISCO MANUEL
		JAVIER ALEJANDRO RICARDO FERNANDO ROBERTO PEDRO RAFAEL EDUARDO SERGIO MARIO OSCAR`),
}

// nicknames are what people with these names are called at another counter.
var nicknames = map[string][]string{
	"ALEXANDER": {"ALEX"}, "ALEXANDRA": {"ALEX", "SANDRA"}, "ANDREW": {"ANDY", "DREW"}, "ANTHONY": {"TONY"},
	"BARBARA": {"BARB"}, "BENJAMIN": {"BEN"}, "CATHERINE": {"CATHY", "KATE"}, "CHARLES": {"CHUCK", "CHARLIE"},
	"CHRISTINE": {"CHRIS", "TINA"}, "CHRISTOPHER": {"CHRIS"}, "CYNTHIA": {"CINDY"}, "DANIEL": {"DAN", "DANNY"},
	"DAVID": {"DAVE"}, "DEBORAH": {"DEBBIE"}, "DONALD": {"DON"}, "DOROTHY": {"DOT", "DOLLY"}, "EDWARD": {"ED", "TED"},
	"ELIZABETH": {"BETH", "LIZ", "BETTY"}, "FRANCISCO": {"PACO", "FRANK"}, "GREGORY": {"GREG"}, "GUADALUPE": {"LUPE"},
	"JAMES": {"JIM", "JIMMY"}, "JEFFREY": {"JEFF"}, "JENNIFER": {"JEN", "JENNY"}, "JOSE": {"PEPE"}, "JOSEPH": {"JOE"},
	"JOSHUA": {"JOSH"}, "KATHERINE": {"KATE", "KATHY"}, "KENNETH": {"KEN"}, "KIMBERLY": {"KIM"}, "LAWRENCE": {"LARRY"},
	"MARGARET": {"PEGGY", "MEG"}, "MATTHEW": {"MATT"}, "MICHAEL": {"MIKE"}, "NICHOLAS": {"NICK"}, "PAMELA": {"PAM"},
	"PATRICIA": {"PAT", "PATTY"}, "PATRICK": {"PAT"}, "PETER": {"PETE"}, "REBECCA": {"BECKY"}, "RICHARD": {"RICK", "DICK"},
	"ROBERT": {"BOB", "ROB"}, "RONALD": {"RON"}, "SAMUEL": {"SAM"}, "SANDRA": {"SANDY"}, "STEPHEN": {"STEVE"},
	"STEVEN": {"STEVE"}, "SUSAN": {"SUE"}, "THOMAS": {"TOM"}, "TIMOTHY": {"TIM"}, "VICTORIA": {"VICKY"},
	"WILLIAM": {"BILL", "WILL"}, "ZACHARY": {"ZACH"},
}
