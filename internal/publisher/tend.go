package publisher

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"

	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/translog"
)

// progress is what is done besides the tree; the file "progress".
type progress struct {
	Erased journal.Mark `json:"erased"` // the last erasure that sealed bundles show
}

func (p *Publisher) loadProgress() error {
	content, err := p.folder.read("progress")
	if errors.Is(err, fs.ErrNotExist) {
		return nil // all again: it can be repeated
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(content, &p.progress); err != nil {
		return fmt.Errorf("publisher: the file %s is damaged; remove it, it is made again: %w", p.folder.name("progress"), err)
	}
	return nil
}

func (p *Publisher) saveProgress() error {
	content, err := json.Marshal(p.progress)
	if err != nil {
		return err
	}
	return p.folder.write("progress", content)
}

// tend brings erasures and daily counters to the folder. Both come with an
// entry of their own, so that there is nothing to do where the journal has not
// grown.
func (p *Publisher) tend(ctx context.Context) error {
	if p.tended == p.journal {
		return nil
	}
	if err := p.erase(ctx); err != nil {
		return err
	}
	if err := p.count(ctx); err != nil {
		return err
	}
	if err := p.declare(ctx); err != nil {
		return err
	}
	p.tended = p.journal
	return nil
}

// erase empties what was erased in the sealed bundles. The leaves stay.
func (p *Publisher) erase(ctx context.Context) error {
	for {
		marks, err := p.Source.Erasures(ctx, p.progress.Erased, pageRows)
		if err != nil || len(marks) == 0 {
			return err
		}
		b := p.folder.batch()
		for n, entries := range byBundle(marks) {
			if err := p.blank(b, n, entries); err != nil {
				return errors.Join(err, b.abandon())
			}
		}
		if err := b.commit(); err != nil {
			return err
		}
		p.progress.Erased = marks[len(marks)-1]
		if err := p.saveProgress(); err != nil {
			return err
		}
	}
}

// after orders erasures.
func after(a, b journal.Mark) bool {
	return a.Erasure > b.Erasure || a.Erasure == b.Erasure && a.Entry > b.Entry
}

// byBundle are the places in each bundle that the marks name.
func byBundle(marks []journal.Mark) map[int64][]int {
	places := make(map[int64][]int)
	for _, m := range marks {
		n := int64(m.Entry / width)
		places[n] = append(places[n], int(m.Entry%width))
	}
	return places
}

// blank empties blobs of one bundle wherever it lies, whole or in part.
func (p *Publisher) blank(b *batch, n int64, entries []int) error {
	dir := translog.SealedPath(n, width) + ".p"
	names, err := p.folder.list(dir)
	if err != nil {
		return err
	}
	for _, name := range append(names, "") {
		file, w := translog.SealedPath(n, width), width
		if name != "" {
			file = path.Join(dir, name)
			if w, err = strconv.Atoi(name); err != nil {
				continue // left from a crash; never served, and pruned
			}
		}
		old, err := p.folder.read(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		blanked, err := blanked(old, w, entries)
		if err != nil {
			return fmt.Errorf("publisher: %s: %w", p.folder.name(file), err)
		}
		if !bytes.Equal(old, blanked) {
			if err := b.put(file, blanked); err != nil {
				return err
			}
		}
	}
	return nil
}

func blanked(bundle []byte, width int, entries []int) ([]byte, error) {
	blobs, err := translog.ParseSealed(bundle, width)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(bundle))
	for i, blob := range blobs {
		if slices.Contains(entries, i) {
			blob = nil
		}
		out = translog.AppendSealed(out, blob)
	}
	return out, nil
}

// count publishes the daily counters that are not in the folder yet.
func (p *Publisher) count(ctx context.Context) error {
	days, err := p.folder.list("counters")
	if err != nil {
		return err
	}
	last := ""
	for _, day := range days {
		if looseShape["counters"].MatchString("counters/" + day) {
			last = max(last, day)
		}
	}
	for {
		counters, err := p.Source.Counters(ctx, last, pageRows)
		if err != nil || len(counters) == 0 {
			return err
		}
		for _, c := range counters {
			if err := p.folder.write("counters/"+c.Day, c.Opened); err != nil {
				return err
			}
			last = c.Day
		}
	}
}

// declare publishes which logs this one has succeeded.
func (p *Publisher) declare(ctx context.Context) error {
	list, err := p.Source.Successions(ctx)
	if err != nil {
		return err
	}
	for _, d := range list {
		path := "successor/" + strconv.FormatInt(d.Log, 10)
		if there, err := p.folder.read(path); err == nil && bytes.Equal(there, d.Opened) {
			continue
		}
		if err := p.folder.write(path, d.Opened); err != nil {
			return err
		}
	}
	return nil
}

// restore begins a folder again that was taken away meanwhile.
func (p *Publisher) restore(cause error) error {
	signed, err := p.signedNote(p.signed, nil)
	if err != nil {
		return err
	}
	if err := p.folder.write("signed", signed); err != nil {
		return err
	}
	p.rebuild(cause)
	p.tended, p.confirmed = 0, nil
	return p.saveProgress()
}

// scrub compares one more whole bundle with the journal in each round, from
// the newest to the oldest and over again: an edited row is found though
// nothing that is published comes from it any more.
func (p *Publisher) scrub(ctx context.Context) error {
	if _, err := os.Lstat(p.folder.name("signed")); p.signed.N > 0 && errors.Is(err, fs.ErrNotExist) {
		return p.restore(err)
	}
	if p.scrubbed--; p.scrubbed < 0 {
		p.scrubbed = p.edge.size/width - 1
	}
	if p.scrubbed < 0 {
		return nil
	}
	err := p.compare(ctx, p.scrubbed, (p.scrubbed+1)*width)
	if errors.Is(err, errLost) {
		p.rebuild(err)
		return nil
	}
	return err
}
