package store

import (
	"regexp"
	"strings"
)

var (
	wholeTable = regexp.MustCompile(`^(?:Foreign Scan|Seq Scan) on (\w+)(?: (\w+))?$`)
	byIndex    = regexp.MustCompile(`^Index (?:Only )?Scan (?:Backward )?using (\w+) on (\w+)(?: (\w+))?$`)
	byBitmap   = regexp.MustCompile(`^Bitmap Index Scan on (\w+)$`)
	heapOf     = regexp.MustCompile(`^Bitmap Heap Scan on (\w+)(?: (\w+))?$`)
)

// sqlitePlan says what PostgreSQL's EXPLAIN says of tables and indexes as SQLite's
// does, so that one test reads both: "SCAN t" is a whole table, "SCAN t USING INDEX i" a
// whole index, "SEARCH t USING INDEX i (condition)" what an index finds. Other lines
// stay.
func sqlitePlan(lines []string) (plan []string) {
	heap := ""
	for i, line := range lines {
		line = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "->"))
		condition := ""
		if i+1 < len(lines) {
			condition, _ = strings.CutPrefix(strings.TrimSpace(lines[i+1]), "Index Cond: ")
			if condition == strings.TrimSpace(lines[i+1]) {
				condition = ""
			}
		}
		if m := heapOf.FindStringSubmatch(line); m != nil {
			heap = last(m[1:])
			continue
		}
		if m := wholeTable.FindStringSubmatch(line); m != nil {
			line = "SCAN " + last(m[1:])
		} else if m := byIndex.FindStringSubmatch(line); m != nil {
			line = throughIndex(last(m[2:]), m[1], condition)
		} else if m := byBitmap.FindStringSubmatch(line); m != nil {
			line = throughIndex(heap, m[1], condition)
		}
		plan = append(plan, line)
	}
	return plan
}

func throughIndex(table, index, condition string) string {
	if condition == "" {
		return "SCAN " + table + " USING INDEX " + index
	}
	return "SEARCH " + table + " USING INDEX " + index + " " + condition
}

// last is the alias of a table, or its name.
func last(names []string) string {
	if alias := names[len(names)-1]; alias != "" {
		return alias
	}
	return names[0]
}
