package witness

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/translog"
)

// maxAnswer is the largest answer that is read, in bytes: room for cosignatures
// of several types, some of which are long.
const maxAnswer = 16 << 10

// ErrInconsistent is wrapped by the error of [Client.Cosign] where the witness
// does not see the new tree as a continuation of the one it knows, although it
// knows one of the old size.
var ErrInconsistent = errors.New("the witness knows another history of this log")

// ConflictError says that the last tree which the witness has cosigned is not
// the one that the request continued.
type ConflictError struct {
	// Size is that of its last tree, in leaves. Where it equals the old size of
	// the request, the trees differ: the witness has seen a fork.
	Size int64
}

// Error says which size is known.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("the last tree that the witness has cosigned has size %d", e.Size)
}

// Client asks one witness: one of this package or any other that speaks C2SP
// tlog-witness v1.
type Client struct {
	url    string // of add-checkpoint
	last   *url.URL
	key    note.Verifier
	client http.Client
}

// Dial returns a client of the witness with this submission prefix ("https://...")
// and verifier key (type cosignature/v1). Nothing is connected until the first
// call. A nil client is http.DefaultClient. A cosignature stands for itself: TLS
// adds no more than that the witness is found.
func Dial(prefix, vkey string, client *http.Client) (*Client, error) {
	key, err := translog.WitnessVerifier(vkey)
	if err != nil {
		return nil, invalid("%v", err)
	}
	u, err := url.Parse(prefix)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, invalid("the submission prefix of %s is not an https URL", key.Name())
	}
	if client == nil {
		client = http.DefaultClient
	}
	c := &Client{url: u.JoinPath("add-checkpoint").String(), last: u.JoinPath("last"), key: key, client: *client}
	// A witness is where the roster says, and nowhere else.
	c.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c, nil
}

// Name is that of the witness's key.
func (c *Client) Name() string { return c.key.Name() }

// Cosign asks for a cosignature of the signed checkpoint. old is the size of the
// tree that the witness cosigned last, or 0, and proof the consistency proof
// from there, empty where old is 0 or the same size. It returns the cosignature,
// verified, as one signature line with its newline. The error is a
// *[ConflictError] where old is not what the witness has, wraps
// [ErrInconsistent] where the proof does not convince it, and otherwise is a
// waypost error in words.
func (c *Client) Cosign(ctx context.Context, old int64, proof tlog.TreeProof, checkpoint []byte) ([]byte, error) {
	body := request{old: old, proof: proof, note: checkpoint}.encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, waypost.Errorf(waypost.Unavailable, "the witness %s cannot be reached", c.Name()).WithCause(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, waypost.Errorf(waypost.Unavailable, "the witness %s did not finish its answer", c.Name()).WithCause(err)
	}
	if len(answer) > maxAnswer {
		return nil, c.nonsense()
	}
	if resp.StatusCode != http.StatusOK {
		return nil, c.refused(resp, answer)
	}
	line, ok := readCosignature(c.key, checkpoint, answer)
	if !ok {
		return nil, c.nonsense()
	}
	return line, nil
}

// Last returns the checkpoint of the log that the witness has cosigned last, under the
// log's signature alone, which is not verified here; nil where it knows none. Not every
// C2SP witness shows it.
func (c *Client) Last(ctx context.Context, origin string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.last.JoinPath(origin).String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, waypost.Errorf(waypost.Unavailable, "the witness %s cannot be reached", c.Name()).WithCause(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, waypost.Errorf(waypost.Unavailable, "the witness %s did not finish its answer", c.Name()).WithCause(err)
	case resp.StatusCode == http.StatusNotFound:
		return nil, nil
	case resp.StatusCode != http.StatusOK || len(answer) > maxBody:
		return nil, c.nonsense()
	}
	return answer, nil
}

func (c *Client) refused(resp *http.Response, answer []byte) error {
	switch resp.StatusCode {
	case http.StatusConflict:
		kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
		size, ok := readSize(answer)
		if err != nil || kind != sizeType || !ok {
			return c.nonsense()
		}
		return &ConflictError{size}
	case http.StatusUnprocessableEntity:
		return fmt.Errorf("%w: %s", ErrInconsistent, c.Name())
	case http.StatusNotFound:
		return waypost.Errorf(waypost.NotFound, "the witness %s does not know this log: its roster may be older, or it must be told of the log", c.Name())
	case http.StatusForbidden:
		return waypost.Errorf(waypost.PermissionDenied, "the witness %s does not admit the key that signed the checkpoint: its roster may be another", c.Name())
	}
	if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= http.StatusInternalServerError {
		return waypost.Errorf(waypost.Unavailable, "the witness %s is busy or out of order (HTTP status %d)", c.Name(), resp.StatusCode)
	}
	return waypost.Errorf(waypost.InvalidArgument, "the witness %s refused the request (HTTP status %d)", c.Name(), resp.StatusCode)
}

func (c *Client) nonsense() error {
	return waypost.Errorf(waypost.Unavailable, "the witness %s gave an answer that is not one of tlog-witness v1, or not under its key: check URL and key", c.Name())
}

// readSize reads the body of a conflict: a size and a newline.
func readSize(answer []byte) (int64, bool) {
	text, ok := strings.CutSuffix(string(answer), "\n")
	size, err := strconv.ParseInt(text, 10, 64)
	return size, ok && err == nil && size >= 0 && strconv.FormatInt(size, 10) == text
}

// readCosignature finds the cosignature by key in an answer, which may hold
// others. The answer becomes part of a signed note, so that it must not change
// what the note says.
func readCosignature(key note.Verifier, checkpoint, answer []byte) ([]byte, bool) {
	end := bytes.LastIndex(checkpoint, []byte("\n\n"))
	if end < 0 || bytes.HasPrefix(answer, []byte("\n")) || bytes.Contains(answer, []byte("\n\n")) {
		return nil, false
	}
	text := checkpoint[:end+1]
	n, err := note.Open(bytes.Join([][]byte{text, answer}, []byte("\n")), note.VerifierList(key))
	if err != nil || n.Text != string(text) {
		return nil, false
	}
	s := n.Sigs[0] // by the only key, which note.Open counts once
	raw, err := base64.StdEncoding.DecodeString(s.Base64)
	return fmt.Appendf(nil, "— %s %s\n", s.Name, base64.StdEncoding.EncodeToString(raw)), err == nil
}
