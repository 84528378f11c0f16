package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/balance/proxy"
	"github.com/handfast/handfast/certs"
	"github.com/handfast/handfast/gateway/internal/refusals"
	"github.com/handfast/handfast/gateway/internal/registry"
	"github.com/handfast/handfast/observe"
	"github.com/handfast/handfast/websocket"
	wshandshake "github.com/handfast/handfast/websocket/handshake"
)

// recorder records all events that concern clients. No other code writes these events to the log, the audit log, the metrics and the list
// of rejected handshakes. All methods may be called from any goroutine.
type recorder struct {
	log             *slog.Logger
	metrics         *observe.Metrics
	unknownEndpoint *observe.Endpoint // for rejections before an endpoint is known
	refused         refusals.Log
	attempts        refusals.Attempts // for the page at /
	flood           flood             // for rejections in the log
	denials         flood             // for denied actions in the log
	pages           flood             // for failed requests to servers in the log
	audit           *audit            // nil if none is configured

	auditLogged atomic.Int64 // when it was last logged that audit lines are lost, in Unix nanoseconds
	fullAt      atomic.Int64 // the limit on connections that was last logged as reached
}

// newRecorder returns a recorder. If log is nil, nothing is logged.
func newRecorder(log *slog.Logger, live observe.Live) *recorder {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &recorder{
		log: log, metrics: observe.NewMetrics(live), unknownEndpoint: observe.NewEndpoint(""),
		flood: flood{log: log, more: observe.EventRefusedMore}, denials: flood{log: log, more: observe.EventDeniedMore},
		pages: flood{log: log, more: observe.EventPageMore},
	}
}

