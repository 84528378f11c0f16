package websocket

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/protocol"
)

// The message of an error contains each field that is set.
func TestErrorTexts(t *testing.T) {
	broken := errors.New("it is broken")
	for want, err := range map[string]error{
		"websocket: handshake failed":                          &HandshakeError{},
		"websocket: handshake failed (dns)":                    &HandshakeError{Stage: "dns"},
		"websocket: handshake failed: it is broken":            &HandshakeError{Err: broken},
		"websocket: handshake failed: of ours":                 &HandshakeError{Err: errors.New("websocket: of ours")},
		"websocket: handshake failed [RFC 1 §2]":               &HandshakeError{Section: "RFC 1 §2"},
		"websocket: handshake failed; turn it on":              &HandshakeError{Hint: "turn it on"},
		"websocket: handshake failed (s): x [§]; h":            &HandshakeError{Stage: "s", Err: errors.New("x"), Section: "§", Hint: "h"},
		"websocket: closed":                                    &CloseError{},
		"websocket: closed by the peer":                        &CloseError{ByPeer: true},
		"websocket: closed with 1001 going away":               &CloseError{Code: CodeGoingAway},
		"websocket: closed with 4000":                          &CloseError{Code: 4000},
		"websocket: closed with 1000 normal closure":           &CloseError{Code: CodeNormal},
		`websocket: closed ("bye")`:                            &CloseError{Reason: "bye"},
		"websocket: closed: it is broken":                      &CloseError{Err: broken},
		"rejected with 403":                                    &Reject{},
		"rejected with 500":                                    &Reject{Status: 200},
		"rejected with 599: why":                               &Reject{Status: 599, Reason: "why"},
		"websocket: message type 3 is neither Text nor Binary": Message{Type: 3}.check(),
	} {
		if got := err.Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if step := (&HandshakeError{Hint: "turn it on"}).NextStep(); step != "turn it on" {
		t.Errorf("the next step is %q", step)
	}
	for status, want := range map[int]int{0: 403, 1: 500, 299: 500, 300: 300, 599: 599, 600: 500, -1: 500} {
		if got := (&Reject{Status: status}).status(); got != want {
			t.Errorf("a Reject with %d results in %d, want %d", status, got, want)
		}
	}
	for text, ok := range map[string]bool{"": true, "text": true, "\u00e4": true, "\xff": false, "cut \xc3": false} {
		if err := (Message{Text, []byte(text)}).check(); (err == nil) != ok {
			t.Errorf("%q as text: %v", text, err)
		}
		if err := (Message{Binary, []byte(text)}).check(); err != nil {
			t.Errorf("%q as bytes: %v", text, err)
		}
	}
	for kind, want := range map[Type]string{0: "invalid", Text: "text", Binary: "binary", 3: "invalid"} {
		if kind.String() != want || (kind.check() == nil) != (want != "invalid") {
			t.Errorf("type %d is %s, %v", kind, kind, kind.check())
		}
	}
}

// The test checks how errors become the end of a connection (closeFor, because), and what a CloseError reports (CloseCode, Clean,
// Unwrap).
func TestErrorsOfAnEnd(t *testing.T) {
	broken := errors.New("it is broken")
	wrapped := &CloseError{Code: CodeGoingAway, Reason: "bye", Err: broken}
	for _, tt := range []struct {
		err    error
		code   Code
		reason string
		cause  error
	}{
		{broken, CodeInternalError, "", broken},
		{wrapped, CodeGoingAway, "bye", broken},
		{&CloseError{Code: CodeNormal}, CodeNormal, "", nil},
	} {
		if code, reason, cause := closeFor(tt.err); code != tt.code || reason != tt.reason || cause != tt.cause {
			t.Errorf("%v closes with %v, %q for %v", tt.err, code, reason, cause)
		}
	}
	around := fmt.Errorf("around: %w", wrapped)
	if code, reason, cause := closeFor(around); code != CodeGoingAway || reason != "bye" || cause != around {
		t.Errorf("%v closes with %v, %q for %v", around, code, reason, cause)
	}
	if CloseCode(around) != CodeGoingAway || CloseCode(broken) != 0 || CloseCode(nil) != 0 {
		t.Errorf("codes %d, %d and %d", CloseCode(around), CloseCode(broken), CloseCode(nil))
	}
	for _, tt := range []struct {
		e     CloseError
		clean bool
		errs  []error
	}{
		{CloseError{Code: CodeNormal, ByPeer: true}, true, nil},
		{CloseError{Code: CodeGoingAway}, true, []error{net.ErrClosed}},
		{CloseError{Code: CodeNormal, ByPeer: true, Err: broken}, false, []error{broken}},
		{CloseError{Code: CodeNormal, Err: broken}, false, []error{broken, net.ErrClosed}},
		{CloseError{Code: CodeInternalError, ByPeer: true}, false, nil},
	} {
		if got := tt.e.Unwrap(); tt.e.Clean() != tt.clean || !reflect.DeepEqual(got, tt.errs) {
			t.Errorf("%+v: clean %v, holds %v", tt.e, tt.e.Clean(), got)
		}
	}
	plain := &CloseError{Code: CodeNormal}
	if with := plain.withCause(broken); with.Err != broken || plain.Err != nil || wrapped.withCause(io.EOF) != wrapped || plain.withCause(nil) != plain {
		t.Errorf("%v with a cause is %v; with a second cause %v", plain, with, wrapped.withCause(io.EOF))
	}
}

// A peer that has violated the protocol has not closed the connection. This end closes it.
func TestErrorOfAViolation(t *testing.T) {
	tooBig := &protocol.Violation{Section: "RFC 6455 §10.4", Code: uint16(CodeTooBig), Detail: "a message larger than the limit"}
	for _, tt := range []struct {
		e    *CloseError
		want string
	}{
		{violation(tooBig), "websocket: closed with 1009 message too big: a message larger than the limit (RFC 6455 §10.4)"},
		{&CloseError{Code: CodeTooBig, Reason: "too long", ByPeer: true}, `websocket: closed by the peer with 1009 message too big ("too long")`},
	} {
		if got := tt.e.Error(); got != tt.want || !tt.e.ByPeer {
			t.Errorf("%+v: %s\nwant %s", tt.e, got, tt.want)
		}
	}
}

// If a connection breaks during a closing handshake, the error is that of the handshake. Otherwise it is the error of the failed
// write or read.
func TestErrorsOfABreak(t *testing.T) {
	reset, pipe := errors.New("reset"), errors.New("broken pipe")
	for _, tt := range []struct {
		begun *CloseError
		werr  error
		err   error
		want  string
		holds error
	}{
		{nil, nil, reset, "closed by the peer with 1006", reset},
		{nil, nil, io.EOF, "closed by the peer with 1006", io.ErrUnexpectedEOF},
		{nil, pipe, reset, "closed by the peer with 1006", pipe},
		{&CloseError{Code: CodeGoingAway, Reason: "bye"}, pipe, reset, `closed with 1001`, reset},
	} {
		e := readFailure(tt.begun, tt.werr, "in a frame", tt.err)
		if !strings.Contains(e.Error(), tt.want) || !errors.Is(e, tt.holds) {
			t.Errorf("%+v: %v", tt, e)
		}
		if b, ok := errors.AsType[*protocol.Broken](e); ok != (tt.holds != pipe) || ok && (b.Closing != (tt.begun != nil) || tt.begun == nil && b.Where != "in a frame") {
			t.Errorf("%+v: %+v", tt, b)
		}
		if tt.begun != nil && (e.Reason != tt.begun.Reason || e.Code != tt.begun.Code) {
			t.Errorf("%+v: %v", tt, e)
		}
	}
}

// Each failure of Dial has its own hint about the next step.
func TestHintsOfADial(t *testing.T) {
	alert := func(text string) error { return &net.OpError{Op: "remote error", Err: errors.New("tls: " + text)} }
	seen := map[string]string{}
	for name, hint := range map[string]string{
		"the name server":               timeoutHint(handshake.StageDNS),
		"does not respond: it":          timeoutHint(handshake.StageTCP),
		"the proxy does":                timeoutHint(handshake.StageProxy),
		"does not speak TLS, or":        timeoutHint(handshake.StageTLS),
		"does not respond to HTTP":      timeoutHint(handshake.StageStatus),
		handshake.HintClientRootCAs:     tlsHint(fmt.Errorf("x: %w", x509.UnknownAuthorityError{})),
		handshake.HintClientServerName:  tlsHint(x509.HostnameError{Certificate: new(x509.Certificate)}),
		"expired or not valid yet":      tlsHint(x509.CertificateInvalidError{Reason: x509.Expired}),
		"use ws://, or":                 tlsHint(tls.RecordHeaderError{}),
		"no TLS version":                tlsHint(alert("protocol version not supported")),
		"HTTP/1.1 on this port":         tlsHint(alert("no application protocol")),
		"for this host name":            tlsHint(alert("unrecognized name")),
		handshake.HintClientCertificate: tlsHint(alert("bad certificate")),
		"nothing is listening":          tcpHint(fmt.Errorf("x: %w", syscall.ECONNREFUSED)),
		"no route":                      tcpHint(syscall.EHOSTUNREACH),
		"does not allow a tunnel":       proxyHint(&handshake.Response{Status: 403}),
		"could not reach the server":    proxyHint(&handshake.Response{Status: 502}),
		"is a proxy":                    proxyHint(&handshake.Response{Status: 404}),
	} {
		if !strings.Contains(hint, name) {
			t.Errorf("%q, want %q", hint, name)
		}
		if other, ok := seen[hint]; ok {
			t.Errorf("%q is the hint for %q, too", hint, other)
		}
		seen[hint] = name
	}
	for _, hint := range []string{
		tlsHint(errors.New("x")), tlsHint(x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign}), tlsHint(&net.OpError{Op: "remote error"}),
		tlsHint(&net.OpError{Op: "read", Err: errors.New("tls: protocol version not supported")}), tcpHint(errors.New("x")),
	} {
		if hint != "" {
			t.Errorf("a hint for an error without a next step: %q", hint)
		}
	}
	for a, b := range map[int]int{405: 403, 503: 502, 504: 502} {
		if proxyHint(&handshake.Response{Status: a}) != proxyHint(&handshake.Response{Status: b}) {
			t.Errorf("the hints for a proxy's %d and %d differ", a, b)
		}
	}
	if tcpHint(syscall.ENETUNREACH) != tcpHint(syscall.EHOSTUNREACH) {
		t.Error("the hints for an unreachable network and an unreachable host differ")
	}
	r := &handshake.Response{Status: http.StatusProxyAuthRequired, Header: http.Header{}}
	if hint := proxyHint(r); hint == "" || hint != handshake.StatusHint(r) {
		t.Errorf("a proxy that requires a password: %q", hint)
	}
}
