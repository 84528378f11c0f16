package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/certs"
	"github.com/handfast/handfast/gateway/internal/refusals"
	"github.com/handfast/handfast/gateway/internal/registry"
	"github.com/handfast/handfast/observe"
	"github.com/handfast/handfast/websocket"
	wshandshake "github.com/handfast/handfast/websocket/handshake"
)

// recorder is where everything that happens to clients is recorded, and the only way from there to the log, the audit
// log, the metrics and the list of refused handshakes. All methods may be called from any goroutine.
type recorder struct {
	log      *slog.Logger
	metrics  *observe.Metrics
	outside  *observe.Endpoint // what is refused before it has come to an endpoint
	refused  refusals.Log
	attempts refusals.Attempts // of the page at /
	flood    flood             // of refusals in the log
	denials  flood             // of denied actions in the log
	pages    flood             // of requests in the log that servers have failed
	audit    *audit            // nil if there is none

	auditTold atomic.Int64 // when it was last logged that lines of it are lost, in Unix nanoseconds
	fullAt    atomic.Int64 // the bound on connections that was last logged as reached
}

// newRecorder makes a recorder. A nil log discards.
func newRecorder(log *slog.Logger, live observe.Live) *recorder {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &recorder{
		log: log, metrics: observe.NewMetrics(live), outside: observe.NewEndpoint(""),
		flood: flood{log: log, more: observe.EventRefusedMore}, denials: flood{log: log, more: observe.EventDeniedMore},
		pages: flood{log: log, more: observe.EventPageMore},
	}
}

// opened records that a client was admitted. What is written of one that is carried to another server is written when it ends, all in
// one line: such connections come in storms.
func (s *recorder) opened(k *admitted) {
	n := k.entry
	who := n.Who()
	k.e.metrics.Opened.Inc()
	level, server := slog.LevelInfo, serverOf(n)
	if server != "" {
		level = slog.LevelDebug
	}
	if s.logs(level) {
		attrs := append(make([]slog.Attr, 0, 5), slog.String(observe.KeyID, n.ID),
			slog.String(observe.KeyEndpoint, n.Endpoint), slog.String(observe.KeyUser, who.Subject), slog.String(observe.KeyAddr, n.Addr.String()))
		if server != "" {
			attrs = append(attrs, slog.String(observe.KeyServer, server))
		}
		s.line(level, observe.EventOpened, attrs)
	}
	if s.audit == nil || server != "" {
		return
	}
	s.audit.log(observe.AuditConnected, append([]any{observe.KeyID, n.ID, observe.KeyUser, who.Subject, observe.KeyMethod, who.Method, observe.KeyAddr, n.Addr.String(),
		observe.KeyOrigin, n.Origin, observe.KeyEndpoint, n.Endpoint}, k.decision()...)...)
}

// logs reports whether lines of a level are written.
func (s *recorder) logs(level slog.Level) bool { return s.log.Enabled(context.Background(), level) }

// line writes one line of those that come with each connection. It does not look up where it is called, which takes longer than the rest
// of a short line, and which no handler here writes.
func (s *recorder) line(level slog.Level, event string, attrs []slog.Attr) {
	if s.logs(level) {
		r := slog.NewRecord(time.Now(), level, event, 0)
		r.AddAttrs(attrs...)
		_ = s.log.Handler().Handle(context.Background(), r) // as package slog ignores it
	}
}

// decision returns what the audit log says of how a client was admitted.
func (k *admitted) decision() []any {
	return []any{observe.KeyPath, k.path, observe.KeyDecision, "allow", observe.KeyRule, k.rule}
}

// secured counts a handshake over TLS; nil is one without.
func (s *recorder) secured(state *tls.ConnectionState) {
	if state == nil {
		return
	}
	session := "new"
	if state.DidResume {
		session = "resumed"
	}
	s.metrics.TLS.WithLabelValues(session).Inc()
}

