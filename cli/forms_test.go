package cli

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/handfast/handfast/channels/wire"
	"github.com/handfast/handfast/client"
	"github.com/handfast/handfast/internal/chain"
	"github.com/handfast/handfast/internal/nextstep"
	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/handshake"
)

// A private key is read in every form that openssl writes, after other contents of the file.
func TestReadSigner(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	old, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	sec1 := func(k *ecdsa.PrivateKey) []byte {
		der, err := x509.MarshalECPrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	for _, tt := range []struct {
		block string
		der   []byte
		want  string // the algorithm, or the error
	}{
		{"EC PRIVATE KEY", sec1(p384), "ES384"},
		{"EC PRIVATE KEY", sec1(p521), "ES512"},
		{"EC PRIVATE KEY", sec1(p224), "a kind that cannot sign tokens"},
		{"RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(old), "RS256"},
		{"ENCRYPTED PRIVATE KEY", []byte("x"), "cannot be read"},
		{"PUBLIC KEY", []byte("x"), "no private key"},
	} {
		text := string(pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte("x")})) + string(pem.EncodeToMemory(&pem.Block{Type: tt.block, Bytes: tt.der}))
		method, key, err := (&jwtFlags{keyFile: secretFile(t, "key.pem", text)}).signer()
		if err != nil && !strings.Contains(err.Error(), tt.want) || err == nil && (method.Alg() != tt.want || key == nil) {
			t.Errorf("%s: %v, %v, want %s", tt.block, method, err, tt.want)
		}
	}
}

// The size of a secret on standard input is limited, and a read error is returned.
func TestReadSecret(t *testing.T) {
	for n, want := range map[int]bool{0: false, 1: true, maxSecret: true, maxSecret + 1: false} {
		got, err := readSecret(&System{Stdin: strings.NewReader(strings.Repeat("x", n))}, "token", "")
		if (err == nil) != want || want && len(got) != n {
			t.Errorf("%d bytes: %d, %v", n, len(got), err)
		}
	}
	if got, err := readSecret(&System{Stdin: strings.NewReader("x \r\n")}, "token", ""); got != "x " || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := readSecret(&System{Stdin: &failingReader{}}, "token", ""); err == nil {
		t.Error("a read error is not returned")
	}
}

// The credentials in a handshake are described by their location.
func TestSentBy(t *testing.T) {
	s := sentInfoOf("ws://user:hush@host/?token=hush&room=1", &websocket.DialOptions{
		Header: map[string][]string{"Origin": {"https://a"}, "Cookie": {"a=hush"}, "Accept": {"x"}, "Authorization": {"hush"}},
		TLS:    &tls.Config{Certificates: []tls.Certificate{{}}}, Subprotocols: []string{"chat", "handfast.token.hush"},
	})
	if want := []string{"Authorization header", "Cookie header", "user and password of the URL", "token in the URL's query", "token in a subprotocol", "client certificate"}; s.origin != "https://a" || !slices.Equal(s.credentials, want) {
		t.Errorf("%+v", s)
	}
	if s := sentInfoOf("ws://host/", &websocket.DialOptions{TLS: &tls.Config{}, Subprotocols: []string{"chat"}}); len(s.credentials) > 0 || s.origin != "" {
		t.Errorf("%+v", s)
	}
}

