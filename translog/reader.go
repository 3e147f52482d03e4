package translog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/errgroup"
)

// Reader reads the objects of one log, unverified. Those of [Dir] and [HTTP]
// read nothing that [CheckObject] refuses, nor more than it allows; return an
// error that is fs.ErrNotExist where there is no such object; and take a
// partial tile from the whole one where only that is there.
type Reader = torchwood.TileReader

// Dir reads a log from a folder, which must be there.
func Dir(path string) (Reader, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is not the folder of a log", path)
	}
	return &objects{parallel: 1, get: func(_ context.Context, object string, limit int) ([]byte, error) {
		return readFile(path, object, limit)
	}}, nil
}

// readFile follows no link out of the folder.
func readFile(dir, object string, limit int) ([]byte, error) {
	f, err := os.OpenInRoot(dir, filepath.FromSlash(object))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%w: %s is not a file", ErrDamaged, object)
	}
	return readAll(f, object, info.Size(), limit)
}

// readAll reads an object that says to have size bytes, or -1.
func readAll(r io.Reader, object string, size int64, limit int) ([]byte, error) {
	if size > int64(limit) {
		return nil, fmt.Errorf("%w: %s has more than %d bytes", ErrDamaged, object, limit)
	}
	var b bytes.Buffer
	b.Grow(int(max(size, 0)) + bytes.MinRead)
	if _, err := b.ReadFrom(io.LimitReader(r, int64(limit)+1)); err != nil {
		return nil, fmt.Errorf("reading %s: %w", object, err)
	}
	if b.Len() > limit {
		return nil, fmt.Errorf("%w: %s has more than %d bytes", ErrDamaged, object, limit)
	}
	return b.Bytes(), nil
}

// How a web server is asked: an attempt takes at most httpTimeout, and after
// each pause it is asked again where it was busy or could not be reached.
const (
	httpTimeout  = 30 * time.Second
	httpParallel = 8
)

var httpPauses = []time.Duration{200 * time.Millisecond, time.Second}

// HTTP reads a log from a web server, where its objects lie under prefix, an
// http or https URL. Redirects are not followed. Nothing that the server says
// is believed: whom to connect to and to trust with the questions is a matter
// of the client, of which nil is http.DefaultClient.
func HTTP(client *http.Client, prefix string) (Reader, error) {
	u, err := url.Parse(prefix)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%.200q is not the http or https URL of a log", prefix)
	}
	if client == nil {
		client = http.DefaultClient
	}
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &objects{parallel: httpParallel, get: func(ctx context.Context, object string, limit int) ([]byte, error) {
		at := u.JoinPath(object).String()
		for _, pause := range httpPauses {
			b, again, err := fetch(ctx, &own, at, object, limit)
			if err == nil || !again {
				return b, err
			}
			select {
			case <-ctx.Done():
				return nil, err
			case <-time.After(pause):
			}
		}
		b, _, err := fetch(ctx, &own, at, object, limit)
		return b, err
	}}, nil
}

// fetch asks once; again says that it may help to ask again.
func fetch(ctx context.Context, client *http.Client, at, object string, limit int) (b []byte, again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, httpTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, false, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, true, err
	}
	defer resp.Body.Close()
	switch code := resp.StatusCode; {
	case code == http.StatusOK:
		b, err := readAll(resp.Body, object, resp.ContentLength, limit)
		return b, err != nil && !errors.Is(err, ErrDamaged), err
	case code == http.StatusNotFound || code == http.StatusGone:
		return nil, false, &fs.PathError{Op: "get", Path: at, Err: fs.ErrNotExist}
	default:
		return nil, code >= 500 || code == http.StatusTooManyRequests, fmt.Errorf("get %s: the server says %s", at, resp.Status)
	}
}

// objects makes a Reader of a way to get an object of at most limit bytes.
type objects struct {
	get      func(ctx context.Context, object string, limit int) ([]byte, error)
	parallel int
}

// ReadTiles returns the data of each tile, of exactly the size of its width.
func (o *objects) ReadTiles(ctx context.Context, tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(o.parallel)
	for i, t := range tiles {
		group.Go(func() (err error) {
			data[i], err = o.tile(ctx, t)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return data, nil
}

// SaveTiles does nothing: nothing is kept.
func (o *objects) SaveTiles([]tlog.Tile, [][]byte) {}

// ReadEndpoint returns any other object.
func (o *objects) ReadEndpoint(ctx context.Context, path string) ([]byte, error) {
	limit, err := CheckObject(path)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return o.get(ctx, path, limit)
}

func (o *objects) tile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	if t.H != torchwood.TileHeight || t.W < 1 || t.W > torchwood.TileWidth || t.L < -1 || t.N < 0 {
		return nil, fmt.Errorf("there is no tile %+v in a log", t)
	}
	b, err := o.exactly(ctx, t)
	if t.W < torchwood.TileWidth && errors.Is(err, fs.ErrNotExist) {
		whole := t
		whole.W = torchwood.TileWidth
		w, wholeErr := o.exactly(ctx, whole)
		if errors.Is(wholeErr, fs.ErrNotExist) {
			return nil, err // names what was asked for
		}
		if wholeErr != nil {
			return nil, wholeErr
		}
		return w[:t.W*unit(t)], nil
	}
	return b, err
}

func (o *objects) exactly(ctx context.Context, t tlog.Tile) ([]byte, error) {
	path, size := torchwood.TilePath(t), t.W*unit(t)
	b, err := o.ReadEndpoint(ctx, path)
	if err == nil && len(b) != size {
		return nil, fmt.Errorf("%w: %s has %d bytes, not %d", ErrDamaged, path, len(b), size)
	}
	return b, err
}
