package spec_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// python finds the interpreter. In CI it must be there.
func python(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("python3")
	if err == nil {
		err = exec.Command(path, "-c", "import sys; sys.exit(sys.version_info < (3, 11))").Run()
	}
	if err == nil {
		return path
	}
	if os.Getenv("CI") != "" {
		t.Fatal("python3, 3.11 or later, is needed for the second verifier: ", err)
	}
	t.Skip("without python3, 3.11 or later, the second verifier is not run: ", err)
	return ""
}

// run starts verify.py and returns what it says, and its exit code.
func run(t testing.TB, args ...string) (says string, code int) {
	t.Helper()
	return runIn(t, ".", args...)
}

func runIn(t testing.TB, dir string, args ...string) (says string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, python(t), append([]string{"verify.py"}, args...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if exit, ok := err.(*exec.ExitError); ok {
		return string(out), exit.ExitCode()
	}
	must(t, err)
	return string(out), 0
}

// verdict is what the second verifier answers.
type verdict struct {
	OK  bool   `json:"ok"`
	Why string `json:"why"`
}

// judgeToo puts the questions to the second verifier, all in one process.
func judgeToo(t testing.TB, questions []question) []verdict {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, python(t), "verify.py", "batch")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	written := make(chan error, 1)
	go func() {
		enc := json.NewEncoder(in)
		for _, q := range questions {
			if err := enc.Encode(q); err != nil {
				written <- err
				return
			}
		}
		written <- in.Close()
	}()
	var verdicts []verdict
	for dec := json.NewDecoder(bufio.NewReader(out)); ; {
		var v verdict
		if err := dec.Decode(&v); err == io.EOF {
			break
		} else if err != nil {
			t.Error(err)
			break
		}
		verdicts = append(verdicts, v)
	}
	must(t, <-written)
	must(t, cmd.Wait())
	if len(verdicts) != len(questions) {
		t.Fatalf("%d answers to %d questions", len(verdicts), len(questions))
	}
	return verdicts
}

// TestPython: the second verifier, written from these pages, finds that every
// vector holds.
func TestPython(t *testing.T) {
	t.Parallel()
	says, code := run(t, "vectors")
	if code != 0 || !strings.HasSuffix(says, "Everything holds.\n") {
		t.Errorf("exit %d\n%s", code, says)
	}
}

// TestPythonCanFail: a vector that was altered is named.
func TestPythonCanFail(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, part := range []string{"waypost_verify", "vectors"} {
		must(t, os.CopyFS(filepath.Join(dir, part), os.DirFS(part)))
	}
	write(t, dir, "verify.py", read(t, ".", "verify.py"))
	few := cases(t)[:3]
	few[0].OK, few[1].OK = false, true
	content, err := json.Marshal(map[string]any{"cases": few})
	must(t, err)
	write(t, dir, "vectors/cases.json", content)
	for file, change := range map[string][2]string{
		"ledger.json": {`"commitment": "c187`, `"commitment": "c188`},
		"signed.json": {`"kind": "publish"`, `"kind": "check"`},
		"roster.hash": {"", "0"},
	} {
		before := string(read(t, "vectors", file))
		write(t, dir, "vectors/"+file, []byte(strings.Replace(before, change[0], change[1], 1)))
	}
	message := readMessage(t)
	message.Statement[100] ^= 1
	content, err = json.Marshal(message)
	must(t, err)
	write(t, dir, "vectors/message.json", content)
	says, code := runIn(t, dir, "vectors")
	for _, want := range []string{
		"REFUSED cases.json: Ed25519: was accepted", "REFUSED cases.json: Ed25519: the first byte is altered: the signature does not verify",
		"REFUSED ledger.json: a commitment is another", "REFUSED signed.json: the kind of a ticket is another", "REFUSED roster.hash: the hash is another",
		"REFUSED message.json: the statement is another", "6 REFUSED.",
	} {
		if !strings.Contains(says, want) {
			t.Errorf("nothing is said of %q", want)
		}
	}
	if code != 1 || t.Failed() {
		t.Errorf("exit %d\n%s", code, says)
	}
}
