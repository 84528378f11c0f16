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

// TicketEndpoint is an endpoint that issues tickets: POST, with the caller's credentials, is answered with
//
//	{"ticket": "hft_...", "expires_in": 30}
//
// A JSON body may name the endpoint that the ticket is for, as "endpoint", and, when no page calls but a server on behalf
// of one, that page's origin, as "origin". Its fields are not changed while it serves.
type TicketEndpoint struct {
	// Tickets issues. It must not be nil.
	Tickets *Tickets

	// Authenticator identifies the caller. It must not be nil. A caller that it knows by a ticket gets no other one: that would
	// extend forever what is valid once.
	Authenticator Authenticator

	// Origins lists further origins whose pages may call, such as "https://app.example.com"; a page may call with
	// cookies. nil means only pages of the same origin, scheme included. Requests without an Origin come from no page.
	Origins []string

	// OnError is called, if it is not nil, with why a call failed. The errors hold no credential.
	OnError func(r *http.Request, err error)
}

const (
	callMaxBody   = 4 << 10 // bytes
	callMaxOrigin = 256     // bytes
)

var (
	errCallOrigin = errors.New("the request comes from a page of another origin")
	errCallNobody = errors.New("the request has no credential")
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
	// Not even an error is of use to any client here: the client has gone.
	_ = json.NewEncoder(w).Encode(struct {
		Ticket    string `json:"ticket"`
		ExpiresIn int    `json:"expires_in"`
	}{ticket, int(e.Tickets.o.TTL / time.Second)})
}

// readTicketCall returns what the caller wants the ticket bound to. A page is bound to its own origin.
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
		return TicketBinding{}, errors.New("the request is for a ticket of another origin")
	}
	if origin == "" {
		origin = call.Origin
	}
	return TicketBinding{Origin: origin, Endpoint: call.Endpoint}, nil
}

// servePost does what is the same for all endpoints that act for their caller: only POST, only pages of origins that may
// call, only known callers, nothing kept by caches. It has replied when it returns false.
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
		err = Unauthorized(errCallNobody, a.Challenge())
	}
	if err != nil {
		refuseCall(w, r, asError(err, ""), onError)
		return nil, false
	}
	return id, true
}

// callerOrigin reports whether the caller may be where it is, and lets pages of other origins that are listed read the
// reply.
func callerOrigin(h http.Header, r *http.Request, origins []string) bool {
	values := r.Header.Values("Origin")
	if len(values) == 0 {
		return true // no browser leaves it out of a POST
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

// refuseCall replies with an error, and tells it.
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
