package main

import (
	"encoding/json"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/handfast/handfast/client"
	"github.com/handfast/handfast/examples/internal/sitetest"
	"github.com/handfast/handfast/internal/bounded"
)

func TestMain(m *testing.M) { os.Exit(bounded.Main(m)) }

// A client receives the lines from before and after its subscription in order, and cannot publish.
func TestNews(t *testing.T) {
	ctx := bounded.Context(t)
	news, write := io.Pipe()
	url := strings.Replace(sitetest.Start(t, example(news)), "http", "ws", 1) + "channels"
	t.Cleanup(func() { write.Close() })
	c := client.New(url, nil)
	defer c.Close()
	io.WriteString(write, "one\n") // returns when the server has read the line
	io.WriteString(write, "two\n") // returns when the server has published "one" and read "two"
	page, err := c.History(ctx, "news", client.HistoryOptions{Limit: 20})
	if err != nil || len(page.Messages) == 0 {
		t.Fatal(page, err)
	}
	var got []string
	for _, m := range page.Messages {
		got = append(got, string(m.Data))
	}
	sub, err := c.Subscribe(ctx, "news", &client.SubscribeOptions{Since: &page.Position})
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(write, "three\n")
	want := []string{`"one"`, `"two"`, `"three"`}
	for e, err := range sub.Events(ctx) {
		if err != nil || e.Message == nil {
			t.Fatal(e, err)
		}
		if got = append(got, string(e.Message.Data)); len(got) == len(want) {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if _, err := c.Publish(ctx, "news", json.RawMessage(`"mine"`), nil); err == nil {
		t.Error("a client may publish news")
	}
}
