package driver

import (
	_ "embed"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
)

// Class says how grave a code is where a commercial driver is concerned, and so
// how long an item is kept (49 CFR 383.51).
type Class string

// The classes, after the paragraphs of 49 CFR 383.51.
const (
	Major    Class = "major"    // (b)
	Serious  Class = "serious"  // (c)
	Railroad Class = "railroad" // (d): highway-rail grade crossings
	Service  Class = "service"  // (e): out-of-service orders
	Other    Class = "other"
)

// Code is one code of the AAMVA code dictionary, with what it demands.
type Code struct {
	Code       string `json:"code"`
	Words      string `json:"words"`
	Appendix   bool   `json:"appendix"`   // in 23 CFR part 1327, Appendix A
	Conviction bool   `json:"conviction"` // may stand in a conviction
	Withdrawal bool   `json:"withdrawal"` // may be the reason of a withdrawal
	Class      Class  `json:"class"`

	SpeedNeeded   bool   `json:"speed_needed,omitempty"`
	OverFrom      uint32 `json:"over_from,omitempty"` // mph above the limit, where speed and limit are given
	OverTo        uint32 `json:"over_to,omitempty"`
	BACNeeded     bool   `json:"bac_needed,omitempty"`
	LeastBAC      uint32 `json:"least_bac,omitempty"`      // where one is given, in thousandths of a percent
	Severity      string `json:"severity,omitempty"`       // where one is given, of the crash
	Crash         bool   `json:"crash,omitempty"`          // may give a severity
	CommercialCar bool   `json:"commercial_car,omitempty"` // only with a commercial vehicle
}

//go:embed codes.txt
var codesText string

// Codes returns all codes, in their order.
func Codes() []Code { return codes().all }

// CodeOf returns a code of the table.
func CodeOf(code string) (Code, bool) {
	i, ok := codes().at[code]
	if !ok {
		return Code{}, false
	}
	return codes().all[i], true
}

type codeTable struct {
	all []Code
	at  map[string]int
}

// codes reads the table once. It is part of the program, so that a line that
// cannot be read is a bug.
var codes = sync.OnceValue(func() codeTable {
	t := codeTable{at: make(map[string]int)}
	for line := range strings.Lines(codesText) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		c, err := parseCode(strings.TrimSuffix(line, "\n"))
		if err != nil {
			panic("driver: codes.txt: " + err.Error())
		}
		t.at[c.Code] = len(t.all)
		t.all = append(t.all, c)
	}
	return t
})

func parseCode(line string) (c Code, err error) {
	parts := strings.SplitN(line, " ", 6)
	if len(parts) != 6 {
		return c, fmt.Errorf("%q has not six columns", line)
	}
	c = Code{Code: parts[0], Appendix: parts[1] == "N", Class: Class(parts[3]), Words: parts[5],
		Conviction: strings.Contains(parts[2], "C"), Withdrawal: strings.Contains(parts[2], "W")}
	for demand := range strings.SplitSeq(parts[4], ",") {
		if err := c.demand(demand); err != nil {
			return c, fmt.Errorf("%q: %w", line, err)
		}
	}
	return c, nil
}

func (c *Code) demand(what string) (err error) {
	name, value, _ := strings.Cut(what, ":")
	switch name {
	case "-":
	case "speed":
		c.SpeedNeeded = true
		c.OverFrom, c.OverTo = 1, math.MaxUint32
	case "over":
		from, to, _ := strings.Cut(value, "-")
		if c.OverFrom, err = number(from); err == nil {
			c.OverTo, err = number(to)
		}
	case "bac":
		if c.BACNeeded = value == ""; !c.BACNeeded {
			c.LeastBAC, err = number(value)
		}
	case "crash":
		c.Crash = true
	case "fatal", "injury", "property":
		c.Crash, c.Severity = true, name
	case "commercial":
		c.CommercialCar = true
	default:
		err = fmt.Errorf("%q is no demand", what)
	}
	return err
}

func number(text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	return uint32(n), err
}
