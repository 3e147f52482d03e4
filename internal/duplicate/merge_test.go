package duplicate

import (
	"context"
	"strings"
	"testing"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/errand"
)

// ender notes what it was asked to end.
type ender struct{ asked []string }

func (e *ender) Terminate(_ context.Context, req *waypostv1.TerminateRequest) error {
	e.asked = append(e.asked, "theirs "+req.Keep+" "+req.Reference+" "+req.Consent.Told)
	if len(e.asked) > 1 {
		return waypost.Errorf(waypost.AlreadyExists, "under way")
	}
	return nil
}

func (e *ender) EndOwn(_ context.Context, record string, kept waypost.Jurisdiction, consent *waypostv1.Consent) error {
	e.asked = append(e.asked, "own "+record+" "+string(kept)+" "+consent.Told)
	return nil
}

// TestMerge: once both states agree, the state whose card is kept has the other
// one ended, with what the resident was told; nothing happens before.
func TestMerge(t *testing.T) {
	w := newWorld(t, Config{})
	ends := &ender{}
	w.az.deps.Terminator = ends
	w.az.restart()
	w.ca.people["CA-1"] = waypost.Record{ID: "CA-1", Person: smith}
	check, reference := w.found(smith, "CA-1", waypost.Match)
	az, ctx := w.az.door()
	c, err := az.Open(ctx, &waypostv1.OpenCaseRequest{Check: hexOf(check[:]), Reference: hexOf(reference[:])})
	if err != nil {
		t.Fatal(err)
	}
	merge := &waypostv1.MergeCaseRequest{Id: c.Id, Told: "one card in all states; chose Arizona's", Language: "en"}
	w.quiet()
	w.decide(w.az, c.Id, Same, "")
	w.quiet()
	if _, err := az.Merge(ctx, merge); waypost.CodeOf(err) != waypost.InvalidArgument || len(ends.asked) > 0 {
		t.Errorf("before both agree: %v %v", err, ends.asked)
	}
	w.decide(w.ca, c.Id, Same, "")
	w.quiet()
	if a, b := w.both(c.Id); a.Keep != "AZ" || b.Keep != "AZ" || a.Next == "" || b.Next != "" {
		t.Errorf("proposed: %q and %q; next: %q and %q", a.Keep, b.Keep, a.Next, b.Next)
	}
	for what, bad := range map[string]*waypostv1.MergeCaseRequest{
		"nothing was told to the resident": {Id: c.Id},
		"overridden without a reason":      {Id: c.Id, Keep: "CA", Told: "told"},
		"a state that has no part in it":   {Id: c.Id, Keep: "NV", Told: "told", Text: "why not"},
	} {
		if _, err := az.Merge(ctx, bad); waypost.CodeOf(err) != waypost.InvalidArgument || len(ends.asked) > 0 {
			t.Errorf("%s: %v %v", what, err, ends.asked)
		}
	}
	done, err := az.Merge(ctx, merge)
	if err != nil || done.State != "closed" || len(ends.asked) != 1 || ends.asked[0] != "theirs new "+hexOf(reference[:])+" "+merge.Told {
		t.Fatalf("%v %v %q", done, err, ends.asked)
	}
	w.quiet()
	if _, b := w.both(c.Id); b.State != "closed" || !strings.Contains(b.Notes[len(b.Notes)-1].Text, "asked to end its card") {
		t.Errorf("CA: %v", b)
	}
	if _, err := az.Merge(ctx, merge); waypost.CodeOf(err) != waypost.InvalidArgument || len(ends.asked) != 1 {
		t.Errorf("merged twice: %v", err)
	}
}

