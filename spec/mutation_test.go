package spec_test

import (
	"bytes"
	"crypto/ed25519"
	"flag"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

var (
	mutations = flag.Int("mutations", 400, "how many altered vectors both verifiers judge")
	seed      = flag.Uint64("seed", 1, "of what is altered")
)

// TestBothAgree puts altered vectors, half of them signed again, to this
// program and to the second verifier: they accept and refuse the same.
func TestBothAgree(t *testing.T) {
	t.Parallel()
	python(t)
	rng := rand.New(rand.NewPCG(*seed, 0))
	all := cases(t)
	var questions []question
	for range *mutations {
		questions = append(questions, mutate(t, rng, all[rng.IntN(len(all))]))
	}
	accepted := 0
	for i, v := range judgeToo(t, questions) {
		q := questions[i]
		err := judge(q)
		if err == nil {
			accepted++
		}
		if (err == nil) != v.OK && !aboutShares(err) {
			t.Errorf("%s, altered: this program says %v, the second verifier %t %s\n%q", q.Name, err, v.OK, v.Why, q.Data)
		}
	}
	t.Logf("of %d altered vectors %d hold", len(questions), accepted)
}

// aboutShares: the second verifier has no arithmetic on ristretto255.
func aboutShares(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "not a group element") || strings.Contains(err.Error(), "do not combine to the group key"))
}

// mutate alters the data of a vector. What is signed by a key of the vectors is
// altered before it is signed, every second time.
func mutate(t testing.TB, rng *rand.Rand, q question) question {
	t.Helper()
	signers := map[string]string{"ticket": "AZ identity", "receipt": "keyholder-2 identity", "statement": "AZ identity", "encryption_key": "CA identity"}
	signer := signers[q.Check]
	switch again := rng.IntN(2) == 0; {
	case again && signer != "" && len(q.Data) > 64:
		payload := alter(rng, q.Data[:len(q.Data)-64])
		q.Data = append(payload, ed25519.Sign(key(signer), payload)...)
	case again && (q.Check == "roster" || q.Check == "chain"):
		text := q.Data
		if end := bytes.LastIndex(text, []byte("\n\n— ")); end >= 0 {
			text = text[:end+1]
		}
		q.Data = signText(t, string(alterText(rng, string(text))), officers[:2]...)
	case q.Check == "body" || q.Check == "entry" || q.Check == "evidence" || q.Check == "proof":
		q.Data = alterText(rng, string(q.Data))
	default:
		q.Data = alter(rng, q.Data)
	}
	return q
}

// alter changes one or two bytes, or cuts, or adds.
func alter(rng *rand.Rand, data []byte) []byte {
	b := bytes.Clone(data)
	for range 1 + rng.IntN(2) {
		if len(b) == 0 {
			return []byte{byte(rng.IntN(256))}
		}
		i := rng.IntN(len(b))
		switch rng.IntN(5) {
		case 0:
			b = slices.Delete(b, i, i+1)
		case 1:
			b = slices.Insert(b, i, byte(rng.IntN(256)))
		case 2:
			b[i] = byte(rng.IntN(256))
		default:
			b[i] ^= 1 << rng.IntN(8)
		}
	}
	return b
}

// alterText moves, repeats, removes or rewrites what stands between quotes,
// commas and line ends, or a character.
func alterText(rng *rand.Rand, text string) []byte {
	parts := strings.SplitAfter(text, "\n")
	if len(parts) < 4 {
		parts = strings.SplitAfter(text, ",")
	}
	i, j := rng.IntN(len(parts)), rng.IntN(len(parts))
	switch rng.IntN(7) {
	case 0:
		parts[i], parts[j] = parts[j], parts[i]
	case 1:
		parts = slices.Insert(parts, i, parts[j])
	case 2:
		parts = slices.Delete(parts, i, i+1)
	case 3:
		parts[i] = parts[j]
	case 4:
		parts[i] = words(rng, parts[i])
	default:
		return alter(rng, []byte(text))
	}
	return []byte(strings.Join(parts, ""))
}

// words puts something else of the same look in the place of a value.
func words(rng *rand.Rand, part string) string {
	values := []string{
		`""`, `"0"`, "0", "1", "2", "255", "256", "-1", "1e3", "null", "true", "false", "[]", "{}", `"AZ"`, `"hub"`, `"\u0041"`, `"é"`, `"\u2028"`, "\"\u2028\"",
		`"https://hub.example"`, `"https://Hub.example:1"`, `"https://hub.example:99999"`, `"https://[::1]:7443"`, `"https://a b:1"`, `"http://127.0.0.1:1/x"`,
		`"2026-03-04T12:00:00Z"`, `"2026-03-04T12:00:60Z"`, `"2026-03-04T24:00:00Z"`, `"0001-01-01T00:00:00Z"`, `"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="`,
		"9223372036854775807", "18446744073709551615", "4294967296", `"a\tb"`, "\"a\x7fb\"",
	}
	before, rest, found := strings.Cut(part, ":")
	if !found {
		before, rest = "", part
	} else {
		before += ": "
	}
	end := ""
	if trimmed := strings.TrimRight(rest, ",\n"); trimmed != rest {
		end = rest[len(trimmed):]
	}
	return before + values[rng.IntN(len(values))] + end
}
