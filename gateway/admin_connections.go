package gateway

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/handfast/handfast/gateway/internal/refusals"
	"github.com/handfast/handfast/gateway/internal/registry"
	"github.com/handfast/handfast/observe"
	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/protocol"
)

// connection is a connection in the response of /connections.
type connection struct {
	ID          string    `json:"id"`
	User        string    `json:"user"`
	Method      string    `json:"method"`
	Credential  string    `json:"credential,omitempty"` // the ID of the credential, by which it can be revoked
	Addr        string    `json:"addr"`
	Endpoint    string    `json:"endpoint"`
	Server      string    `json:"server,omitempty"` // the server behind the balancer
	Origin      string    `json:"origin,omitempty"`
	Subprotocol string    `json:"subprotocol,omitempty"`
	Opened      time.Time `json:"opened"`
	Expires     time.Time `json:"expires,omitzero"`
	MessagesIn  int64     `json:"messages_in"`
	MessagesOut int64     `json:"messages_out"`
	BytesIn     int64     `json:"bytes_in"`
	BytesOut    int64     `json:"bytes_out"`
}

// maxListed is the maximum length of a list; there may be very many connections.
const maxListed = 10_000

// listConnections returns the open connections, oldest first.
func (s *operator) listConnections(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f, err := filterOf(q)
	limit := 1000
	if text := q.Get("limit"); err == nil && text != "" {
		if limit, err = strconv.Atoi(text); err == nil && (limit < 1 || limit > maxListed) {
			err = fmt.Errorf("limit must be a number from 1 to %d", maxListed)
		}
	}
	if err != nil {
		badRequest(w, "%v", err)
		return
	}
	list := s.conns.List(f)
	slices.SortFunc(list, func(a, b *registry.Entry) int {
		return cmp.Or(a.Opened.Compare(b.Opened), cmp.Compare(a.ID, b.ID))
	})
	out := struct {
		Total       int          `json:"total"`
		Connections []connection `json:"connections"`
	}{len(list), []connection{}}
	for _, e := range list[:min(limit, len(list))] {
		who := e.Who()
		out.Connections = append(out.Connections, connection{
			ID: e.ID, User: who.Subject, Method: who.Method, Credential: who.ID, Addr: e.Addr.String(), Endpoint: e.Endpoint, Server: serverOf(e), Origin: e.Origin,
			Subprotocol: e.Subprotocol(), Opened: e.Opened, Expires: who.Expires, MessagesIn: e.In.Messages(), MessagesOut: e.Out.Messages(),
			BytesIn: e.In.Bytes(), BytesOut: e.Out.Bytes(),
		})
	}
	writeJSON(w, out)
}

// serverOf returns the server behind the balancer that a client is connected to, or "" if there is none.
func serverOf(e *registry.Entry) string {
	if e.Server == nil {
		return ""
	}
	return e.Server()
}

// filterOf parses the parameters of a filter.
func filterOf(q url.Values) (registry.Filter, error) {
	f := registry.Filter{ID: q.Get("id"), User: q.Get("user"), Endpoint: q.Get("endpoint")}
	text := q.Get("addr")
	if text == "" {
		return f, nil
	}
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.Unmap().WithZone("")
		f.Addr = netip.PrefixFrom(a, a.BitLen())
		return f, nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return f, errors.New("addr must be an IP address, or a network such as 10.0.0.0/8")
	}
	f.Addr = p.Masked()
	return f, nil
}

// closeConnections closes the selected connections. Closing all of them requires an explicit parameter.
func (s *operator) closeConnections(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	if err := r.ParseForm(); err != nil {
		badRequest(w, "the form cannot be read")
		return
	}
	q := r.Form
	if id := r.PathValue("id"); id != "" {
		q.Set("id", id)
	}
	f, err := filterOf(q)
	if err == nil && f == (registry.Filter{}) && q.Get("all") != "true" {
		err = errors.New("one of user, addr, endpoint, id and all=true is required")
	}
	code, reason := websocket.CodePolicy, "closed by an operator"
	if text := q.Get("code"); err == nil && text != "" {
		code, err = closeCode(text)
	}
	if q.Has("reason") {
		reason = q.Get("reason")
	}
	if len(reason) > 123 || !utf8.ValidString(reason) { // RFC 6455 §5.5
		err = errors.New("reason must have at most 123 bytes of UTF-8")
	}
	if err != nil {
		badRequest(w, "%v", err)
		return
	}
	n := s.conns.Close(f, code, reason)
	if f.ID != "" && n == 0 {
		plain(w, http.StatusNotFound, "there is no such connection\n")
		return
	}
	s.rec.log.Info(observe.EventAdmin, observe.KeyCount, n, observe.KeyCode, int(code))
	s.rec.audit.log(observe.AuditClosing, observe.KeyUser, f.User, observe.KeyEndpoint, f.Endpoint, observe.KeyID, f.ID,
		observe.KeyReason, reason, observe.KeyCode, int(code), observe.KeyCount, n)
	writeJSON(w, struct {
		Closing int `json:"closing"`
	}{n})
}

// closeCode parses a code that is allowed in a close frame (RFC 6455 §7.4).
func closeCode(text string) (websocket.Code, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || !protocol.CodeOnWire(uint16(n)) {
		return 0, errors.New("code must be 1000 to 1003, 1007 to 1014, or 3000 to 4999")
	}
	return websocket.Code(n), nil
}

// listHandshakes returns the last rejected handshakes, newest first.
func (s *operator) listHandshakes(w http.ResponseWriter, r *http.Request) {
	list := s.rec.refused.List()
	if r.URL.Query().Get("format") == "text" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_ = refusals.WriteText(w, list) // this fails if the client has disconnected
		return
	}
	writeJSON(w, struct {
		Handshakes []refusals.Refusal `json:"handshakes"`
	}{append([]refusals.Refusal{}, list...)})
}

func writeJSON(w http.ResponseWriter, v any) { respondJSON(w, http.StatusOK, v) }

// respondJSON writes v as JSON, with the given status.
func respondJSON(w http.ResponseWriter, status int, v any) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v) // this fails if the client has disconnected
}
