package witness

import (
	"errors"
	"io"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/waypost/waypost/internal/store"
)

const (
	// maxRequests are handled at the same time; more are told to come again.
	maxRequests = 256
	// requestTime is how long a request may take to arrive.
	requestTime = 5 * time.Second
	sizeType    = "text/x.tlog.size"
)

// Handler serves add-checkpoint below a submission prefix that the caller has
// stripped, and the checkpoint that was cosigned last of a log.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", s.serveAdd)
	mux.HandleFunc("GET /last/{origin...}", s.serveLast)
	return mux
}

func (s *Server) serveAdd(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if recover() != nil {
			s.Log.Error("panic in a request", "stack", string(debug.Stack()))
			http.Error(w, "internal error", http.StatusInternalServerError)
		}
	}()
	// A server with longer limits than these may carry the handler too. One that
	// cannot set them has limits of its own.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(requestTime))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		http.Error(w, "a request is at most "+strconv.Itoa(maxBody)+" bytes", http.StatusRequestEntityTooLarge)
		return
	}
	if err != nil {
		http.Error(w, "the request did not arrive whole", http.StatusBadRequest)
		return
	}
	// Not before the body is here: those who send slowly would keep others out.
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	default:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many requests at once: try again in a second", http.StatusServiceUnavailable)
		return
	}
	line, err := s.add(r.Context(), body)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	// Who has left asks again.
	_, _ = w.Write(line)
}

// serveLast answers with the checkpoint that was cosigned last of a log, under the log's
// signature alone: who restores a log has to know what it must not contradict.
func (s *Server) serveLast(w http.ResponseWriter, r *http.Request) {
	origin := r.PathValue("origin")
	if _, ok := s.Logs(origin); !ok {
		s.refuse(w, r, errUnknown)
		return
	}
	var checkpoint []byte
	err := s.DB.Read(r.Context(), func(tx *store.Tx) error {
		return tx.Row(`SELECT checkpoint FROM witness_log WHERE origin = $1`, origin).Scan(&checkpoint)
	})
	if errors.Is(err, store.ErrNoRows) {
		err = errUnknown
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(checkpoint) // who has left asks again
}

// refuse answers with the status that C2SP tlog-witness names. What went wrong
// in here is no business of the caller.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if known, ok := errors.AsType[*conflict](err); ok {
		w.Header().Set("Content-Type", sizeType)
		w.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(w, strconv.FormatInt(known.size, 10)+"\n")
		return
	}
	for _, refusal := range []struct {
		err    error
		status int
	}{
		{errMalformed, http.StatusBadRequest},
		{errOldSize, http.StatusBadRequest},
		{errUnknown, http.StatusNotFound},
		{errUnsigned, http.StatusForbidden},
		{errProof, http.StatusUnprocessableEntity},
		{errPace, http.StatusTooManyRequests},
	} {
		if errors.Is(err, refusal.err) {
			http.Error(w, refusal.err.Error(), refusal.status)
			return
		}
	}
	if r.Context().Err() == nil {
		s.Log.Error("a checkpoint was not cosigned", "cause", err)
	}
	http.Error(w, "internal error", http.StatusInternalServerError)
}