// closed records how a connection ended, and why the target gave it up if that was not the reason. how is nil when it is
// not known. decision is for the audit log, of a connection for which opened has written nothing there.
func (s *recorder) closed(n *registry.Entry, where *observe.Endpoint, how *websocket.CloseError, err error, decision ...any) {
	lasted, who := time.Since(n.Opened), n.Who()
	attrs := append(make([]slog.Attr, 0, 11), slog.String(observe.KeyID, n.ID), slog.String(observe.KeyEndpoint, n.Endpoint),
		slog.String(observe.KeyUser, who.Subject), slog.String(observe.KeyAddr, n.Addr.String()),
		slog.Duration(observe.KeyDuration, lasted.Round(time.Millisecond)))
	server := serverOf(n)
	if server != "" {
		attrs = append(attrs, slog.String(observe.KeyServer, server))
	}
	if _, closed := errors.AsType[*websocket.CloseError](err); err != nil && !closed {
		attrs = append(attrs, slog.Any("cause", err))
	}
	code, reason, by, level := int(websocket.CodeAbnormal), "", "", slog.LevelWarn
	if how != nil {
		code, reason, by, level = int(how.Code), how.Reason, observe.By(how.ByPeer), slog.LevelInfo
		if how.Err != nil {
			attrs = append(attrs, slog.String(observe.KeyError, how.Err.Error()))
		}
	}
	if told, why, ok := n.Told(); ok { // what we said counts, whether the peer has answered or not
		code, reason, by = int(told), why, observe.By(false)
	}
	if reason != "" {
		attrs = append(attrs, slog.String(observe.KeyReason, reason))
	}
	attrs = append(attrs, slog.Int(observe.KeyCode, code), slog.String(observe.KeyBy, by))
	s.line(level, observe.EventClosed, attrs)
	if s.audit != nil {
		in, out := n.In.Bytes(), n.Out.Bytes()
		if c, carried := n.Handle().(interface{ Bytes() (in, out int64) }); carried {
			in, out = c.Bytes()
		}
		s.audit.log(observe.AuditDisconnected, append([]any{observe.KeyID, n.ID, observe.KeyUser, who.Subject, observe.KeyMethod, who.Method,
			observe.KeyAddr, n.Addr.String(), observe.KeyOrigin, n.Origin, observe.KeyEndpoint, n.Endpoint, observe.KeyServer, server,
			observe.KeyCode, code, observe.KeyReason, reason, observe.KeyBy, by, observe.KeyDuration, lasted.Seconds(),
			observe.KeyMessagesIn, n.In.Messages(), observe.KeyMessagesTo, n.Out.Messages(),
			observe.KeyBytesIn, in, observe.KeyBytesOut, out}, decision...)...)
	}
	where.Closed(code)
	where.Lasted.Observe(lasted.Seconds())
	if code == int(auth.CodeExpired) && reason == auth.ReasonExpired {
		s.metrics.Expired.Inc()
	}
}

// panicked logs and counts a panic in a target. It is called by the deferred function that has recovered.
func (s *recorder) panicked(where *observe.Endpoint, n *registry.Entry, value any) {
	where.Panics.Inc()
	s.log.Error(observe.EventPanic, observe.KeyPanic, fmt.Sprint(value), observe.KeyID, n.ID, observe.KeyEndpoint, n.Endpoint,
		observe.KeyUser, n.Who().Subject, observe.KeyAddr, n.Addr.String(), observe.KeyStack, string(debug.Stack()))
}

// full logs that the limit on connections is reached, once for each limit. Refusals are logged in any case.
func (s *recorder) full(bound int) {
	if s.fullAt.Swap(int64(bound)) != int64(bound) {
		s.log.Warn(observe.EventFull, observe.KeySetting, "limits.connections", observe.KeyCount, bound,
			observe.KeyHint, "raise limits.connections in the configuration file, or set HANDFAST_LIMITS_CONNECTIONS; 0 means no limit")
	}
}

// authenticated records how long it took to find out who a client is.
func (s *recorder) authenticated(id *auth.Identity, err error, took time.Duration) {
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

// settings has, for each next step of the library that names an option, the one that names keys of the configuration.
var settings = map[string]string{
	wshandshake.HintServerOrigin:       "the server's operator can add it to the endpoint's origins (also --origin)",
	wshandshake.HintServerProxy:        "behind a proxy that terminates TLS, add the proxy to trusted_proxies, or the origin to the endpoint's origins (also --origin)",
	wshandshake.HintServerOrigins:      "correct the endpoint's origins",
	wshandshake.HintServerSubprotocols: "correct the endpoint's subprotocols",
	wshandshake.HintServerHeader:       "correct the headers that the endpoint's target adds",
	wshandshake.HintServerCompression:  "correct the endpoint's compression",
	wshandshake.HintServerAdmit:        "report this as a bug in handfast",
}

// settingsHint returns a next step of the library in the terms of the configuration.
func settingsHint(hint string) string {
	if own, ok := settings[hint]; ok {
		return own
	}
	return hint
}

// refusedBy records why an endpoint did not admit a client.
func (s *recorder) refusedBy(h *handshake, r *http.Request, err error) {
	e, ok := errors.AsType[*websocket.HandshakeError](err)
	if !ok {
		e = &websocket.HandshakeError{Err: err}
	}
	record := refusalOf(r, h.via)
	record.Endpoint, record.Stage, record.Status, record.Clause, record.Hint = h.entry.Endpoint, string(e.Stage), e.Status, e.Section, settingsHint(e.Hint)
	record.Reason = reasonOf(e)
	s.ended(h.via, outcomeOf(e))
	if d, ok := errors.AsType[*auth.Denied](err); ok {
		record.Rule = d.Decision.Reason
	}
	s.record(h.e.metrics, record, h.entry.Identity.Subject, h.entry.Identity.Method)
}

// reasonOf says why a handshake failed, for the operator. What auth says of a cause holds no credential.
func reasonOf(e *websocket.HandshakeError) string {
	if t, ok := errors.AsType[*targetError](e.Err); ok {
		return t.Error()
	}
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
		Origin: wshandshake.PrintableOrigin(r.Header.Get("Origin")), Agent: r.UserAgent(),
	}
	if v.client.IsValid() {
		n.Addr = v.client.String()
	}
	if v.peer != nil && v.peer.via.IsValid() {
		n.Via = v.peer.via.String()
	} else if v.peer != nil && v.peer.addr.Addr() != v.client {
		n.Via = v.peer.addr.Addr().String()
	}
	return n
}

