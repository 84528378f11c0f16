package natsengine

import (
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
)

// The ID of a publication is remembered for hub.Idempotency: by the stream if the publication is kept, otherwise by a message that
// expires.
func TestIdempotencyEnds(t *testing.T) {
	e := newEngine(t, Options{Server: start(t, Embedded{Dir: t.TempDir()})})
	h := hub.New(hub.Options{Engine: e})
	t.Cleanup(func() { h.Close() })
	ctx := bounded.Context(t)
	if _, err := h.Publish(ctx, "app", "not-kept", &hub.Publication{ID: "once", Data: []byte("1")}, nil); err != nil {
		t.Fatal(err)
	}
	s, _, err := e.link.ready(ctx)
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(s.nc)
	if err != nil {
		t.Fatal(err)
	}
	log, err := js.Stream(ctx, s.log)
	if err != nil || log.CachedInfo().Config.Duplicates != hub.Idempotency {
		t.Errorf("IDs of publications that are kept: %+v, %v", log, err)
	}
	claim, err := s.last(ctx, s.state, e.sub.state("c", hash("id "+hash("app/not-kept", "once"))))
	if err != nil || claim == nil {
		t.Fatalf("%+v, %v", claim, err)
	}
	if ttl := claim.header.Get(jetstream.MsgTTLHeader); ttl != strconv.Itoa(int(hub.Idempotency/time.Second)) {
		t.Errorf("IDs of publications that are not kept: %q", ttl)
	}
}
