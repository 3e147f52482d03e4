package gateway

import (
	"testing"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
)

// TestUnasked: a search is pointed at where no question has come for an hour, for a day,
// and by who searched.
func TestUnasked(t *testing.T) {
	db, err := store.Open(t.Context(), "sqlite:"+t.TempDir()+"/gateway.db", "gateway")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	now := time.Unix(1_800_000_000, 0)
	s := &Server{Deps: Deps{DB: db, Now: func() time.Time { return now }}}
	if err := db.Write(t.Context(), func(tx *store.Tx) error {
		for i, n := range []struct {
			asking waypost.Jurisdiction
			state  int
			ago    time.Duration
		}{
			{"AZ", noticed, 2 * time.Hour}, {"AZ", noticed, 24 * time.Hour}, {"NV", noticed, time.Hour},
			{"AZ", noticed, 59 * time.Minute}, // its question may come yet
			{"NY", declined, 2 * time.Hour}, {"NY", continued, 2 * time.Hour}, {"NY", disclosed, 2 * time.Hour},
			{"NY", noticed, 26 * time.Hour},
		} {
			if _, err := tx.Exec(`INSERT INTO notice (ticket, reference, handle, asking, state, agreed, signed, question, told, applicant, tau, statement, at)
				VALUES ($1, $1, $1, $2, $3, 0, $1, $1, '', $1, $1, $1, $4)`, []byte{byte(i)}, n.asking, n.state, now.Add(-n.ago).Unix()); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	got, err := s.Unasked(t.Context())
	if err != nil || len(got) != 2 || got["AZ"] != 2 || got["NV"] != 1 {
		t.Errorf("unasked: %v (%v), want 2 of AZ and 1 of NV", got, err)
	}
}
