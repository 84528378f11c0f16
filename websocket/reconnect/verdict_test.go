package reconnect_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/reconnect"
)

func TestJudgeCloseCodes(t *testing.T) {
	byPeer := map[reconnect.Verdict][]websocket.Code{
		reconnect.Done:  {1000},
		reconnect.Soon:  {1001, 1005, 1006, 1011, 1014, 3000, 3999, 4000, 4999},
		reconnect.Later: {1012, 1013},
		reconnect.Stop:  {1002, 1003, 1007, 1008, 1009, 1010},
	}
	byUs := map[reconnect.Verdict][]websocket.Code{
		reconnect.Done: {1000, 1001},
		reconnect.Soon: {1006},
		reconnect.Stop: {1002, 1003, 1007, 1008, 1009, 1011, 3000, 4000},
	}
	for by, table := range map[bool]map[reconnect.Verdict][]websocket.Code{true: byPeer, false: byUs} {
		for want, codes := range table {
			for _, code := range codes {
				err := fmt.Errorf("reading the news: %w", &websocket.CloseError{Code: code, ByPeer: by})
				for _, dialing := range []bool{false, true} { // Dialing may be true, because dial may log in on the new connection
					if got := reconnect.Judge(reconnect.Failure{Err: err, Dialing: dialing}); got != want {
						t.Errorf("by the peer: %v, code %v: %v, want %v", by, code, got, want)
					}
				}
			}
		}
	}
}

func TestJudgeErrors(t *testing.T) {
	own := errors.New("the disk is full")
	refused := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	untrusted := x509.UnknownAuthorityError{}
	failed := func(stage handshake.Stage, status int, err error) error {
		return fmt.Errorf("dial: %w", &websocket.HandshakeError{Stage: stage, Status: status, Err: err})
	}
	tests := []struct {
		err          error
		dial, handle reconnect.Verdict
	}{
		{own, reconnect.Soon, reconnect.Stop},
		{refused, reconnect.Soon, reconnect.Soon},
		{io.EOF, reconnect.Soon, reconnect.Soon},
		{io.ErrUnexpectedEOF, reconnect.Soon, reconnect.Soon},
		{syscall.EPIPE, reconnect.Soon, reconnect.Soon},
		{context.DeadlineExceeded, reconnect.Soon, reconnect.Soon},
		{os.ErrDeadlineExceeded, reconnect.Soon, reconnect.Soon},
		{context.Canceled, reconnect.Soon, reconnect.Stop},
		{failed(handshake.StageDNS, 0, &net.DNSError{IsNotFound: true}), reconnect.Soon, reconnect.Soon},
		{failed(handshake.StageTCP, 0, refused), reconnect.Soon, reconnect.Soon},
		{failed(handshake.StageProxy, 407, own), reconnect.Stop, reconnect.Stop},
		{failed(handshake.StageProxy, 502, own), reconnect.Soon, reconnect.Stop},
		{failed(handshake.StageTLS, 0, &net.OpError{Op: "remote error", Err: own}), reconnect.Soon, reconnect.Soon},
		{failed(handshake.StageTLS, 0, &tls.CertificateVerificationError{Err: untrusted}), reconnect.Stop, reconnect.Stop},
		{failed(handshake.StageTLS, 0, untrusted), reconnect.Stop, reconnect.Stop},
		{failed(handshake.StageTLS, 0, x509.HostnameError{Certificate: &x509.Certificate{}}), reconnect.Stop, reconnect.Stop},
		{failed(handshake.StageTLS, 0, x509.CertificateInvalidError{Reason: x509.Expired}), reconnect.Stop, reconnect.Stop},
		{failed(handshake.StageRequest, 0, own), reconnect.Stop, reconnect.Stop},
		{failed(handshake.StageRequest, 0, refused), reconnect.Soon, reconnect.Soon},
		{failed(handshake.StageStatus, 0, io.EOF), reconnect.Soon, reconnect.Soon},
		{failed(handshake.StageHeader, 101, own), reconnect.Stop, reconnect.Stop},
		{failed(handshake.StageKey, 101, own), reconnect.Stop, reconnect.Stop},
		{failed(handshake.StageSubprotocol, 101, own), reconnect.Stop, reconnect.Stop},
		{failed(handshake.StageExtension, 101, own), reconnect.Stop, reconnect.Stop},
	}
	for _, tt := range tests {
		if got := reconnect.Judge(reconnect.Failure{Err: tt.err, Dialing: true}); got != tt.dial {
			t.Errorf("dial: %v: %v, want %v", tt.err, got, tt.dial)
		}
		if got := reconnect.Judge(reconnect.Failure{Err: tt.err}); got != tt.handle {
			t.Errorf("handle: %v: %v, want %v", tt.err, got, tt.handle)
		}
	}
}