// TestKeeps: the newest card is proposed, and both states propose the same.
func TestKeeps(t *testing.T) {
	for _, test := range []struct{ origin, az, ca, want string }{
		{fromCheck, "", "", "AZ"}, // the card for which the check was made
		{fromCheck, "", "2026-01-01", "AZ"},
		{fromCheck, "2020-01-01", "2021-01-01", "CA"},
		{fromCampaign, "", "", ""},
		{fromCampaign, "2020-01-01", "", ""},
		{fromCampaign, "2020-01-01", "2021-01-01", "CA"},
		{fromCampaign, "2021-01-02", "2021-01-01", "AZ"},
		{fromCampaign, "2021-01-01", "2021-01-01", ""},
	} {
		notes := []note{{author: "AZ", outcome: Same, number: 1, issued: test.az}, {author: "CA", outcome: Same, number: 1, issued: test.ca}}
		a := judge(notes, parties{"AZ", "CA", "AZ", test.origin})
		b := judge(notes, parties{"CA", "AZ", "AZ", test.origin})
		if a.keep != test.want || b.keep != test.want {
			t.Errorf("%v: %q and %q", test, a.keep, b.keep)
		}
	}
}

// TestMergeOwn: of two records of one state the one not kept is ended.
func TestMergeOwn(t *testing.T) {
	w := newWorld(t, Config{})
	ends := &ender{}
	w.ca.deps.Terminator = ends
	w.ca.restart()
	w.ca.people["CA-1"], w.ca.people["CA-2"] = waypost.Record{ID: "CA-1", Person: smith}, waypost.Record{ID: "CA-2", Person: smith}
	ca, ctx := w.ca.door()
	c, err := ca.Open(ctx, &waypostv1.OpenCaseRequest{Records: []string{"CA-1", "CA-2"}})
	if err != nil {
		t.Fatal(err)
	}
	w.decide(w.ca, c.Id, Same, "")
	if _, err := ca.Merge(ctx, &waypostv1.MergeCaseRequest{Id: c.Id, Told: "told"}); waypost.CodeOf(err) != waypost.InvalidArgument {
		t.Errorf("without a choice: %v", err)
	}
	done, err := ca.Merge(ctx, &waypostv1.MergeCaseRequest{Id: c.Id, Keep: "CA-2", Told: "told", Text: "the other has an old address"})
	if err != nil || done.State != "closed" || len(ends.asked) != 1 || ends.asked[0] != "own CA-1 CA told" {
		t.Errorf("%v %v %q", done, err, ends.asked)
	}
}

// camera gives portraits after a while.
type camera struct {
	asked map[errand.ID]int
	jpeg  []byte
}

func (c *camera) Portrait(_ context.Context, id errand.ID, _ PortraitWish) ([]byte, bool, error) {
	c.asked[id]++
	return c.jpeg, c.asked[id] > 1, nil
}

// TestPortraits: the two of the case and no others, so many times and no more.
func TestPortraits(t *testing.T) {
	w := newWorld(t, Config{Portraits: 2})
	cam := &camera{asked: make(map[errand.ID]int), jpeg: []byte("theirs")}
	w.az.deps.Portraits = cam
	w.az.restart()
	w.ca.people["CA-1"] = waypost.Record{ID: "CA-1", Person: smith}
	id := w.opened(smith, "CA-1")
	az, ctx := w.az.door()
	look := func(word string, code waypost.Code) {
		t.Helper()
		res, err := az.Portraits(ctx, &waypostv1.CasePortraitsRequest{Id: id})
		if waypost.CodeOf(err) != code || err == nil && (res.Word != word || len(res.Own) > 0) {
			t.Errorf("%v %v, want %s %s", res, err, word, code)
		}
	}
	look("pending", "")
	look("portrait", "")
	cam.jpeg = nil
	look("pending", "")
	look("declined", "")
	look("", waypost.QuotaExceeded)
	if len(cam.asked) != 2 {
		t.Errorf("%d errands", len(cam.asked))
	}
	w.quiet()
	if _, b := w.both(id); len(b.Notes) != 3 {
		t.Errorf("CA does not see that its portrait was asked for: %v", b.Notes)
	}
	ca, ctx := w.ca.door()
	if _, err := ca.Portraits(ctx, &waypostv1.CasePortraitsRequest{Id: id}); waypost.CodeOf(err) != waypost.PermissionDenied {
		t.Error(err)
	}
}
