package ceremony

import (
	"golang.org/x/crypto/cryptobyte"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/toprf"
)

func malformed(what string) error {
	return waypost.Errorf(waypost.InvalidArgument, "the %s of the ceremony is not well formed", what)
}

func addName(b *cryptobyte.Builder, name string) {
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(name)) })
}

func readDomain(s *cryptobyte.String, domain string) bool {
	var read []byte
	return s.ReadBytes(&read, len(domain)) && string(read) == domain
}

// readName reads 1 to 32 bytes of printable ASCII: what a roster allows, and more.
func readName(s *cryptobyte.String, name *string) bool {
	var b cryptobyte.String
	if !s.ReadUint8LengthPrefixed(&b) || len(b) == 0 || len(b) > 32 {
		return false
	}
	for _, c := range b {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	*name = string(b)
	return true
}

func readNames(s *cryptobyte.String, list *[]string) bool {
	var n uint8
	if !s.ReadUint8(&n) || n > toprf.MaxHolders {
		return false
	}
	for range n {
		var name string
		if !readName(s, &name) {
			return false
		}
		*list = append(*list, name)
	}
	return true
}

// addList and readList are of byte strings of at most 64 KiB each.
func addList(b *cryptobyte.Builder, list [][]byte) {
	b.AddUint8(uint8(len(list)))
	for _, x := range list {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(x) })
	}
}

func readList(s *cryptobyte.String, most int) (list [][]byte, ok bool) {
	var n uint8
	if !s.ReadUint8(&n) || int(n) > most {
		return nil, false
	}
	for range n {
		var x cryptobyte.String
		if !s.ReadUint16LengthPrefixed(&x) {
			return nil, false
		}
		list = append(list, x)
	}
	return list, true
}
