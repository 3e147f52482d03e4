package waypost_test

import (
	"bytes"
	"testing"

	"github.com/waypost/waypost"
)

// What can be read is the canonical form of what it says.

func FuzzParseTicket(f *testing.F) {
	for _, x := range readVectors(f).Tickets {
		f.Add([]byte(x.Wire))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := waypost.ParseTicket(raw)
		if err != nil {
			if waypost.CodeOf(err) != waypost.InvalidArgument {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(s.Bytes(), raw) {
			t.Fatalf("read %x, wrote %x", raw, s.Bytes())
		}
		// Signing what was read gives the same payload, so the same ticket.
		again, err := s.Sign(stateKey)
		if err != nil || again.ID != s.ID || again.Ticket != s.Ticket {
			t.Fatalf("%+v cannot be signed again: %v", s.Ticket, err)
		}
		_ = s.CheckFresh(s.IssuedAt)
		_ = s.Verify(publicOf(stateKey))
	})
}

func FuzzParseReceipt(f *testing.F) {
	for _, x := range readVectors(f).Receipts {
		f.Add([]byte(x.Wire))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := waypost.ParseReceipt(raw)
		if err != nil {
			if waypost.CodeOf(err) != waypost.InvalidArgument {
				t.Fatal(err)
			}
			return
		}
		again, err := s.Sign(stateKey)
		if err != nil || again.Receipt != s.Receipt || !bytes.Equal(s.Bytes(), raw) ||
			!bytes.Equal(again.Bytes()[:len(raw)-64], raw[:len(raw)-64]) {
			t.Fatalf("%+v is not canonical: %v", s.Receipt, err)
		}
	})
}

func FuzzParseCandidates(f *testing.F) {
	for _, x := range readVectors(f).Candidates {
		f.Add([]byte(x.Wire))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := waypost.ParseCandidates(raw)
		if err != nil {
			return
		}
		if !bytes.Equal(c.Bytes(), raw) || len(c.List) > waypost.MaxCandidates {
			t.Fatalf("read %x, wrote %x", raw, c.Bytes())
		}
	})
}

func FuzzParseDate(f *testing.F) {
	for _, s := range []string{"1988-04-09", "19880409", "2024-02-29", "2023-02-29", "", "0000-00-00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := waypost.ParseDate(s)
		if err != nil {
			if !d.IsZero() {
				t.Fatalf("%v for an error %v", d, err)
			}
			return
		}
		again, err := waypost.ParseDate(d.String())
		if err != nil || again != d {
			t.Fatalf("%v is read as %v, %v", d, again, err)
		}
		if s != d.String() && s[:4]+"-"+s[4:6]+"-"+s[6:] != d.String() {
			t.Fatalf("%q is read as %s", s, d)
		}
	})
}
