package natsengine

import (
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/handfast/handfast/internal/bounded"
)

// A server that was stopped and has come back to its cluster says for a moment that there is no leader. That is waited for.
func TestTemporarilyUnavailable(t *testing.T) {
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	defer srv.WaitForShutdown()
	defer srv.Shutdown()
	nc, err := nats.Connect("", nats.InProcessServer(srv))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	m, err := newMux(nc)
	if err != nil {
		t.Fatal(err)
	}
	s := &store{mux: m, log: "LOG", state: "STATE", leader: true}
	const unavailable = `{"error":{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"}}`
	asked := make(chan string, 100)
	answer := func(subject string, later ...string) {
		t.Helper()
		n := 0
		if _, err := nc.Subscribe(subject, func(m *nats.Msg) {
			asked <- m.Subject
			text := unavailable
			if n++; n > 3 {
				text = later[min(n-4, len(later)-1)]
			}
			m.Respond([]byte(text)) //nolint:errcheck // the test then fails
		}); err != nil {
			t.Fatal(err)
		}
	}
	answer("$JS.API.STREAM.MSG.GET.STATE", `{"message":{"subject":"a","seq":7,"data":"eA==","time":"2026-01-02T03:04:05Z"}}`,
		`{"error":{"code":404,"err_code":10037,"description":"no message found"}}`,
		`{"error":{"code":500,"err_code":10051,"description":"the disk is full"}}`)
	answer("$JS.API.STREAM.PURGE.STATE", `{"success":true}`)
	ctx := bounded.Context(t)
	if i, err := s.last(ctx, s.state, "a"); err != nil || i == nil || i.seq != 7 || string(i.data) != "x" {
		t.Errorf("read %+v, %v", i, err)
	}
	if i, err := s.last(ctx, s.state, "a"); err != nil || i != nil {
		t.Errorf("read %+v, %v, want nothing", i, err)
	}
	if i, err := s.last(ctx, s.state, "a"); err == nil {
		t.Errorf("read %+v, want an error", i)
	}
	if err := s.purge(ctx, s.state, "a", 0, 0); err != nil {
		t.Error(err)
	}
	if n := len(asked); n != 3+3+3+1 {
		t.Errorf("%d requests", n)
	}
}
