package centrifugo

import (
	"strings"
	"testing"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
)

// An event for the clients of another protocol does not arrive, and is no base of a delta.
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
