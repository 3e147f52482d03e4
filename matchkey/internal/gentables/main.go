// Command gentables makes the embedded tables of match-key profile 1 from the
// public data named in package freq and in matchkey/NOTICE:
//
//	go run ./matchkey/internal/gentables -data ../shared/data
//
// writes matchkey/internal/freq/tables.bin and matchkey/nicknames.txt. The
// tables are part of the profile: other tables make other keys, so a change
// needs a new profile number and a rotation.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/waypost/waypost/matchkey/internal/freq"
)

func main() {
	data := flag.String("data", "../shared/data", "folder with us_names and nicknames")
	out := flag.String("out", "matchkey", "folder of package matchkey")
	flag.Parse()
	if err := run(*data, *out); err != nil {
		fmt.Fprintln(os.Stderr, "gentables:", err)
		os.Exit(1)
	}
}

func run(data, out string) error {
	tables, nicknames, err := generate(data)
	if err != nil {
		return err
	}
	var packed bytes.Buffer
	if err := freq.Encode(&packed, tables); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(out, "internal", "freq", "tables.bin"), packed.Bytes(), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, "nicknames.txt"), nicknames, 0o644)
}

// generate returns the tables and the text of the nickname list.
func generate(data string) (map[string]map[string]byte, []byte, error) {
	s, err := read(data)
	if err != nil {
		return nil, nil, err
	}
	roots := s.roots()
	tables := s.tables(roots)
	return tables, roots.text(), nil
}
