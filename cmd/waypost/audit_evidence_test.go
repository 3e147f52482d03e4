package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAuditEvidence: evidence is judged from two files, by anybody.
func TestAuditEvidence(t *testing.T) {
	run := func(c evidenceCommand) (string, error) {
		var out bytes.Buffer
		err := c.Run(&session{ctx: context.Background(), out: &out})
		return out.String(), err
	}
	good := evidenceCommand{File: "testdata/evidence/evidence.json", Governance: "testdata/evidence/governance.json"}
	out, err := run(good)
	if err != nil || !strings.HasPrefix(out, "The evidence holds against keyholder-2:\nkeyholder-2 signed that its action evaluate under ticket ") ||
		!strings.HasSuffix(out, "; another leaf stands there.\n") {
		t.Errorf("%q, %v", out, err)
	}
	asJSON := good
	asJSON.JSON = true
	if out, err := run(asJSON); err != nil || !strings.Contains(out, `"member": "keyholder-2"`) || !strings.Contains(out, `"claim": "receipt_without_leaf"`) {
		t.Errorf("%q, %v", out, err)
	}
	content, err := os.ReadFile(good.File)
	if err != nil {
		t.Fatal(err)
	}
	altered := good
	altered.File = filepath.Join(t.TempDir(), "altered.json")
	leaf := bytes.Index(content, []byte(`"leaf":"`)) + len(`"leaf":"`)
	content[leaf] ^= 1
	if err := os.WriteFile(altered.File, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := run(altered); err == nil || !strings.Contains(err.Error(), "shows nothing") {
		t.Errorf("altered: %v", err)
	}
	swapped := evidenceCommand{File: good.Governance, Governance: good.Governance}
	if _, err := run(swapped); err == nil {
		t.Error("a governance file is evidence")
	}
}