// Judge returns the expected verdict on the errors that Dial returns for the statuses of a real server.
func TestJudgeStatus(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var status int
		fmt.Sscan(r.URL.Query().Get("status"), &status) //nolint:errcheck // if Sscan fails, WriteHeader panics
		w.WriteHeader(status)
	}))
	defer s.Close()
	for want, all := range map[reconnect.Verdict][]int{
		reconnect.Soon:  {200, 204, 300, 408, 425, 500, 501, 502, 503, 504},
		reconnect.Later: {429},
		reconnect.Stop:  {400, 401, 402, 403, 404, 405, 406, 410, 421, 426, 451},
	} {
		for _, status := range all {
			_, err := websocket.Dial(bounded.Context(t), fmt.Sprintf("%s/?status=%d", s.URL, status), nil)
			if got := reconnect.Judge(reconnect.Failure{Err: err, Dialing: true}); got != want {
				t.Errorf("status %d: %v, want %v: %v", status, got, want, err)
			}
		}
	}
}

// The cases are real failures of Dial that do not depend on the status of a response.
func TestJudgeRealFailures(t *testing.T) {
	quiet := log.New(io.Discard, "", 0)
	overTLS := httptest.NewUnstartedServer(http.NotFoundHandler())
	overTLS.Config.ErrorLog = quiet
	overTLS.StartTLS()
	defer overTLS.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	mute := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer mute.Close()
	chatters := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Upgrade", "chat")
		w.Header().Set("Connection", "Upgrade")
		w.WriteHeader(http.StatusSwitchingProtocols)
	}))
	defer chatters.Close()
	tests := []struct {
		name, url string
		want      reconnect.Verdict
	}{
		{"a certificate that is not trusted", overTLS.URL, reconnect.Stop},
		{"TLS to a port that does not speak it", strings.Replace(plain.URL, "http:", "wss:", 1), reconnect.Stop},
		{"no listener", gone.URL, reconnect.Soon},
		{"no answer", mute.URL, reconnect.Soon},
		{"another protocol", chatters.URL, reconnect.Stop},
		{"not a URL", "ws://[", reconnect.Stop},
		{"a URL with another scheme", "ftp://localhost/", reconnect.Stop},
	}
	for _, tt := range tests {
		_, err := websocket.Dial(bounded.Context(t), tt.url, nil)
		if got := reconnect.Judge(reconnect.Failure{Err: err, Dialing: true}); err == nil || got != tt.want {
			t.Errorf("%s: %v, want %v: %v", tt.name, got, tt.want, err)
		}
	}
}

func TestVerdictString(t *testing.T) {
	for v, want := range map[reconnect.Verdict]string{reconnect.Default: "default", reconnect.Soon: "soon", reconnect.Later: "later",
		reconnect.Stop: "stop", reconnect.Done: "done", 99: "invalid"} {
		if got := v.String(); got != want {
			t.Errorf("%d is %q, want %q", v, got, want)
		}
	}
}