// The layers of a connection are described in the order in which they are established.
func TestDescribeConn(t *testing.T) {
	for want, hs := range map[string]*websocket.Handshake{
		"ws://a (HTTP/1.1)": {Proto: "HTTP/1.1"},
		"ws://a (HTTP/1.1, TLS 1.3, subprotocol chat, permessage-deflate)": {
			Proto: "HTTP/1.1", TLS: &tls.ConnectionState{Version: tls.VersionTLS13}, Subprotocol: "chat", Extensions: "permessage-deflate",
		},
	} {
		if got := describeConn("ws://a", hs); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if got := dialError("ws://a", errors.New("no way"), nil).Error(); got != "no WebSocket at ws://a: no way" {
		t.Error(got)
	}
	if got := dialError("ws://a", fmt.Errorf("x: %w", errInterrupted), nil); !errors.Is(got, errInterrupted) || got.Error() != errInterrupted.Error() {
		t.Error(got)
	}
	e := &websocket.HandshakeError{Stage: handshake.StageStatus, Status: 401, Err: errors.New("websocket: no entry")}
	if got := dialError("ws://a", e, &sentInfo{}); got.Error() != "no WebSocket at ws://a: no entry" || nextstep.Of(got) == "" || !errors.Is(got, error(e)) {
		t.Errorf("%v, %s", got, nextstep.Of(got))
	}
}

// The flags of dial are converted to options of the library.
func TestDialOptions(t *testing.T) {
	state(t)
	for _, tt := range []struct {
		f    dialFlags
		want func(o *websocket.DialOptions) bool
	}{
		{dialFlags{ping: time.Minute}, func(o *websocket.DialOptions) bool {
			return o.Conn.PingInterval == time.Minute && o.Conn.MaxMessage == maxLine && o.Conn.Compression == nil && !o.TLS.InsecureSkipVerify
		}},
		{dialFlags{compress: true, binary: true}, func(o *websocket.DialOptions) bool {
			return o.Conn.PingInterval == -1 && o.Conn.MaxMessage == -1 && o.Conn.Compression != nil
		}},
		{dialFlags{insecure: true}, func(o *websocket.DialOptions) bool {
			return o.TLS.InsecureSkipVerify && o.TLS.MinVersion == tls.VersionTLS12
		}},
	} {
		tt.f.http.value = "1.1"
		var stderr buffer
		o, err := tt.f.options(&System{Stderr: &stderr, Stdout: &stderr})
		if err != nil || !tt.want(o) || strings.Contains(stderr.String(), "--insecure") != tt.f.insecure {
			t.Errorf("%+v: %+v, %v, %s", tt.f, o, err, stderr.String())
		}
	}
	for _, raw := range []string{"ws://a b", "ws://a/\x7f", "ws://a\n", "ws://host:0/", "ws://host:65536/", "ws://host/#x", "ws:///x", "a", "%"} {
		if _, err := checkURL(raw); err == nil {
			t.Errorf("%q", raw)
		}
	}
	if got, err := checkURL("wss://u:p@host:65535/a%2Fb?c"); err != nil || got != "wss://host:65535/a%2Fb" {
		t.Errorf("%s, %v", got, err)
	}
}

// The next step after a URL without :// keeps the scheme that was given. A name before a port is a host.
func TestURLWithoutSlashes(t *testing.T) {
	for raw, want := range map[string]string{
		"wss:/host": "write wss://host", "ws:host": "write ws://host", "ws:host:8080/x": "write ws://host:8080/x", "ws//host": "write ws://host",
		"WSS:host": "write wss://host", "http:/host": "write http://host", "wss:/u:p@host": "write wss://…",
		"ws:8080": "write wss://ws:8080, or ws://ws:8080 ", "ws/x": "write wss://ws/x, or", "host:1": "write wss://host:1, or", "wss:": "write wss://wss:, or",
	} {
		_, err := checkURL(raw)
		if step := nextstep.Of(err); !strings.HasPrefix(step, want) {
			t.Errorf("%q: %q, want %q (%v)", raw, step, want, err)
		}
	}
}

// Each kind of channel event has its own output.
func TestPrinter(t *testing.T) {
	message := client.Event{Message: &client.Message{Type: "message", Channel: "c", Offset: 7, Data: []byte(`{"a": [1]}`)}}
	change := client.Event{Change: &client.Change{Type: "join", Channel: "c", Member: client.Member{User: "ann", Data: []byte(`{"n":1}`)}}}
	gap := client.Event{Gap: wire.NewEpoch}
	for _, tt := range []struct {
		name           string
		f              subscribeFlags
		epoch          string
		e              client.Event
		stdout, stderr string
	}{
		{"message", subscribeFlags{}, "e", message, "{\"a\":[1]}\n", ""},
		{"change", subscribeFlags{}, "e", change, "", "c: join ann {\"n\":1}\n"},
		{"gap", subscribeFlags{}, "e", gap, "", "handfast: channel c: messages may be missing (new_epoch)\n"},
		{"gap of another epoch", subscribeFlags{since: "x:1"}, "e", gap, "", "handfast: channel c: messages may be missing (new_epoch)\n"},
		{"gap beyond the end", subscribeFlags{since: "e:1"}, "e", gap, "", "handfast: channel c: --since is beyond the last message; continuing after that message\n"},
		{"gap of the history", subscribeFlags{since: ":1"}, "", gap, "", "handfast: channel c: messages may be missing (new_epoch)\n"},
	} {
		var stdout, stderr buffer
		p := &printer{sys: &System{Stdout: &stdout, Stderr: &stderr}, flags: &tt.f, ended: make(chan error, 1)}
		p.printEvent("c", tt.epoch, tt.e)
		if stdout.String() != tt.stdout || stderr.String() != tt.stderr {
			t.Errorf("%s: %q, %q", tt.name, stdout.String(), stderr.String())
		}
	}
	for _, tt := range []struct {
		e    client.Event
		want string
	}{{message, `"offset":7`}, {message, `"epoch":"e"`}, {change, `"type":"join"`}, {gap, `{"type":"gap","channel":"c","why":"new_epoch"}`}} {
		if got := eventJSON("c", "e", tt.e); !strings.Contains(got, tt.want) || !json.Valid([]byte(got)) {
			t.Errorf("%s, want %s", got, tt.want)
		}
	}
	for data, want := range map[string]string{`"a b"`: "a b", `{"a": 1}`: `{"a":1}`, `{"a`: `{"a`, "7": "7"} {
		if got := messageText(&client.Message{Data: []byte(data)}); got != want {
			t.Errorf("%s: %s", data, got)
		}
	}
	var out bytes.Buffer
	p := &printer{sys: &System{Stdout: &out, Stderr: &out}, flags: &subscribeFlags{count: 2}, ended: make(chan error, 1)}
	for i := range 3 {
		if len(p.ended) != i/2 {
			t.Errorf("after %d messages, %d results were sent to ended", i, len(p.ended))
		}
		p.printEvent("c", "e", message)
	}
	p.stop()
	p.printEvent("c", "e", change)
	if out.String() != "{\"a\":[1]}\n{\"a\":[1]}\n" {
		t.Errorf("%q", out.String())
	}
	if err := printLine(&brokenWriter{syscall.EPIPE}, "x"); !errors.Is(err, errReported) {
		t.Error(err)
	}
	if err := printLine(&brokenWriter{os.ErrClosed}, "x"); !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}

// A server error is printed with its channel and, for a denial, with the next step; a late error is printed with its reason.
func TestChannelErrors(t *testing.T) {
	failed := &client.Error{Code: wire.Denied, Message: "this is not allowed"}
	if err := denied("news", failed); err.Error() != "channel news: this is not allowed (denied)" || !strings.Contains(nextstep.Of(err), "handfast config test") {
		t.Errorf("%v, %s", err, nextstep.Of(err))
	}
	if err := denied("news", &client.Error{Code: wire.BadRequest, Message: "no"}); err.Error() != "channel news: no (bad_request)" || nextstep.Of(err) != "" {
		t.Errorf("%v, %s", err, nextstep.Of(err))
	}
	if err := denied("news", os.ErrClosed); !errors.Is(err, os.ErrClosed) || denied("news", nil) != nil {
		t.Error(err)
	}
	f := &channelsFlags{timeout: time.Second}
	if err := f.timeoutError(os.ErrClosed); !errors.Is(err, os.ErrClosed) || f.timeoutError(nil) != nil {
		t.Error(err)
	}
	if err := f.timeoutError(os.ErrDeadlineExceeded); errors.Is(err, errTimeout) {
		t.Error(err)
	}
	err := f.timeoutError(errors.Join(context.DeadlineExceeded, &client.Error{Code: wire.Unavailable, Message: "no engine"}))
	if err.Error() != "the server did not respond in time: 1s: no engine" || nextstep.Of(err) == "" {
		t.Errorf("%v, %s", err, nextstep.Of(err))
	}
}

// All names of a certificate are shown. If it has no subject, the first name is used instead.
func TestDescribeCert(t *testing.T) {
	u, err := url.Parse("spiffe://box/a")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	cert := &x509.Certificate{SerialNumber: big.NewInt(255), URIs: []*url.URL{u}, EmailAddresses: []string{"a@box"}, NotBefore: now, NotAfter: now.Add(36 * time.Hour)}
	if got := describeCert(cert, now); got.Subject != "spiffe://box/a" || !slices.Equal(got.Names, []string{"spiffe://box/a", "a@box"}) || got.Serial != "FF" || got.DaysLeft != 1 {
		t.Errorf("%+v", got)
	}
	if got := describeCert(cert, now.Add(37*time.Hour)); got.DaysLeft != -1 {
		t.Errorf("%d days left", got.DaysLeft)
	}
	cert.Subject = pkix.Name{CommonName: "box"}
	cert.Subject.Names = []pkix.AttributeTypeAndValue{{Value: "box"}}
	if got := describeCert(cert, now); got.Subject != chain.NameOf(cert.Subject) {
		t.Errorf("%+v", got)
	}
	for want, c := range map[string]*x509.Certificate{
		"Truststore Development CA 7": {SerialNumber: big.NewInt(7)}, "box 7": {SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "box"}},
	} {
		if got := uniqueName(c); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	for kind, want := range map[chain.Kind]string{
		chain.Expired: "renew", chain.NotYet: "clock", chain.Name: "subject alternative name", chain.SelfSigned: "--cacert", chain.Incomplete: "whole chain",
		chain.Usage: "serverAuth", chain.Order: "first", chain.Unknown: "public one", "other": "issue another",
	} {
		if got := chainHint(kind, cert); !strings.Contains(got, want) {
			t.Errorf("%v: %s", kind, got)
		}
	}
	for s, want := range map[string]string{"https://host": "host:443", "wss://host:8443/x": "host:8443", "host:1": "host:1", "https://": "", "x.pem": ""} {
		if _, got, err := targetOf(s); got != want || (err == nil) != (want != "") && s != "x.pem" {
			t.Errorf("%s: %s, %v", s, got, err)
		}
	}
}
