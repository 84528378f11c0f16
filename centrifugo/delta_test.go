package centrifugo

import (
	"strings"
	"testing"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
)

// An internal event of another protocol is not sent to clients of Centrifugo's protocol, and is not the base of a delta.
func TestInternalEvent(t *testing.T) {
	s := newServer(t)
	p := dial(t, serve(t, s, Client{Anonymous: true}, true), asJSON)
	p.send(`{"id":1,"connect":{}}` + "\n" + `{"id":2,"subscribe":{"channel":"a","delta":"fossil"}}`)
	p.want(`{"id":1,"connect":{"client":"*","ping":25,"pong":true}}`)
	p.want(`{"id":2,"subscribe":{"recoverable":true,"positioned":true,"epoch":"*","delta":true}}`)
	long := strings.Repeat("a long text, ", 20)
	publish := func(q hub.Publication, history int) {
		t.Helper()
		if _, err := s.Hub.Publish(bounded.Context(t), "dev", "a", &q, &hub.PublishOptions{History: history}); err != nil {
			t.Fatal(err)
		}
	}
	publish(hub.Publication{Data: []byte(`{"n":1,"text":"` + long + `"}`)}, 10)
	p.want(`{"push":{"channel":"a","pub":{"data":"{\"n\":1,\"text\":\"` + long + `\"}","offset":1,"epoch":"*"}}}`)
	publish(hub.Publication{Event: hub.InternalPrefix + "count", Data: []byte(`{"n":2,"text":"` + long + `"}`)}, -1)
	publish(hub.Publication{Data: []byte(`{"n":3,"text":"` + long + `"}`)}, 10)
	p.want(`{"push":{"channel":"a","pub":{"data":"{\"n\":3,\"text\":\"` + long + `\"}","offset":2}}}`)
	publish(hub.Publication{Data: []byte(`{"n":4,"text":"` + long + `"}`)}, 10)
	if got := p.read(); !strings.Contains(got, `"delta":true`) || len(got) > len(long) {
		t.Errorf("%s", got)
	}
}

// A value of a keyed collection is a delta from the previous value of its key. A client knows the previous value from the state, from
// missed publications, or from live publications. In JSON all values are strings.
func TestKeyDeltas(t *testing.T) {
	s := newServer(t)
	long := strings.Repeat("a long text, ", 20)
	publish := func(channel, key, n string) {
		t.Helper()
		q := &hub.Publication{Key: key, Data: []byte(`{"n":` + n + `,"text":"` + long + `"}`)}
		if n == "" {
			q.Data, q.Removed = nil, true
		}
		if _, err := s.Hub.Publish(bounded.Context(t), "dev", channel, q, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, channel := range []string{"a", "b"} {
		publish(channel, "x", "1")
		publish(channel, "y", "1")
		p := dial(t, serve(t, s, Client{Anonymous: true}, channel == "b"), asJSON)
		p.send(`{"id":1,"connect":{}}` + "\n" + `{"id":2,"subscribe":{"channel":"` + channel + `","type":1,"phase":2,"delta":"fossil"}}`)
		p.read()
		value := func(n string) string { return `"data":"{\"n\":` + n + `,\"text\":\"` + long + `\"}"` }
		p.want(`{"id":2,"subscribe":{"type":1,"recoverable":true,"positioned":true,"epoch":"*","offset":"*","delta":true,
			"state":[{"key":"x","offset":1,` + value("1") + `,"epoch":"*"},{"key":"y","offset":2,` + value("1") + `}]}}`)
		changed := func(key string) {
			t.Helper()
			if got := p.read(); !strings.Contains(got, `"delta":true`) || !strings.Contains(got, `"key":"`+key+`"`) || len(got) > len(long) {
				t.Errorf("%s", got)
			}
		}
		publish(channel, "x", "2")
		changed("x")
		publish(channel, "y", "2")
		changed("y")
		publish(channel, "x", "")
		p.want(`{"push":{"channel":"` + channel + `","pub":{"key":"x","removed":true,"offset":"*","data":"null"}}}`)
		publish(channel, "x", "1")
		p.want(`{"push":{"channel":"` + channel + `","pub":{"key":"x","offset":"*",` + value("1") + `}}}`)
		publish(channel, "y", "1")
		changed("y")
	}
}

// A filter by tags also applies to the state of a keyed collection. Removals pass every filter.
func TestKeysFiltered(t *testing.T) {
	s := newServer(t)
	publish := func(q hub.Publication) {
		t.Helper()
		if _, err := s.Hub.Publish(bounded.Context(t), "dev", "a", &q, nil); err != nil {
			t.Fatal(err)
		}
	}
	red, blue := map[string]string{"color": "red"}, map[string]string{"color": "blue"}
	publish(hub.Publication{Key: "x", Data: []byte("1"), Tags: red})
	publish(hub.Publication{Key: "y", Data: []byte("1"), Tags: blue})
	p := dial(t, serve(t, s, Client{Anonymous: true}, true), asJSON)
	const filter = `"tf":{"key":"color","cmp":"eq","val":"red"}`
	p.send(`{"id":1,"connect":{}}` + "\n" + `{"id":2,"subscribe":{"channel":"a","type":1,"phase":2,"delta":"fossil",` + filter + `}}`)
	p.read()
	p.want(`{"id":2,"subscribe":{"type":1,"recoverable":true,"positioned":true,"epoch":"*","offset":2,
		"state":[{"key":"x","offset":1,"data":1,"tags":{"color":"red"},"epoch":"*"}]}}`)
	publish(hub.Publication{Key: "y", Data: []byte("2"), Tags: blue})
	publish(hub.Publication{Key: "x", Data: []byte("2"), Tags: red})
	p.want(`{"push":{"channel":"a","pub":{"key":"x","offset":4,"data":2,"tags":{"color":"red"}}}}`)
	publish(hub.Publication{Key: "x", Removed: true})
	p.want(`{"push":{"channel":"a","pub":{"key":"x","offset":5,"removed":true,"data":null}}}`)

	q := dial(t, serve(t, s, Client{Anonymous: true}, true), asJSON) // recovers with the filter
	q.send(`{"id":1,"connect":{}}` + "\n" + `{"id":2,"subscribe":{"channel":"a","type":1,"phase":1,"recover":true,"offset":2,` + filter + `}}`)
	q.read()
	q.want(`{"id":2,"subscribe":{"type":1,"recoverable":true,"positioned":true,"epoch":"*","offset":5,"recovered":true,"was_recovering":true,
		"publications":[{"key":"x","offset":4,"data":2,"tags":{"color":"red"}},{"key":"x","offset":5,"removed":true,"data":null}]}}`)
}

// Deltas are computed only for data that is not too large, and only with a base.
func TestDeltaLimits(t *testing.T) {
	of := func(size int) *hub.Publication {
		return &hub.Publication{Data: []byte(strings.Repeat("x", size-1) + "y")}
	}
	for _, f := range []format{asJSON, asProtobuf} {
		for _, tt := range []struct {
			p, previous *hub.Publication
			want        bool
		}{
			{of(maxDelta), of(maxDelta), true}, {of(maxDelta), of(100), true}, {of(100), of(maxDelta), true},
			{of(maxDelta + 1), of(100), false}, {of(100), of(maxDelta + 1), false}, {of(100), hub.NoBase, false},
			{of(2), of(3), false}, // the delta would be longer
		} {
			if got := f.delta(tt.p, tt.previous); got.Delta != tt.want {
				t.Errorf("%v: %d bytes after %d: delta %v", f, len(tt.p.Data), len(tt.previous.Data), got.Delta)
			}
		}
	}
}
