package main

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/handfast/handfast/client"
	"github.com/handfast/handfast/examples/internal/sitetest"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

func TestMain(m *testing.M) { os.Exit(bounded.Main(m)) }

// Customers see only their own orders.
func TestShop(t *testing.T) {
	ctx := bounded.Context(t)
	base := strings.TrimSuffix(sitetest.Start(t, example()), "/")
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	defer browser.CloseIdleConnections()
	post := func(path string, form url.Values, want int) {
		t.Helper()
		r, err := browser.PostForm(base+path, form)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != want {
			t.Errorf("POST %s: %s, want %d", path, r.Status, want)
		}
	}
	post("/orders", url.Values{"item": {"tea"}}, http.StatusUnauthorized)
	post("/login", url.Values{"name": {"ann"}}, http.StatusNoContent)

	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{"Cookie": {jar.Cookies(u)[0].String()}, "Origin": {base}}
	c := client.New(strings.Replace(base, "http", "ws", 1)+"/live", &client.Options{Dial: &websocket.DialOptions{Header: header}})
	defer c.Close()
	orders, err := c.Subscribe(ctx, "orders-ann", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Subscribe(ctx, "orders-bob", nil); err == nil {
		t.Error("ann may read the orders of bob")
	}
	if _, err := c.Publish(ctx, "orders-ann", []byte(`{}`), nil); err == nil {
		t.Error("a customer may publish orders")
	}
	post("/orders", url.Values{"item": {"tea"}}, http.StatusOK)
	post("/orders/1/sent", nil, http.StatusNoContent)
	post("/orders/2/sent", nil, http.StatusNotFound)
	want := []string{`{"number":1,"customer":"ann","item":"tea","state":"ordered"}`, `{"number":1,"customer":"ann","item":"tea","state":"sent"}`}
	for e, err := range orders.Events(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if got := string(e.Message.Data); got != want[0] {
			t.Errorf("%s, want %s", got, want[0])
		}
		if want = want[1:]; len(want) == 0 {
			break
		}
	}
}
