// Package statefile reads the file of people that a state's licensing system
// writes, row by row: CSV with the columns that docs/operations/joining.md lists,
// or, with a layout, any CSV or fixed-width file.
//
//	read.go    rows and lines
//	csv.go     a line of RFC 4180, and the line that names the columns
//	layout.go  the layout file: what stands where, and how it is written
//	field.go   from one text to one field of a record
//
// A row is a record or the reason why it is none; a reason names the column and
// never repeats what stands in it. What the reader accepts, the gateway accepts.
//
// A placeholder for an absent SSN, such as 99999, never leaves this package as
// an SSN: to everything that comes after, the person has none.
package statefile
