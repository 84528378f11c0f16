package pusher

import (
	"errors"
	"fmt"
	"net/http"
)

// call is an authenticated call of the HTTP API.
type call struct {
	*http.Request
	server *Server
	app    App
	body   []byte
}

// apiError is the response to a call that has failed.
type apiError struct {
	status int
	reason string
}

func (e apiError) Error() string { return e.reason }

func badRequest(format string, args ...any) error {
	return apiError{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// API returns the handler of the HTTP API, with which an application publishes and queries its channels. Each call is signed with
// the application's secret. The handler serves the paths that begin with prefix and /apps/; prefix is "" or begins with a slash.
// Responses are JSON, errors are text.
func (s *Server) API(prefix string) http.Handler {
	mux := http.NewServeMux()
	for _, e := range []struct {
		method, path string
		answer       func(*call) (any, error)
	}{
		{"POST", "/events", (*call).events},
		{"POST", "/batch_events", (*call).batch},
		{"GET", "/channels", (*call).channels},
		{"GET", "/channels/{channel}", (*call).channel},
		{"GET", "/channels/{channel}/users", (*call).users},
		{"GET", "/connections", (*call).connections},
		{"POST", "/users/{user}/terminate_connections", (*call).terminate},
	} {
		mux.HandleFunc(e.method+" "+prefix+"/apps/{app}"+e.path, func(w http.ResponseWriter, r *http.Request) {
			var v any
			c, err := s.authenticate(w, r)
			if err == nil {
				v, err = e.answer(c)
			}
			respond(w, v, err)
		})
	}
	return mux
}

// respond writes the response to a call.
func respond(w http.ResponseWriter, v any, err error) {
	w.Header().Set("Cache-Control", "no-store")
	if err == nil {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(encode(v)) // this fails if the caller has disconnected
		return
	}
	failed := apiError{http.StatusServiceUnavailable, "Temporarily unavailable: try again later."}
	errors.As(err, &failed)
	http.Error(w, failed.reason, failed.status)
}
