package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/gateway/internal/door"
	"github.com/handfast/handfast/gateway/internal/refusals"
	"github.com/handfast/handfast/gateway/internal/registry"
	"github.com/handfast/handfast/observe"
	"github.com/handfast/handfast/websocket"
)

// recordOpened tells that a client was let in.
func (s *Server) recordOpened(h *handshake, r *http.Request, _ *websocket.Conn) {
	n := h.entry
	h.e.metrics.Opened.Inc()
	s.log.Info(observe.EventOpened, observe.KeyID, n.ID, observe.KeyEndpoint, n.Endpoint, observe.KeyUser, n.Identity.Subject, observe.KeyAddr, n.Addr.String())
	s.audit.log(observe.AuditConnected, observe.KeyID, n.ID, observe.KeyUser, n.Identity.Subject, observe.KeyMethod, n.Identity.Method, observe.KeyAddr, n.Addr.String(),
		observe.KeyOrigin, n.Origin, observe.KeyEndpoint, n.Endpoint, observe.KeyPath, r.URL.Path,
		observe.KeyDecision, "allow", observe.KeyRule, h.rule)
}

// recordClosed tells how a connection ended, and why the endpoint gave it up if that was not the reason.
func (s *Server) recordClosed(h *handshake, c *websocket.Conn, err error, lasted time.Duration) {
	n := h.entry
	log := s.log.With(observe.KeyID, n.ID, observe.KeyEndpoint, n.Endpoint, observe.KeyUser, n.Identity.Subject,
		observe.KeyAddr, n.Addr.String(), observe.KeyDuration, lasted.Round(time.Millisecond))
	var closed *websocket.CloseError
	if err != nil && !errors.As(err, &closed) {
		log = log.With("cause", err)
	}
	code, reason, by, level := int(websocket.CodeAbnormal), "", "", slog.LevelWarn
	if e := closedBy(c); e != nil {
		code, reason, by, level = int(e.Code), e.Reason, observe.By(e.ByPeer), slog.LevelInfo
		if e.Err != nil {
			log = log.With(observe.KeyError, e.Err)
		}
	}
	if told, why, ok := n.Told(); ok { // what we said counts, whether the peer has answered or not
		code, reason, by = int(told), why, observe.By(false)
	}
	if reason != "" {
		log = log.With(observe.KeyReason, reason)
	}
	log.Log(context.Background(), level, observe.EventClosed, observe.KeyCode, code, observe.KeyBy, by)
	s.audit.log(observe.AuditDisconnected, observe.KeyID, n.ID, observe.KeyUser, n.Identity.Subject, observe.KeyMethod, n.Identity.Method,
		observe.KeyAddr, n.Addr.String(), observe.KeyOrigin, n.Origin, observe.KeyEndpoint, n.Endpoint,
		observe.KeyCode, code, observe.KeyReason, reason, observe.KeyBy, by, observe.KeyDuration, lasted.Seconds(),
		observe.KeyMessagesIn, n.In.Messages(), observe.KeyMessagesTo, n.Out.Messages(),
		observe.KeyBytesIn, n.In.Bytes(), observe.KeyBytesOut, n.Out.Bytes())
	h.e.metrics.Closed(code)
	h.e.metrics.Lasted.Observe(lasted.Seconds())
	if code == int(auth.CodeExpired) && reason == auth.ReasonExpired {
		s.metrics.Expired.Inc()
	}
}

// recordPanic logs and counts a panic in a target. It is called by the deferred function that has recovered.
func (s *Server) recordPanic(where *observe.Endpoint, n *registry.Entry, value any) {
	where.Panics.Inc()
	s.log.Error(observe.EventPanic, observe.KeyPanic, fmt.Sprint(value), observe.KeyID, n.ID, observe.KeyEndpoint, n.Endpoint,
		observe.KeyUser, n.Identity.Subject, observe.KeyAddr, n.Addr.String(), observe.KeyStack, string(debug.Stack()))
}

// recordAuth tells how long it took to find out who a client is.
func (s *Server) recordAuth(id *auth.Identity, err error, took time.Duration) {
	method, outcome := "none", "known"
	if id != nil {
		method = id.Method
	}
	if err != nil {
		outcome = "refused"
		if e, ok := errors.AsType[*auth.Error](err); ok {
			outcome = strconv.Itoa(e.Status)
		}
	}
	s.metrics.Auth.WithLabelValues(method, outcome).Observe(took.Seconds())
}