// recordOpened records that a client was admitted. For a client of a balancer it writes only a debug line, because such connections
// are often opened in large numbers, and the line at the end of the connection contains all fields.
func (s *recorder) recordOpened(k *admitted) {
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

// line writes one of the lines that are logged for each connection. It does not determine the source location, because that takes longer
// than the rest of a short line, and none of the log handlers writes the location.
func (s *recorder) line(level slog.Level, event string, attrs []slog.Attr) {
	if s.logs(level) {
		r := slog.NewRecord(time.Now(), level, event, 0)
		r.AddAttrs(attrs...)
		_ = s.log.Handler().Handle(context.Background(), r) // package slog ignores this error, too
	}
}

// decision returns the audit log's fields about the decision to admit a client.
func (k *admitted) decision() []any {
	return []any{observe.KeyPath, k.path, observe.KeyDecision, "allow", observe.KeyRule, k.rule}
}

// secured counts a TLS handshake; state is nil for a connection without TLS.
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

// closed records how a connection ended, and the error of the target unless that is a CloseError. how is nil if the close is not known.
// decision contains the fields for the audit log of a connection for which opened has not written a line.
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
		code, reason, by, level = int(how.Code), closeReason(how), observe.By(how.ByPeer), slog.LevelInfo
		if how.Err != nil {
			attrs = append(attrs, slog.String(observe.KeyError, how.Err.Error()))
		}
	}
	if told, why, ok := n.Told(); ok { // the close frame that was sent counts, whether or not the peer has replied
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

// closeReason returns the reason in the close frame. If the peer could not get a close frame because it neither reads nor answers pings,
// closeReason returns the reason that a tunnel reports in this case.
func closeReason(how *websocket.CloseError) string {
	if how.Reason == "" && how.Code == websocket.CodeAbnormal && errors.Is(how.Err, os.ErrDeadlineExceeded) {
		return proxy.ReasonSilent
	}
	return how.Reason
}

// panicked logs and counts a panic in a target. It must be called by the deferred function that has recovered.
func (s *recorder) panicked(where *observe.Endpoint, n *registry.Entry, value any) {
	where.Panics.Inc()
	s.log.Error(observe.EventPanic, observe.KeyPanic, fmt.Sprint(value), observe.KeyID, n.ID, observe.KeyEndpoint, n.Endpoint,
		observe.KeyUser, n.Who().Subject, observe.KeyAddr, n.Addr.String(), observe.KeyStack, string(debug.Stack()))
}

// limitReached logs that the limit on connections was reached, once for each value of the limit. Rejections are logged in any case.
func (s *recorder) limitReached(bound int) {
	if s.fullAt.Swap(int64(bound)) != int64(bound) {
		s.log.Warn(observe.EventFull, observe.KeySetting, "limits.connections", observe.KeyCount, bound,
			observe.KeyHint, "raise limits.connections in the configuration file, or set HANDFAST_LIMITS_CONNECTIONS; 0 means no limit")
	}
}

// authenticated records how long the authentication of a client took.
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

// settings maps the hints of the library that name one of its options to hints that name settings of the configuration.
var settings = map[string]string{
	wshandshake.HintServerOrigin:       "the server's operator can add it to the endpoint's origins (also --origin)",
	wshandshake.HintServerProxy:        "behind a proxy that terminates TLS, add the proxy to trusted_proxies, or the origin to the endpoint's origins (also --origin)",
	wshandshake.HintServerOrigins:      "correct the endpoint's origins",
	wshandshake.HintServerSubprotocols: "correct the endpoint's subprotocols",
	wshandshake.HintServerHeader:       "correct the headers that the endpoint's target adds",
	wshandshake.HintServerCompression:  "correct the endpoint's compression",
	wshandshake.HintServerAdmit:        "report this as a bug in handfast",
}

// settingsHint converts a hint of the library into one about the configuration.
func settingsHint(hint string) string {
	if own, ok := settings[hint]; ok {
		return own
	}
	return hint
}

// refusedBy records the reason why an endpoint has rejected a client.
func (s *recorder) refusedBy(h *handshake, r *http.Request, err error) {
	e, ok := errors.AsType[*websocket.HandshakeError](err)
	if !ok {
		e = &websocket.HandshakeError{Err: err}
	}
	record := refusalOf(r, h.via)
	record.Endpoint, record.Stage, record.Status, record.Clause, record.Hint = h.entry.Endpoint, string(e.Stage), e.Status, e.Section, settingsHint(e.Hint)
	record.Reason = reasonOf(e)
	s.storeOutcome(h.via, outcomeOf(e))
	if d, ok := errors.AsType[*auth.Denied](err); ok {
		record.Rule = d.Decision.Reason
	}
	s.record(h.e.metrics, record, h.entry.Identity.Subject, h.entry.Identity.Method)
}

// reasonOf returns the reason why a handshake failed, for the operator. The errors of auth contain no credential.
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

// refusalOf returns a refusal with the parts of a request that may be stored.
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

// record records a refusal; where is the endpoint that has rejected the request.
func (s *recorder) record(where *observe.Endpoint, n refusals.Refusal, user, method string) {
	n = s.refused.Add(n)
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

// flushFloods logs the numbers of lines that the floods have omitted.
func (s *recorder) flushFloods() {
	s.flood.flush()
	s.denials.flush()
	s.pages.flush()
}

// denied logs that the rules have denied an admitted client an action.
func (s *recorder) denied(n *registry.Entry, d *auth.Denied) {
	addr := n.Addr.String()
	if !s.denials.allow(floodKind{addr: addr, endpoint: n.Endpoint, action: d.Action.Do}) {
		return
	}
	attrs := []any{observe.KeyAction, d.Action.Do, observe.KeyChannel, d.Action.Channel, observe.KeyRule, d.Decision.Reason,
		observe.KeyEndpoint, n.Endpoint, observe.KeyUser, d.Subject, observe.KeyAddr, addr}
	if n.ID != "" { // a plain request has no ID
		attrs = append(attrs, observe.KeyID, n.ID)
	}
	s.log.Info(observe.EventDenied, attrs...)
}

// early records the reason why a connection ended before its first request.
func (s *recorder) early(p *peer, err *websocket.HandshakeError) {
	n := refusals.Refusal{
		Time: time.Now(), Addr: p.addr.Addr().String(), Stage: string(err.Stage), Status: err.Status, Clause: err.Section,
		Reason: err.Err.Error(), Hint: earlyHint(err),
	}
	if p.via.IsValid() {
		n.Via = p.via.String()
	}
	s.record(s.unknownEndpoint, n, "", "")
}

// redirected records a WebSocket handshake without TLS at a listener that only redirects.
func (s *recorder) redirected(r *http.Request, to string) {
	n := refusalOf(r, viaOf(r))
	n.Stage, n.Status, n.Reason, n.Hint = string(wshandshake.StageCheck), http.StatusForbidden,
		"this listener only redirects to https", "use "+to
	s.record(s.unknownEndpoint, n, "", "")
}

// missing records a WebSocket handshake at a path without an endpoint.
func (s *recorder) missing(r *http.Request) {
	n := refusalOf(r, viaOf(r))
	n.Stage, n.Status, n.Reason, n.Hint = string(wshandshake.StageRequest), http.StatusNotFound,
		"there is no endpoint at this path", "check the path and the host, or add an endpoint for it"
	s.record(s.unknownEndpoint, n, "", "")
	s.storeOutcome(viaOf(r), refusals.Outcome{Status: n.Status, Stage: n.Stage, Reason: n.Reason, Hint: n.Hint})
}

// callFailed records the reason why a request for a ticket, or to log out, failed.
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
	s.record(s.unknownEndpoint, n, user, method)
}

// cut records a connection that was closed to make room for others.
func (s *recorder) cut(p *peer) {
	s.metrics.Cut.Inc()
	s.log.Debug(observe.EventCut, observe.KeyAddr, p.addr.Addr().String())
}

// authFault logs an error of a service or file that a method depends on, for example a file that can no longer be read.
func (s *recorder) authFault(err error) { s.log.Warn(observe.EventAuthFault, observe.KeyError, err) }

// certificate logs an event about a certificate.
func (s *recorder) certificate(e certs.Event) {
	log := s.log.Info
	if e.Kind == certs.EventFailed {
		log = s.log.Warn
	}
	log(observe.EventCert, "event", e.String())
}
