package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/handfast/handfast/internal/cors"
)

// TicketEndpoint is an endpoint that issues tickets. Its response to a POST with the caller's credentials is
//
//	{"ticket": "hft_...", "expires_in": 30}
//
// A JSON body may contain the endpoint that the ticket is for, as "endpoint", and, if the caller is a server that acts for a page,
// that page's origin, as "origin". The fields of a TicketEndpoint must not be changed while it serves.
type TicketEndpoint struct {
	// Tickets issues the tickets. It must not be nil.
	Tickets *Tickets

	// Authenticator identifies the caller. It must not be nil. A caller that is identified by a ticket does not get another ticket,
	// because it could renew a single-use credential forever.
	Authenticator Authenticator

	// Origins lists additional origins whose pages may call the endpoint, with cookies, such as "https://app.example.com". nil means
	// only pages of the same origin, including the scheme. Requests without an Origin field are not from a page, and are allowed.
	Origins []string

	// OnError, if not nil, is called with the reason why a call failed. The errors contain no credential.
	OnError func(r *http.Request, err error)
}

const (
	callMaxBody   = 4 << 10 // bytes
	callMaxOrigin = 256     // bytes
)

var (
	errCallOrigin        = errors.New("the request comes from a page of another origin")
	errCallNoCredentials = errors.New("the request has no credential")
)

// ServeHTTP implements [http.Handler].
func (e *TicketEndpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, ok := servePost(w, r, e.Origins, e.Authenticator, e.OnError)
	if !ok {
		return
	}
	binding, err := readTicketCall(w, r)
	if err != nil {
		refuseCall(w, r, &Error{Status: http.StatusBadRequest, Reason: "The request body is not valid.", Err: err}, e.OnError)
		return
	}
	binding.Address = e.Tickets.o.Address(r)
	ctx, cancel := context.WithTimeout(r.Context(), storeTimeout)
	defer cancel()
	ticket, err := e.Tickets.Issue(ctx, id, binding)
	if refusal, ok := errors.AsType[*Error](err); ok {
		refuseCall(w, r, refusal, e.OnError)
		return
	} else if err != nil {
		refuseCall(w, r, Unavailable(time.Second, err), e.OnError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	// The error is ignored: the client has disconnected, and cannot be notified.
	_ = json.NewEncoder(w).Encode(struct {
		Ticket    string `json:"ticket"`
		ExpiresIn int    `json:"expires_in"`
	}{ticket, int(e.Tickets.o.TTL / time.Second)})
}

// readTicketCall returns the binding that the caller requests. A page is bound to its own origin.
func readTicketCall(w http.ResponseWriter, r *http.Request) (TicketBinding, error) {
	var call struct {
		Origin   string `json:"origin"`
		Endpoint string `json:"endpoint"`
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, callMaxBody))
	if err != nil {
		return TicketBinding{}, fmt.Errorf("reading the body: %w", err)
	}
	if len(b) > 0 {
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
			return TicketBinding{}, errors.New("the body is not application/json")
		}
		if err := strictJSON(string(b), &call); err != nil {
			return TicketBinding{}, fmt.Errorf("the body: %w", err)
		}
	}
	origin := r.Header.Get("Origin")
	if len(call.Origin) > callMaxOrigin || origin != "" && call.Origin != "" && !strings.EqualFold(origin, call.Origin) {
		return TicketBinding{}, errors.New("the origin in the body is not that of the request")
	}
	if origin == "" {
		origin = call.Origin
	}
	return TicketBinding{Origin: origin, Endpoint: call.Endpoint}, nil
}

// servePost does the common work of all endpoints that act for their caller: they accept only POST, only pages of allowed origins
// and only known callers, and forbid caching. If it returns false, it has sent an error reply.
func servePost(w http.ResponseWriter, r *http.Request, origins []string, a Authenticator,
	onError func(*http.Request, error)) (*Identity, bool) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "Origin")
	if !callerOrigin(h, r, origins) {
		refuseCall(w, r, Forbidden(errCallOrigin), onError)
		return nil, false
	}
	switch {
	case cors.IsPreflight(r):
		cors.Preflight(w, http.MethodPost, "Authorization, Content-Type, X-API-Key")
		return nil, false
	case r.Method != http.MethodPost:
		h.Set("Allow", http.MethodPost)
		refuseCall(w, r, &Error{Status: http.StatusMethodNotAllowed, Reason: "Only POST is allowed here.",
			Err: errors.New("the method is not POST")}, onError)
		return nil, false
	}
	id, err := identify(r, a)
	if err == nil && isAnonymous(id) {
		err = Unauthorized(errCallNoCredentials, a.Challenge())
	}
	if err != nil {
		refuseCall(w, r, asError(err, ""), onError)
		return nil, false
	}
	return id, true
}

// callerOrigin reports whether the caller's origin is allowed, and lets pages of other listed origins read the reply.
func callerOrigin(h http.Header, r *http.Request, origins []string) bool {
	values := r.Header.Values("Origin")
	if len(values) == 0 {
		return true // every browser sends an Origin with a POST, so this is not a page
	}
	origin := values[0]
	scheme := "http://"
	if r.TLS != nil {
		scheme = "https://"
	}
	if len(values) > 1 || origin == "null" || len(origin) > callMaxOrigin {
		return false
	}
	if strings.EqualFold(origin, scheme+r.Host) {
		return true
	}
	if !slices.ContainsFunc(origins, func(o string) bool { return strings.EqualFold(o, origin) }) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Credentials", "true")
	h.Set("Access-Control-Expose-Headers", "Retry-After")
	return true
}

// refuseCall replies with an error, and reports it to OnError.
func refuseCall(w http.ResponseWriter, r *http.Request, e *Error, onError func(*http.Request, error)) {
	h := w.Header()
	for name, values := range replyHeader(e) {
		h[name] = append(h[name], values...)
	}
	body := e.Reason + "\n"
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(e.Status)
	fmt.Fprint(w, body)
	if onError != nil {
		onError(r, e)
	}
}
