package centrifugo

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/centrifugal/protocol"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
)

// filledServer fills a channel with many of the largest messages, and returns their number.
func filledServer(t *testing.T) (*Server, int) {
	t.Helper()
	n := 1000
	if testing.Short() {
		n = 100
	}
	h := hub.New(hub.Options{Namespaces: []hub.Namespace{{History: 1000, Presence: true}, {Prefix: "none:"}}})
	t.Cleanup(func() { h.Close() })
	data := []byte(`"` + strings.Repeat("x", 65_000) + `"`)
	for i := range n {
		p := &hub.Publication{Data: data, Key: fmt.Sprintf("%04d", i)}
		if _, err := h.Publish(bounded.Context(t), "dev", "large", p, nil); err != nil {
			t.Fatal(err)
		}
		if i < 20 {
			if _, err := h.Publish(bounded.Context(t), "dev", "none:large", &hub.Publication{Data: data, Key: p.Key}, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	return &Server{Hub: h, App: "dev", Secret: "secret"}, n
}

func decodeResult(t *testing.T, text string, r any) {
	t.Helper()
	if len(text) > maxReply+8192 {
		t.Fatalf("a response of %d bytes", len(text))
	}
	if err := json.Unmarshal([]byte(text), &struct {
		Result any `json:"result"`
	}{r}); err != nil {
		t.Fatal(err)
	}
}

// Histories and collections are returned in pages of limited size, each of which contains the position of the next one.
func TestLargePages(t *testing.T) {
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	s, n := filledServer(t)
	url := serve(t, s, Client{Anonymous: true}, false)
	got, since := 0, ""
	for {
		_, text := call(t, url, "history", "secret", `{"channel":"large","limit":1000`+since+`}`)
		var r protocol.HistoryResult
		decodeResult(t, text, &r)
		if len(r.Publications) == 0 {
			break
		}
		got += len(r.Publications)
		since = fmt.Sprintf(`,"since":{"epoch":"%s","offset":%d}`, r.Epoch, r.Publications[len(r.Publications)-1].Offset)
	}
	if got != n {
		t.Errorf("the pages of the history contain %d publications", got)
	}
	p := dial(t, url, asJSON)
	p.send(`{"id":1,"connect":{}}`)
	p.read()
	subscribe := func(more string) *protocol.SubscribeResult {
		t.Helper()
		p.send(`{"id":2,"subscribe":{"channel":"large"` + more + `}}`)
		text := p.read()
		var reply protocol.Reply
		if err := json.Unmarshal([]byte(text), &reply); err != nil || reply.Subscribe == nil || len(text) > maxReply+8192 {
			t.Fatalf("%.200s, %v", text, err)
		}
		return reply.Subscribe
	}
	got = 0
	for cursor := ""; ; {
		r := subscribe(`,"type":1,"phase":2,"limit":1000,"cursor":"` + cursor + `"`)
		got += len(r.State)
		if cursor = r.Cursor; r.Phase == phaseLive {
			break
		}
	}
	if got != n {
		t.Errorf("the pages of the state contain %d publications", got)
	}
	p.send(`{"id":3,"unsubscribe":{"channel":"large"}}`)
	p.read()
	for offset, recovered := range map[int]bool{1: false, n - 10: true} {
		r := subscribe(fmt.Sprintf(`,"recover":true,"offset":%d`, offset))
		if r.Recovered != recovered || !r.WasRecovering || int(r.Offset) != n || recovered != (len(r.Publications) == 10) {
			t.Errorf("since %d: recovered %v, %d publications, offset %d", offset, r.Recovered, len(r.Publications), r.Offset)
		}
		p.send(`{"id":3,"unsubscribe":{"channel":"large"}}`)
		p.want(`{"id":3,"unsubscribe":{}}`)
	}
	p.send(`{"id":4,"subscribe":{"channel":"large","recover":true,"offset":1,"flag":2}}`)
	p.want(`{"id":4,"error":{"code":112,"message":"unrecoverable position"}}`)
	p.send(`{"id":5,"subscribe":{"channel":"none:large","type":1,"phase":2}}`)
	p.want(`{"id":5,"error":{"code":106,"message":"limit exceeded"}}`)
}

// The tags, the key and the idempotency key are included in the size of a publication.
func TestLargeTags(t *testing.T) {
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	url := serve(t, newServer(t), Client{}, false)
	long := strings.Repeat("x", 65_530)
	for _, body := range []string{
		`{"channel":"a","data":1,"tags":{"a":"` + long + `"}}`, `{"channel":"a","data":1,"key":"` + long + `"}`, `{"channel":"a","data":1,"idempotency_key":"` + long + `"}`,
	} {
		if _, got := call(t, url, "map_publish", "secret", strings.Replace(body, `"data":1`, `"data":1234567,"key":"k"`, 1)); !matchesPattern(got, `{"error":{"code":106,"message":"limit exceeded"}}`) {
			t.Errorf("%.60s: %.200s", body, got)
		}
	}
}

// The connections of a channel are returned in one reply, so the size of their data is limited.
func TestLargePresence(t *testing.T) {
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	s := newServer(t)
	for i := range 5 {
		c := hub.Client{App: "dev", ID: fmt.Sprint("c", i), User: "ann", Data: []byte(`"` + strings.Repeat("x", 1<<20) + `"`), Out: new(sink), Codec: asJSON}
		n, err := s.Hub.Join(c)
		if err != nil {
			t.Fatal(err)
		}
		defer n.Leave()
		if err := n.Subscribe(bounded.Context(t), "a", hub.SubscribeOptions{Member: true}, func(*hub.Recovered) error { return nil }); err != nil {
			t.Fatal(err)
		}
		_, got := call(t, serve(t, s, Client{}, false), "presence", "secret", `{"channel":"a"}`)
		if full := strings.Contains(got, `"code":106`); full != (i >= 3) || !full && len(got) < (i+1)<<20 {
			t.Errorf("%d connections: %.100s", i+1, got)
		}
	}
}