// refused tells why a client was not let in.
func (h *handshake) refused(r *http.Request, err error) {
	e, ok := errors.AsType[*websocket.HandshakeError](err)
	if !ok {
		e = &websocket.HandshakeError{Err: err}
	}
	record := refusalOf(r, h.via)
	record.Endpoint, record.Stage, record.Status, record.Clause, record.Hint = h.entry.Endpoint, string(e.Stage), e.Status, e.Section, e.Hint
	record.Reason = reasonOf(e)
	if d, ok := errors.AsType[*auth.Denied](err); ok {
		record.Rule = d.Decision.Reason
	}
	h.e.server.record(h.e.metrics, record, h.entry.Identity.Subject, h.entry.Identity.Method)
}

// reasonOf says why a handshake failed, for the operator. What auth says of a cause holds no credential.
func reasonOf(e *websocket.HandshakeError) string {
	if a, ok := errors.AsType[*auth.Error](e.Err); ok {
		if a.Err != nil {
			return a.Err.Error()
		}
		return a.Reason
	}
	if r, ok := errors.AsType[*websocket.Reject](e.Err); ok {
		return r.Reason
	}
	if e.Err == nil {
		return http.StatusText(e.Status)
	}
	return e.Err.Error()
}

// refusalOf returns of a request what may be remembered.
func refusalOf(r *http.Request, v *via) refusals.Refusal {
	n := refusals.Refusal{
		Time: time.Now(), Method: r.Method, Host: r.Host, Path: r.URL.Path, Query: refusals.Names(r.URL.RawQuery),
		Origin: r.Header.Get("Origin"), Agent: r.UserAgent(),
	}
	if v.client.IsValid() {
		n.Addr = v.client.String()
	}
	if v.peer != nil && v.peer.Via.IsValid() {
		n.Via = v.peer.Via.String()
	} else if v.peer != nil && v.peer.Addr != v.client {
		n.Via = v.peer.Addr.String()
	}
	return n
}

// record remembers a refusal, and tells the logs and the metrics of where it happened.
func (s *Server) record(where *observe.Endpoint, n refusals.Refusal, user, method string) {
	s.refused.Add(n)
	where.Refused(n.Stage, n.Status)
	attrs := []any{observe.KeyStage, n.Stage, observe.KeyStatus, n.Status, observe.KeyReason, n.Reason}
	for _, more := range [][2]string{{observe.KeyAddr, n.Addr}, {observe.KeyVia, n.Via}, {observe.KeyEndpoint, n.Endpoint},
		{observe.KeyPath, n.Path}, {observe.KeyOrigin, n.Origin}, {observe.KeyUser, user}, {observe.KeyMethod, method},
		{observe.KeyClause, n.Clause}, {observe.KeyRule, n.Rule}} {
		if more[1] != "" {
			attrs = append(attrs, more[0], more[1])
		}
	}
	s.audit.log(observe.AuditRefused, append(attrs, observe.KeyDecision, "deny")...)
	if n.Hint != "" {
		attrs = append(attrs, observe.KeyHint, n.Hint)
	}
	if s.flood.allow(floodKind{n.Addr, n.Endpoint, n.Stage, n.Status}) {
		s.log.Info(observe.EventRefused, attrs...)
	}
}

// recordDoor tells why a connection ended before its first request.
func (s *Server) recordDoor(p *door.Peer, stage string, err error) {
	n := refusals.Refusal{Time: time.Now(), Addr: p.Addr.String(), Stage: stage, Reason: err.Error()}
	if p.Via.IsValid() {
		n.Via = p.Via.String()
	}
	n.Hint = doorHint(stage, err)
	s.record(s.outside, n, "", "")
}

// recordRedirect tells of a WebSocket that came without TLS where it is required.
func (s *Server) recordRedirect(r *http.Request, to string) {
	n := refusalOf(r, viaOf(r))
	n.Stage, n.Status, n.Reason, n.Hint = string(websocket.StageCheck), http.StatusForbidden,
		"this listener is there for redirects to https only", "use "+to
	s.record(s.outside, n, "", "")
}

// recordMissing tells of a WebSocket that was asked for where there is none.
func (s *Server) recordMissing(r *http.Request) {
	n := refusalOf(r, viaOf(r))
	n.Stage, n.Status, n.Reason, n.Hint = string(websocket.StageRequest), http.StatusNotFound,
		"there is no endpoint at this path", "check the path, or add an endpoint for it"
	s.record(s.outside, n, "", "")
}
