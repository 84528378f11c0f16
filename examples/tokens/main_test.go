package main

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/handfast/handfast/examples/internal/sitetest"
	"github.com/handfast/handfast/internal/bounded"
)

func TestMain(m *testing.M) { os.Exit(bounded.Main(m)) }

// A question that is asked twice is answered once, and a reader receives the whole answer.
func TestAnswer(t *testing.T) {
	at := sitetest.Start(t, example(nil))
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for range 2 {
		r, err := http.NewRequestWithContext(bounded.Context(t), http.MethodPost, at+"ask/a?"+url.Values{"question": {"Why?"}}.Encode(), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(r)
		if err != nil || resp.StatusCode != http.StatusNoContent {
			t.Fatalf("%v, %v", resp, err)
		}
		resp.Body.Close()
	}
	r, err := http.NewRequestWithContext(bounded.Context(t), http.MethodGet, at+"answers/a?offset=-1&live=sse", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	events, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(events), `"streamClosed":true`) || strings.Count(string(events), "You ") != 1 {
		t.Errorf("%s, %v", events, err)
	}
}
