package pusher

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
)

// manyChannelsEngine is an engine with an unlimited number of channels.
type manyChannelsEngine struct{ hub.Engine }

func (manyChannelsEngine) Occupy(context.Context, string, []hub.Occupied) error { return nil }

func (manyChannelsEngine) Occupied(_ context.Context, prefix, after string, limit int) (cs []hub.Occupied, more bool, err error) {
	from := 0
	fmt.Sscanf(strings.TrimPrefix(after, prefix), "%d", &from) //nolint:errcheck // the first page has no number, so from remains 0
	for i := range limit {
		cs = append(cs, hub.Occupied{Channel: fmt.Sprintf("%s%09d-%s", prefix, from+1+i, strings.Repeat("x", 180)), Subscribers: 1})
	}
	return cs, true, nil
}

// The API's lists have no pages, so a request whose response would be too large is rejected with a hint.
func TestTooManyChannels(t *testing.T) {
	h := hub.New(hub.Options{Engine: manyChannelsEngine{hub.NewMemory().Node()}})
	defer h.Close()
	url := drivers["run"](t, &Server{Hub: h, Apps: testApps()})
	if status, text := api(t, url, "GET", "/channels", ""); status != http.StatusBadRequest || !strings.Contains(text, "a longer filter_by_prefix") {
		t.Errorf("%d %.100s", status, text)
	}
}

// If the members of a presence channel do not fit into one message, subscriptions fail, and so does the API's list of the users if
// their IDs do not fit into one response.
func TestLargeMembers(t *testing.T) {
	s := newServer(t)
	s.MaxMembers = 100
	url := drivers["run"](t, s)
	join := func(i int, user, data string) {
		t.Helper()
		c := hub.Client{App: app.ID, ID: fmt.Sprint("c", i), User: fmt.Sprint(i, user), Data: []byte(data), Out: new(outbox), Codec: codec{}}
		n, err := s.Hub.Join(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Subscribe(bounded.Context(t), "presence-x", hub.SubscribeOptions{Member: true}, func(*hub.Recovered) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	large := strings.Repeat("x", 1<<20)
	for i := range 3 {
		join(i, "", `"`+large+`"`)
	}
	o := new(outbox)
	n := open(s, o)
	defer n.Closed(nil)
	subscribe := func() string {
		t.Helper()
		const data = `{"user_id":"0"}`
		text := fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":"presence-x","channel_data":%q,"auth":"%s:%s"}}`, data, app.Key,
			app.sign(channelText(n.id, "presence-x", data)))
		if err := execute(n, text); err != nil {
			t.Fatal(err)
		}
		return o.sent[len(o.sent)-1]
	}
	if text := subscribe(); !n.hub.Subscribed("presence-x") {
		t.Errorf("%.300s", text)
	}
	if err := execute(n, `{"event":"pusher:unsubscribe","data":{"channel":"presence-x"}}`); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		join(3+i, "", `"`+large+`"`)
	}
	if text := subscribe(); !strings.Contains(text, "subscription_error") || !strings.Contains(text, "make user_info smaller") {
		t.Errorf("%.300s", text)
	}
	if status, text := api(t, url, "GET", "/channels/presence-x/users", ""); status != http.StatusOK || !strings.Contains(text, `{"id":"4"}`) {
		t.Errorf("%d %.100s", status, text)
	}
	for i := range 5 {
		join(5+i, large, "1")
	}
	if status, text := api(t, url, "GET", "/channels/presence-x/users", ""); status != http.StatusBadRequest || !strings.Contains(text, "too many users") {
		t.Errorf("%d %.100s", status, text)
	}
}

// The length of a query is limited.
func TestLongQuery(t *testing.T) {
	url := drivers["run"](t, newServer(t))
	path := "/channels?filter_by_prefix="
	bytes := func(fill int) int {
		return len(signedQuery(app, "GET", "/apps/"+app.ID+"/channels", "filter_by_prefix="+strings.Repeat("x", fill), "", time.Now()))
	}
	fits := maxQuery - bytes(0)
	if n := bytes(fits); n != maxQuery {
		t.Fatal(n)
	}
	if status, text := api(t, url, "GET", path+strings.Repeat("x", fits), ""); status != http.StatusOK {
		t.Errorf("%d %.100s", status, text)
	}
	if status, text := api(t, url, "GET", path+strings.Repeat("x", fits+1), ""); status != http.StatusBadRequest || !strings.Contains(text, "4096 bytes") {
		t.Errorf("%d %.100s", status, text)
	}
}
