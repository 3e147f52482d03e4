package gateway_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/gateway"
)

// FuzzSecondLeg: whatever a member names as an applicant, with whatever opened
// blinds, is judged without a panic, and nothing but the person of the ticket
// passes.
func FuzzSecondLeg(f *testing.F) {
	p := waypost.Person{Family: "OKONKWO", Given: "INES", Born: waypost.Date{Year: 1988, Month: 4, Day: 9}}
	ticket, honest, err := gateway.HonestSecondLeg(p)
	if err != nil {
		f.Fatal(err)
	}
	if err := gateway.CheckProbes(ticket, p, honest); err != nil {
		f.Fatalf("the honest leg is refused: %v", err)
	}
	raw, err := proto.Marshal(honest)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(raw[:len(raw)/2])
	f.Add([]byte{})
	f.Add([]byte("\x12\x04\x0a\x02\xff\xfe"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var leg waypostv1.SecondLeg
		if proto.Unmarshal(b, &leg) != nil {
			return
		}
		who, err := gateway.ApplicantFromProto(leg.Applicant)
		if err != nil {
			return
		}
		if gateway.CheckProbes(ticket, who.Person, &leg) == nil && !gateway.SameNameKeys(who.Person, p) {
			t.Error("a leg for another person passes")
		}
	})
}

// FuzzReadable: what another member writes is fit for a screen, and short.
func FuzzReadable(f *testing.F) {
	for _, text := range []string{"plain", "\x1b[2J", "a\x00b", "\u202egpj.exe", "é", "\xff"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got := gateway.Readable(text); !gateway.Printable(got) || len(got) > 800 {
			t.Errorf("%q becomes %q", text, got)
		}
	})
}
