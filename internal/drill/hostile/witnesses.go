package hostile

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/waypost/waypost"
)

// witnessDoor is where a witness of either kind is asked: one that stands alone, and that of a
// key holder, at its public door.
type witnessDoor struct {
	name, url string
	client    *http.Client
}

func (p *play) witnessDoors() []witnessDoor {
	alone, holder := p.doors["witness"], p.doors["public of holder"]
	return []witnessDoor{
		{"the witness that stands alone", "https://" + alone.addr, unhurried(alone.clients[0])},
		{"a key holder's witness", "https://" + holder.addr + "/witness", unhurried(holder.clients[0])},
	}
}

// fuzzWitnesses sends checkpoints of the hub's own log, which it has signed, with one thing
// changed in the request or in the note, to both kinds of witnesses. Each must also cosign
// what is good, or its refusals would say nothing.
func (p *play) fuzzWitnesses(ctx context.Context, r *result) {
	draw := rand.New(rand.NewPCG(p.stage.Seed, 77))
	for _, w := range p.witnessDoors() {
		good := false
		for range p.stage.Size.Pick(1, 20, 1000) {
			last, size, err := w.last(ctx, p.origin)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				r.wrongf("%s does not say what it cosigned last: %v", w.name, err)
				break
			}
			// It may go on to the next checkpoint meanwhile, and may be asked again.
			for end := time.Now().Add(lastPatience); err == nil && !good && ctx.Err() == nil && time.Now().Before(end); {
				status, _ := w.add(ctx, fmt.Appendf(nil, "old %d\n\n%s", size, last))
				if good = status == http.StatusOK; !good {
					last, size, err = w.last(ctx, p.origin)
				}
			}
			if err != nil {
				break
			}
			for _, body := range badCheckpoints(draw, last, size) {
				w.refuses(ctx, r, body)
			}
		}
		if !good {
			r.wrongf("%s cosigns nothing", w.name)
		} else {
			r.count("cosigned, being good")
		}
	}
}

// refuses sends what the witness must refuse, in words and not by a fault.
func (w witnessDoor) refuses(ctx context.Context, r *result, body []byte) {
	status, err := w.add(ctx, body)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		r.count("cut off")
	case status == http.StatusOK || status == http.StatusInternalServerError:
		r.count(fmt.Sprintf("STATUS %d", status))
		r.wrongf("%s answers %d to %.60q", w.name, status, body)
	default:
		r.count(fmt.Sprintf("refused with status %d", status))
	}
}

// last is the checkpoint that was cosigned last of a log, and its size.
func (w witnessDoor) last(ctx context.Context, origin string) (note string, size int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"/last/"+origin, nil)
	if err != nil {
		return "", 0, err
	}
	res, err := w.client.Do(req)
	if err != nil {
		return "", 0, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil || res.StatusCode != http.StatusOK {
		return "", 0, waypost.Errorf(waypost.Unavailable, "status %d", res.StatusCode).WithCause(err)
	}
	_, err = fmt.Sscanf(string(raw), origin+"\n%d\n", &size)
	return string(raw), size, err
}

// add asks for a cosignature.
func (w witnessDoor) add(ctx context.Context, body []byte) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+"/add-checkpoint", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	res, err := w.client.Do(req)
	if err != nil {
		return 0, err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20))
	return res.StatusCode, res.Body.Close()
}

// badCheckpoints are requests over a good checkpoint none of which may be cosigned.
func badCheckpoints(draw *rand.Rand, note string, size int) (all [][]byte) {
	text, signatures, _ := strings.Cut(note, "\n\n")
	lines := strings.Split(text, "\n")
	with := func(head string, n string) { all = append(all, []byte(head+"\n\n"+n)) }
	is := fmt.Sprintf("old %d", size)
	for _, head := range []string{
		"", "old", "old -1", "old +1", "old 01", "old 1e9", "old 99999999999999999999", fmt.Sprintf("old %d", uint64(1)<<62), fmt.Sprintf("old %d", size+1), " " + is,
		is + "\n" + strings.Repeat("A", 43) + "=", is + "\nnot base64", is + strings.Repeat("\n"+strings.Repeat("A", 43)+"=", 64), is + "\r",
	} {
		with(head, note)
	}
	for _, other := range []string{
		text, text + "\n\n", "\n\n" + signatures, signatures,
		strings.Replace(note, lines[0], "waypost.test/nobody/1", 1), strings.Replace(note, lines[0], "", 1), strings.Replace(note, lines[0], strings.Repeat("a", 300), 1),
		strings.Replace(note, "\n"+lines[1]+"\n", fmt.Sprintf("\n%d\n", size+1), 1), strings.Replace(note, "\n"+lines[1]+"\n", "\n0\n", 1), strings.Replace(note, "\n"+lines[1]+"\n", "\n-1\n", 1),
		strings.Replace(note, lines[2], strings.Repeat("A", 43)+"=", 1), strings.Replace(note, "— ", "- ", 1), strings.Repeat("x", 70<<10),
	} {
		with(is, other)
	}
	altered := []byte(note)
	altered[draw.IntN(len(text))] ^= 1 << draw.IntN(8)
	with(is, string(altered))
	return append(all, random(draw, 64), nil, []byte(is))
}
