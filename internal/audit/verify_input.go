package audit

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/translog"
)

// ReadTrusted verifies roster files, oldest first, from the governance in a
// file.
func ReadTrusted(governanceFile string, rosterFiles []string) ([]*roster.Roster, error) {
	trusted, err := readGovernance(governanceFile)
	if err != nil {
		return nil, err
	}
	signed, err := readFiles(rosterFiles)
	if err != nil {
		return nil, err
	}
	return ReadRosters(trusted, signed...)
}

// FromPlaces returns the options to verify single logs, wherever a copy of them
// lies: each place is a folder or an http or https URL. Whose log it is, its
// checkpoint says; what that is worth, Verify. At a member's own address the
// certificate is the one that the roster pins.
func FromPlaces(ctx context.Context, rosters []*roster.Roster, places []string) (Options, error) {
	o := Options{Rosters: rosters, Now: time.Now()}
	for _, place := range places {
		var reader translog.Reader
		var err error
		if strings.HasPrefix(place, "http://") || strings.HasPrefix(place, "https://") {
			reader, err = translog.HTTP(doorAt(rosters[len(rosters)-1], place), place)
		} else {
			reader, err = translog.Dir(place)
		}
		if err != nil {
			return o, err
		}
		note, err := reader.ReadEndpoint(ctx, "checkpoint")
		if err != nil {
			return o, err
		}
		origin, _, _ := bytes.Cut(note, []byte("\n"))
		parts := strings.Split(string(origin), "/")
		if len(parts) < 3 {
			return o, waypost.Errorf(waypost.InvalidArgument, "%s has no checkpoint of a log of an exchange", place)
		}
		o.Sources = append(o.Sources, Source{Member: parts[len(parts)-2], Instance: parts[len(parts)-1], Reader: reader})
	}
	return o, nil
}

// doorAt returns a client for the member whose public address a URL begins
// with, or nil.
func doorAt(r *roster.Roster, url string) *http.Client {
	for _, m := range r.Members {
		if m.Public != "" && strings.HasPrefix(url, strings.TrimSuffix(m.Public, "/")+"/") {
			return pinnedClient(m)
		}
	}
	return nil
}
