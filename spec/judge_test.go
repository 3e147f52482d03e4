package spec_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/follow"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/translog"
)

// question is one thing to judge: what verify.py reads as a line, and what a
// vector in cases.json is. See spec/README.md.
type question struct {
	Name  string
	Check string
	Data  []byte
	With  with
	OK    bool
}

// MarshalJSON writes data that is text as text, for people.
func (q question) MarshalJSON() ([]byte, error) {
	doc := struct {
		Name  string `json:"name,omitempty"`
		Check string `json:"check"`
		Text  string `json:"text,omitempty"`
		Data  []byte `json:"data,omitempty"`
		With  with   `json:"with,omitzero"`
		OK    bool   `json:"ok"`
	}{q.Name, q.Check, "", q.Data, q.With, q.OK}
	if utf8.Valid(q.Data) && slices.Contains([]string{"body", "entry", "checkpoint", "proof", "roster", "chain", "evidence"}, q.Check) {
		doc.Text, doc.Data = string(q.Data), nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(doc)
	return b.Bytes(), err
}

type with struct {
	Key        string      `json:"key,omitempty"`     // Ed25519, hex
	Message    string      `json:"message,omitempty"` // hex
	Recipient  string      `json:"recipient,omitempty"`
	Index      int64       `json:"index,omitempty"`
	OldSize    int64       `json:"old_size,omitempty"`
	Size       int64       `json:"size,omitempty"`
	Root       string      `json:"root,omitempty"` // hex
	Proof      []string    `json:"proof,omitempty"`
	Policy     *policyJSON `json:"policy,omitempty"`
	Role       string      `json:"role,omitempty"`
	Governance string      `json:"governance,omitempty"` // JSON
	Old        string      `json:"old,omitempty"`        // the roster before
	At         time.Time   `json:"at,omitzero"`
	// Keys are data keys by their id, hex.
	Keys map[string]string `json:"keys,omitempty"`
}

type policyJSON struct {
	Log    string      `json:"log"`
	Groups []groupJSON `json:"groups"`
}

type groupJSON struct {
	Name      string   `json:"name"`
	Need      int      `json:"need"`
	Witnesses []string `json:"witnesses"`
}

func (p policyJSON) policy() (policy translog.Policy, err error) {
	if policy.Log, err = note.NewVerifier(p.Log); err != nil {
		return policy, err
	}
	policy.Origin = policy.Log.Name()
	for _, g := range p.Groups {
		group := translog.Group{Name: g.Name, Need: g.Need}
		for _, key := range g.Witnesses {
			w, err := translog.WitnessVerifier(key)
			if err != nil {
				return policy, err
			}
			group.Witnesses = append(group.Witnesses, w)
		}
		policy.Groups = append(policy.Groups, group)
	}
	return policy, nil
}

func (w with) key() ed25519.PublicKey {
	b, _ := hex.DecodeString(w.Key)
	return b
}

func (w with) root() (h tlog.Hash) {
	b, _ := hex.DecodeString(w.Root)
	copy(h[:], b)
	return h
}

func (w with) proof() (hashes []tlog.Hash, err error) {
	for _, s := range w.Proof {
		h, err := tlog.ParseHash(s)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, h)
	}
	return hashes, nil
}

func (w with) governance() (g roster.Governance, err error) {
	return g, json.Unmarshal([]byte(w.Governance), &g)
}

// judge is what the Go program says.
func judge(q question) error {
	check, ok := judges[q.Check]
	if !ok {
		return fmt.Errorf("there is no check %q", q.Check)
	}
	return check(q.Data, q.With)
}

var judges = map[string]func(data []byte, w with) error{
	"ed25519": func(data []byte, w with) error {
		message, err := hex.DecodeString(w.Message)
		if err == nil && !ed25519.Verify(w.key(), message, data) {
			err = errors.New("the signature does not verify")
		}
		return err
	},
	"ticket": func(data []byte, w with) error {
		t, err := waypost.ParseTicket(data)
		if err != nil {
			return err
		}
		return t.Verify(w.key())
	},
	"receipt": func(data []byte, w with) error {
		r, err := waypost.ParseReceipt(data)
		if err != nil {
			return err
		}
		return r.Verify(w.key())
	},
	"statement": func(data []byte, w with) error {
		s, err := seal.ParseStatement(data)
		if err != nil {
			return err
		}
		return s.Verify(w.key())
	},
	"encryption_key": func(data []byte, w with) error {
		_, err := seal.DecodePublicKey(data, w.Recipient, w.key(), w.At)
		return err
	},
	"envelope":   func(data []byte, _ with) error { _, err := seal.PeekEnvelope(data); return err },
	"candidates": func(data []byte, _ with) error { _, err := waypost.ParseCandidates(data); return err },
	"body":       func(data []byte, _ with) error { _, err := translog.ParseBody(data); return err },
	"entry":      func(data []byte, _ with) error { _, err := translog.ParseEntry(data); return err },
	"inclusion": func(data []byte, w with) error {
		proof, err := w.proof()
		if err != nil {
			return err
		}
		return translog.CheckLeaf(translog.Checkpoint{Tree: tlog.Tree{N: w.Size, Hash: w.root()}}, w.Index, data, proof)
	},
	"consistency": func(data []byte, w with) error {
		proof, err := w.proof()
		if err != nil || len(data) != tlog.HashSize {
			return errors.New("not a hash")
		}
		return tlog.CheckTree(proof, w.Size, w.root(), w.OldSize, tlog.Hash(data))
	},
	"checkpoint": func(data []byte, w with) error {
		policy, err := w.Policy.policy()
		if err != nil {
			return err
		}
		_, err = policy.Verify(data)
		return err
	},
	"proof": func(data []byte, w with) error {
		policy, err := w.Policy.policy()
		if err != nil {
			return err
		}
		p, err := translog.ParseProof(data)
		if err != nil {
			return err
		}
		_, _, err = p.Verify(policy, w.Role)
		return err
	},
	"roster": func(data []byte, w with) error {
		g, err := w.governance()
		if err != nil {
			return err
		}
		_, err = roster.ParseExpired(data, g)
		return err
	},
	"chain": func(data []byte, w with) error {
		g, err := w.governance()
		if err != nil {
			return err
		}
		view, err := roster.NewView(g, func() time.Time { return w.At }, []byte(w.Old))
		if err != nil {
			return err
		}
		return view.Update(data)
	},
	"evidence": func(data []byte, w with) error {
		g, err := w.governance()
		if err != nil {
			return err
		}
		e, err := follow.Parse(data)
		if err != nil {
			return err
		}
		_, err = e.Verify(g)
		return err
	},
}

// TestCases: what the vectors say is what this program says.
func TestCases(t *testing.T) {
	seen := make(map[string][2]int)
	for _, q := range cases(t) {
		err := judge(q)
		if (err == nil) != q.OK {
			t.Errorf("%s: %v, want ok %t", q.Name, err, q.OK)
		}
		n := seen[q.Check]
		if q.OK {
			n[0]++
		} else {
			n[1]++
		}
		seen[q.Check] = n
	}
	for check := range judges {
		if n := seen[check]; n[0] == 0 || n[1] == 0 {
			t.Errorf("%s: %d that hold and %d that do not; there must be some of each", check, n[0], n[1])
		}
	}
}
