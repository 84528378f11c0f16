package reconnect

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/handshake"
)

// Verdict is the action after a failure.
type Verdict uint8

// The verdicts.
const (
	Default Verdict = iota // the verdict of Judge
	Soon                   // dial again after the usual delay
	Later                  // dial again, but give the server time
	Stop                   // do not reconnect: Run returns the failure's error
	Done                   // do not reconnect, since nothing failed: Run returns nil
)

// String returns the verdict's name in lower case.
func (v Verdict) String() string {
	switch v {
	case Default:
		return "default"
	case Soon:
		return "soon"
	case Later:
		return "later"
	case Stop:
		return "stop"
	case Done:
		return "done"
	}
	return "invalid"
}

// Judge returns the verdict on f, which Options.Verdict can override. It is never Default.
//
// If the peer ended the connection, the verdict depends on the close code in f.Err ([websocket.CloseError]):
//
//	1000                                Done   the purpose is fulfilled
//	1001, 1005, 1006, 1011, 1014        Soon   this server is leaving or failed; another server or attempt may work
//	1012, 1013                          Later  the server restarts or is overloaded
//	1002, 1003, 1007, 1008, 1009, 1010  Stop   the two ends disagree, and will disagree again
//	others, including 3000 to 4999      Soon   the application defines their meaning
//
// A connection that this end closed is Done with 1000 and 1001, Soon with 1006 (a write was interrupted, or CloseNow was called
// and handle returned its error), and Stop with any other code.
//
// If the handshake failed, the verdict depends on the [websocket.HandshakeError]:
//
//	status 429                          Later  too many requests
//	status 408, 425                     Soon   they concern only this request
//	other status from 400 to 499        Stop   the request is wrong: the path, the credentials, the origin
//	any other status                    Soon   5xx are temporary; so are a proxy's login page (200) and its redirect
//	stage header, key, subprotocol, extension  Stop  the response violates the protocol, or is not as requested
//	stage request                       Stop   the URL or an option is wrong
//	a certificate that is not trusted   Stop   also a port that does not speak TLS
//	the rest: dns, tcp, proxy, tls      Soon   network failures are temporary
//
// For any other error the verdict depends on its source: an error of dial is Soon. An error of handle is Soon if it comes from the
// network or is a timeout, and otherwise Stop.
func Judge(f Failure) Verdict {
	if ce, ok := errors.AsType[*websocket.CloseError](f.Err); ok {
		return judgeClose(ce)
	}
	if f.Dialing {
		return judgeDial(f.Err)
	}
	if isNetworkError(f.Err) {
		return Soon
	}
	return Stop
}

func judgeClose(ce *websocket.CloseError) Verdict {
	if !ce.ByPeer {
		switch ce.Code {
		case websocket.CodeNormal, websocket.CodeGoingAway:
			return Done
		case websocket.CodeAbnormal:
			return Soon
		}
		return Stop
	}
	switch ce.Code {
	case websocket.CodeNormal:
		return Done
	case websocket.CodeServiceRestart, websocket.CodeTryAgainLater:
		return Later
	case websocket.CodeProtocolError, websocket.CodeUnsupportedData, websocket.CodeInvalidData, websocket.CodePolicy,
		websocket.CodeTooBig, 1010: // 1010: the server would have to accept an extension
		return Stop
	}
	return Soon
}

func judgeDial(err error) Verdict {
	if isCertificateError(err) {
		return Stop
	}
	he, ok := errors.AsType[*websocket.HandshakeError](err)
	if !ok {
		return Soon
	}
	switch he.Stage {
	case handshake.StageHeader, handshake.StageKey, handshake.StageSubprotocol, handshake.StageExtension:
		return Stop
	}
	switch status := he.Status; {
	case status == http.StatusTooManyRequests:
		return Later
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly:
		return Soon
	case status >= 400 && status < 500:
		return Stop
	}
	if he.Stage == handshake.StageRequest && !isNetworkError(err) {
		return Stop
	}
	return Soon
}

// isCertificateError reports whether err concerns the peer's certificate, or a peer that does not speak TLS at all.
func isCertificateError(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	// A dialer that does its own verification may return one of the following types.
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return true
	}
	_, ok := errors.AsType[x509.CertificateInvalidError](err)
	return ok
}

// isNetworkError reports whether err comes from the network. Timeouts count, whichever side has set them.
func isNetworkError(err error) bool {
	_, ok := errors.AsType[net.Error](err)
	return ok || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
