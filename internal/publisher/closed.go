package publisher

import (
	"context"
	"log/slog"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost/translog"
)

// Lay puts what came back of a closed log where others read it: the tiles and bundles of
// the tree, and the counters, without a checkpoint. The successor says which tree it is;
// a checkpoint that is smaller than what the world has seen would be a rollback. Where the
// folder still shows the whole log, of seen entries, it is left as it is, and whole is
// true: then nothing of the ledger is lost.
//
// The source is the restored journal's. A crash is followed by calling it again.
func Lay(ctx context.Context, c Config, source Source, tree tlog.Tree, seen int64, log *slog.Logger) (whole bool, err error) {
	place, err := Place(c.Origin)
	if err != nil {
		return false, err
	}
	f := openFolder(filepath.Join(c.Dir, filepath.FromSlash(place)), nil)
	p := &Publisher{
		config: c, Deps: Deps{Source: source, Log: log}, folder: f, pruner: newPruner(f), batch: batchLeaves,
		keys: make(map[translog.KeyID]bool), signed: tree, edge: new(edge), journal: tree.N,
	}
	shown, _, err := p.readCheckpoint("checkpoint")
	if err == nil && shown.N > 0 && shown.N == seen {
		return true, nil
	}
	for _, name := range []string{"checkpoint", "signed"} {
		if err := f.remove(name); err != nil {
			return false, err
		}
	}
	for p.edge.size < tree.N {
		if err := p.extend(ctx); err != nil {
			return false, err
		}
	}
	p.pruner.watch(tree.N)
	if err := p.pruner.prune(tree.N); err != nil {
		return false, err
	}
	if err := p.count(ctx); err != nil {
		return false, err
	}
	return false, p.declare(ctx)
}