// record records a refusal; where is the endpoint at which it happened.
func (s *recorder) record(where *observe.Endpoint, n refusals.Refusal, user, method string) {
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
	if s.flood.allow(floodKind{addr: n.Addr, endpoint: n.Endpoint, stage: n.Stage, status: n.Status}) {
		s.log.Info(observe.EventRefused, attrs...)
	}
}

// tellFloods logs what was left out of floods in the log.
func (s *recorder) tellFloods() {
	s.flood.tell()
	s.denials.tell()
	s.pages.tell()
}

// denied logs that the rules deny an admitted client an action.
func (s *recorder) denied(n *registry.Entry, d *auth.Denied) {
	addr := n.Addr.String()
	if !s.denials.allow(floodKind{addr: addr, endpoint: n.Endpoint, action: d.Action.Do}) {
		return
	}
	attrs := []any{observe.KeyAction, d.Action.Do, observe.KeyChannel, d.Action.Channel, observe.KeyRule, d.Decision.Reason,
		observe.KeyEndpoint, n.Endpoint, observe.KeyUser, d.Subject, observe.KeyAddr, addr}
	if n.ID != "" { // a request has none
		attrs = append(attrs, observe.KeyID, n.ID)
	}
	s.log.Info(observe.EventDenied, attrs...)
}

// early records why a connection ended before its first request.
func (s *recorder) early(p *peer, err *websocket.HandshakeError) {
	n := refusals.Refusal{
		Time: time.Now(), Addr: p.addr.Addr().String(), Stage: string(err.Stage), Status: err.Status, Clause: err.Section,
		Reason: err.Err.Error(), Hint: earlyHint(err),
	}
	if p.via.IsValid() {
		n.Via = p.via.String()
	}
	s.record(s.outside, n, "", "")
}

// redirected records a WebSocket that came without TLS where it is required.
func (s *recorder) redirected(r *http.Request, to string) {
	n := refusalOf(r, viaOf(r))
	n.Stage, n.Status, n.Reason, n.Hint = string(wshandshake.StageCheck), http.StatusForbidden,
		"this listener only redirects to https", "use "+to
	s.record(s.outside, n, "", "")
}

// missing records a WebSocket that was asked for where there is none.
func (s *recorder) missing(r *http.Request) {
	n := refusalOf(r, viaOf(r))
	n.Stage, n.Status, n.Reason, n.Hint = string(wshandshake.StageRequest), http.StatusNotFound,
		"there is no endpoint at this path", "check the path and the host, or add an endpoint for it"
	s.record(s.outside, n, "", "")
	s.ended(viaOf(r), refusals.Outcome{Status: n.Status, Stage: n.Stage, Reason: n.Reason, Hint: n.Hint})
}

// callFailed records why a call for a ticket, or to log out, failed.
func (s *recorder) callFailed(r *http.Request, err error) {
	n := refusalOf(r, viaOf(r))
	n.Stage, n.Reason = string(wshandshake.StageCheck), err.Error()
	if e, ok := errors.AsType[*auth.Error](err); ok {
		n.Status = e.Status
	}
	user, method := "", ""
	if c, ok := r.Context().Value(callerKey{}).(*caller); ok && c.id != nil {
		user, method = c.id.Subject, c.id.Method
	}
	s.record(s.outside, n, user, method)
}

// cut records a connection that was cut to make room for others.
func (s *recorder) cut(p *peer) {
	s.metrics.Cut.Inc()
	s.log.Debug(observe.EventCut, observe.KeyAddr, p.addr.Addr().String())
}

// authFault logs trouble with what a method depends on, such as a file that has become unreadable.
func (s *recorder) authFault(err error) { s.log.Warn(observe.EventAuthFault, observe.KeyError, err) }

// certificate logs what happened to a certificate.
func (s *recorder) certificate(e certs.Event) {
	log := s.log.Info
	if e.Kind == certs.EventFailed {
		log = s.log.Warn
	}
	log(observe.EventCert, "event", e.String())
}
