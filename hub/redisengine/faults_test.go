//go:build e2e

package redisengine

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/enginetest"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/internal/redistest"
)

// node returns a hub, and a channel that receives the state of its engine.
func node(t testing.TB, o Options) (*hub.Hub, chan error) {
	t.Helper()
	told := make(chan error, 100)
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	h := hub.New(hub.Options{
		Engine: e, Namespaces: []hub.Namespace{{History: 100, HistoryAge: time.Hour}}, ProbeEvery: 200 * time.Millisecond,
		EngineState: func(err error) { told <- err },
	})
	t.Cleanup(func() { h.Close() })
	return h, told
}

// waitForFailure waits for the report that the engine has failed.
func waitForFailure(t testing.TB, told chan error) error {
	t.Helper()
	for {
		if err := bounded.Receive(t, told); err != nil {
			return err
		}
	}
}

func publish(t testing.TB, h *hub.Hub, text string) {
	t.Helper()
	if _, err := h.Publish(bounded.Context(t), "app", "room", &hub.Publication{Data: []byte(text)}, nil); err != nil {
		t.Fatal(err)
	}
}

// If a server is silent for long enough to be noticed, the nodes are not ready, and no data is lost.
func TestSilentServer(t *testing.T) {
	s := startRedis(t, "")
	a, toldA := node(t, Options{URL: s.URL()})
	b, toldB := node(t, Options{URL: s.URL()})
	c := enginetest.NewClient(t, a, nil, hub.Client{ID: "c", User: "ann"})
	c.Subscribe(t, "room", hub.SubscribeOptions{})
	publish(t, b, "one")
	c.Want(t, "one")
	resume := s.pause(t)
	defer resume()
	waitForFailure(t, toldA)
	waitForFailure(t, toldB)
	bounded.Until(t, func() bool { return a.Ready() != nil && strings.Contains(a.Ready().Error(), "there is no connection") })
	resume()
	bounded.Until(t, func() bool { return a.Ready() == nil && b.Ready() == nil })
	if err := bounded.Receive(t, toldA); err != nil {
		t.Errorf("the state after the server is back: %v", err)
	}
	publish(t, b, "two")
	c.Want(t, "one", "two")
}

// A node executes a missed command after it reconnects.
func TestMissedCommand(t *testing.T) {
	s := startRedis(t, "")
	l := newProxy(t, s.Addr())
	a, told := node(t, Options{URL: l.url()})
	b, _ := node(t, Options{URL: s.URL()})
	c := enginetest.NewClient(t, a, nil, hub.Client{ID: "c", User: "ann"})
	c.Subscribe(t, "room", hub.SubscribeOptions{})
	l.set(false)
	waitForFailure(t, told)
	if err := b.Do(bounded.Context(t), hub.Command{Kind: hub.CommandDisconnect, App: "app", User: "ann", Reason: hub.EndExpired}); err != nil {
		t.Fatal(err)
	}
	if _, code := c.Calls(); code != 0 {
		t.Fatalf("closed with %d while the node had no connection", code)
	}
	l.set(true)
	bounded.Until(t, func() bool { _, code := c.Calls(); return code != 0 })
}

// A node that is connecting for the first time executes a command that is sent before its subscription is confirmed.
func TestCommandDuringFirstConnection(t *testing.T) {
	s := startRedis(t, "")
	l := newProxy(t, s.Addr())
	l.hold = "SUBSCRIBE"
	a, _ := node(t, Options{URL: l.url()})
	b, _ := node(t, Options{URL: s.URL()})
	c := enginetest.NewClient(t, a, nil, hub.Client{ID: "c", User: "ann"})
	bounded.Receive(t, l.holding)
	if err := b.Do(bounded.Context(t), hub.Command{Kind: hub.CommandDisconnect, App: "app", User: "ann", Reason: hub.EndExpired}); err != nil {
		t.Fatal(err)
	}
	close(l.release)
	bounded.Until(t, func() bool { _, code := c.Calls(); return code != 0 })
}

func TestTLS(t *testing.T) {
	web := httptest.NewTLSServer(nil) // its certificate is for 127.0.0.1
	defer web.Close()
	dir := t.TempDir()
	pair := web.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*pem.Block{"cert": {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, "key": {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr)
	l.Close()
	startRedis(t, fmt.Sprintf("tls-port %d\ntls-cert-file %s/cert\ntls-key-file %[2]s/key\ntls-auth-clients no\n", addr.Port, dir))
	url := "rediss://:" + redistest.Password + "@" + addr.String()
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	a, _ := node(t, Options{URL: url, TLS: &tls.Config{RootCAs: roots}})
	bounded.Until(t, func() bool { return a.Ready() == nil })
	b, told := node(t, Options{URL: url}) // the system does not trust the certificate
	waitForFailure(t, told)
	bounded.Until(t, func() bool { return strings.Contains(b.Ready().Error(), "certificate") })
}

// Unusable servers are rejected, and the rejection is reported.
func TestRefusedServers(t *testing.T) {
	for info, want := range map[string]string{
		"redis_version:6.2.14\r\nredis_mode:standalone\r\n": `version "6.2.14"; 7.0 or newer`,
		"redis_version:7.4.1\r\nredis_mode:cluster\r\n":     "part of a cluster",
		"": `version ""`,
	} {
		addr := fakeServer(t, info)
		url := "redis://:" + redistest.Password + "@" + addr
		err := newEngine(t, url).Run(bounded.Context(t), nil)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), redistest.Password) {
			t.Errorf("%q: %v", info, err)
		}
		_, told := node(t, Options{URL: url})
		for !strings.Contains(waitForFailure(t, told).Error(), want) { // a probe may fail before the server is rejected
		}
	}
}

// fakeServer starts a server with an INFO response that the test specifies.
func fakeServer(t testing.TB, info string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { defer c.Close(); answer(c, info) })
		}
	})
	return l.Addr().String()
}

// answer replies to each command, which is an array of bulk strings of two lines each.
func answer(c net.Conn, info string) {
	lines := bufio.NewScanner(c)
	for lines.Scan() {
		n, err := strconv.Atoi(strings.TrimPrefix(lines.Text(), "*"))
		if err != nil {
			return
		}
		var words []string
		for range n {
			lines.Scan()
			lines.Scan()
			words = append(words, lines.Text())
		}
		reply := "+OK\r\n"
		switch words[0] {
		case "HELLO":
			reply = "%2\r\n+server\r\n+redis\r\n+proto\r\n:3\r\n"
		case "INFO":
			reply = fmt.Sprintf("$%d\r\n%s\r\n", len(info), info)
		case "PING":
			reply = "+PONG\r\n"
		}
		if _, err := c.Write([]byte(reply)); err != nil {
			return
		}
	}
}
