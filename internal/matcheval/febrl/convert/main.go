// Command convert turns the febrl4 data set into files for waypost matcheval:
//
//	go run ./internal/matcheval/febrl/convert FEBRL4-FOLDER OUTPUT-FOLDER
package main

import (
	"fmt"
	"os"

	"github.com/waypost/waypost/internal/matcheval/febrl"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: convert FEBRL4-FOLDER OUTPUT-FOLDER")
		os.Exit(2)
	}
	if err := febrl.Convert(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "convert:", err)
		os.Exit(1)
	}
}
