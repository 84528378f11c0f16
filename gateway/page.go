package gateway

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/console"
	"github.com/handfast/handfast/gateway/internal/refusals"
	"github.com/handfast/handfast/websocket"
	wshandshake "github.com/handfast/handfast/websocket/handshake"
)

// attemptName is the query parameter with which the page at / marks a handshake, so that it can ask for the outcome. A page can set only
// the URL and the subprotocols of a handshake, and endpoints interpret the path and the subprotocols.
const attemptName = "handfast-attempt"

// mountConsole mounts the page at / and its API.
func (n *site) mountConsole() {
	console.Register(n.pages)
	n.pages.HandleFunc("GET /console/endpoints", n.listForPage)
	n.pages.HandleFunc("GET /console/attempts/{key}", n.attemptForPage)
}

// takeAttempt removes the page's mark from the query of a handshake, and returns it, so that neither endpoints nor servers behind
// them see it.
func takeAttempt(r *http.Request) (key string) {
	if !strings.Contains(r.URL.RawQuery, attemptName+"=") || !wantsWebSocket(r) {
		return ""
	}
	var rest []string
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		if value, ok := strings.CutPrefix(pair, attemptName+"="); ok {
			key = refusals.AttemptKey(value)
		} else {
			rest = append(rest, pair)
		}
	}
	u := *r.URL
	u.RawQuery = strings.Join(rest, "&")
	u.ForceQuery = false
	r.URL = &u
	return key
}

// storeOutcome stores the outcome of a handshake for the page that made it.
func (s *recorder) storeOutcome(v *via, o refusals.Outcome) {
	if v.attempt != "" {
		s.attempts.Add(v.client, v.attempt, o, time.Now())
	}
}

// outcomeOf returns the content of the reply to a rejected handshake. It contains less information than the operator gets.
func outcomeOf(e *websocket.HandshakeError) refusals.Outcome {
	o := refusals.Outcome{Status: e.Status, Stage: string(e.Stage), Clause: e.Section, Hint: settingsHint(e.Hint), Reason: http.StatusText(e.Status)}
	if v, ok := errors.AsType[*wshandshake.Violation](e.Err); ok {
		o.Reason = v.Detail
	} else if r, ok := errors.AsType[*websocket.Reject](e.Err); ok {
		o.RetryAfter = r.Header.Get("Retry-After")
		if r.Reason != "" {
			o.Reason = r.Reason
		}
	}
	if _, ok := errors.AsType[*auth.Denied](e.Err); ok {
		o.Stage = "rules" // the client is authenticated, but not allowed to connect
	}
	return o
}

// attemptForPage responds to the page with the outcome of a handshake that it made.
func (n *site) attemptForPage(w http.ResponseWriter, r *http.Request) {
	o, ok := n.rec.attempts.Find(viaOf(r).client, refusals.AttemptKey(r.PathValue("key")), time.Now())
	if !ok {
		w.Header().Set("Cache-Control", "no-store")
		plain(w, http.StatusNotFound, "no such handshake of this client is recorded\n")
		return
	}
	writeJSON(w, o)
}

// pageEndpoint is the information about an endpoint for the page at /: the data that a client needs for connecting. It contains no
// names, servers, rules or keys.
type pageEndpoint struct {
	Path         string       `json:"path"`
	Protocol     string       `json:"protocol,omitempty"` // "echo", "channels", "pusher" or "centrifugo"
	Open         bool         `json:"open"`               // clients without a credential may connect
	Subprotocols []string     `json:"subprotocols,omitempty"`
	Prefixes     []string     `json:"token_prefixes,omitempty"` // of subprotocols that contain a token
	Kubernetes   bool         `json:"kubernetes,omitempty"`     // a subprotocol may contain a token in the form that Kubernetes uses
	Tickets      []pageTicket `json:"tickets,omitempty"`
	Elsewhere    bool         `json:"elsewhere,omitempty"` // accepts credentials that a page cannot set or that the browser adds
}

// pageTicket contains the path of the page that issues tickets, and the query parameter for a ticket.
type pageTicket struct {
	Path  string `json:"path"`
	Query string `json:"query"`
}

// listForPage returns the endpoints that a WebSocket of the page can reach.
func (n *site) listForPage(w http.ResponseWriter, r *http.Request) {
	host, list := strings.ToLower(hostOf(r)), []pageEndpoint{}
	for _, e := range n.endpoints {
		if e.cfg.Target.Kind != "streams" && (len(e.cfg.Hosts) == 0 || slices.Contains(e.cfg.Hosts, host)) {
			list = append(list, n.forPage(e))
		}
	}
	writeJSON(w, struct {
		Endpoints []pageEndpoint `json:"endpoints"`
	}{list})
}

func (n *site) forPage(e *endpoint) pageEndpoint {
	p := pageEndpoint{Path: e.cfg.Path, Protocol: e.cfg.Target.Kind, Open: e.auth.anonymous, Subprotocols: e.cfg.Subprotocols}
	if p.Protocol == "balance" {
		p.Protocol = "" // the servers behind the balancer determine it
	}
	for _, ref := range e.cfg.Auth {
		m := ref.Method
		if m == nil {
			m = n.cfg.Auth[ref.Name] // nil for anonymous
		}
		if m != nil {
			p.addMethod(m)
		}
	}
	return p
}

// addMethod adds the ways in which a client can send a credential for m.
func (p *pageEndpoint) addMethod(m *config.Method) {
	switch {
	case m.Ticket != nil:
		p.Tickets = append(p.Tickets, pageTicket{m.Ticket.Path, m.Ticket.Query})
	case m.JWT != nil:
		for _, from := range m.JWT.From {
			switch {
			case from.Kind == "subprotocol" && from.Name == "":
				p.Prefixes = append(p.Prefixes, plainPrefix)
			case from.Kind == "subprotocol":
				p.Prefixes = append(p.Prefixes, from.Name)
			case from.Kind == "kubernetes":
				p.Kubernetes = true
			default:
				p.Elsewhere = true
			}
		}
	default:
		p.Elsewhere = true
	}
}
