package streams

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/hub"
)

// A fork contains its source's messages, even if the source was written on another node. The fork has its own offsets, accepts the
// source's offsets up to the fork, and has no state of the source's producers.
func TestFork(t *testing.T) {
	ns := nodes(t, 2, hub.Options{Namespaces: []hub.Namespace{{History: 100}}})
	a, b := ns[0], ns[1]
	_, none := a.must(201, "PUT", "s", "", contentTypeHeader, jsonType, headerTTL, "60")
	producer := []string{contentTypeHeader, jsonType, headerProducer, "p", headerEpoch, "0", headerNumber, "0", headerSeq, "b"}
	_, one := a.must(200, "POST", "s", `[1]`, producer...)
	if _, err := a.Hub.Publish(t.Context(), "dev", "s", &hub.Publication{Data: []byte("2"), Event: "e", Tags: map[string]string{"x": "y"}}, nil); err != nil {
		t.Fatal(err)
	}
	a.must(204, "POST", "s", "3", contentTypeHeader, jsonType, headerClosed, "true")

	b.must(201, "PUT", "dir/f", "[4]", headerFork, "/s", headerTTL, "70")
	text, h := a.must(200, "GET", "dir/f", "")
	if text != "[1,2,3,4]" || h.Get(headerClosed) != "" {
		t.Errorf("%q, %v", text, h)
	}
	for offset, want := range map[string]string{none.Get(headerNext): "[1,2,3,4]", one.Get(headerNext): "[2,3,4]", h.Get(headerNext): "[]"} {
		for _, n := range ns {
			if text, _ := n.must(200, "GET", "dir/f?offset="+offset, ""); text != want {
				t.Errorf("from %s: %q, want %q", offset, text, want)
			}
		}
	}
	b.must(200, "POST", "dir/f", `[5]`, producer...)
	page, err := a.Hub.History(t.Context(), "dev", "dir/f", hub.HistoryQuery{Limit: -1})
	if err != nil || len(page.Publications) != 5 || page.Publications[1].Event != "e" || page.Publications[1].Tags["x"] != "y" {
		t.Errorf("%+v, %v", page, err)
	}
	_, h = a.must(200, "HEAD", "dir/f", "")
	if h.Get(headerTTL) != "70" {
		t.Errorf("%v", h)
	}

	// Repeating the request does not create another fork; a different request is a conflict.
	b.must(200, "PUT", "dir/f", "[4]", headerFork, "s")
	b.must(409, "PUT", "dir/f", "", headerFork, "s", headerForkOffset, "now")
	b.must(409, "PUT", "dir/f", "", headerFork, "s", headerTTL, "71")
	b.must(409, "PUT", "dir/f", "", contentTypeHeader, jsonType)
	b.must(409, "PUT", "s", "", contentTypeHeader, jsonType, headerFork, "dir/f")
	b.must(409, "PUT", "s", "", headerFork, "s")

	// A fork may contain a part of its source. An offset of another stream is rejected.
	a.must(201, "PUT", "part", "", headerFork, "s", headerForkOffset, one.Get(headerNext), headerForkSub, "1")
	if text, _ := b.must(200, "GET", "part", ""); text != "[1,2]" {
		t.Errorf("%q", text)
	}
	a.must(410, "PUT", "none", "", headerFork, "s", headerForkOffset, h.Get(headerNext))
}

// The messages of a stream with an expiry time expire at that time, including those that a fork inherits.
func TestForkExpires(t *testing.T) {
	n := nodes(t, 1, hub.Options{Namespaces: []hub.Namespace{{History: 100}}})[0]
	n.must(201, "PUT", "s", "[1]", contentTypeHeader, jsonType)
	end := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	n.must(201, "PUT", "f", "[2]", headerFork, "s", headerExpires, end.Format(time.RFC3339))
	for name, want := range map[string]time.Time{"s": {}, "f": end} {
		page, err := n.Hub.History(t.Context(), "dev", name, hub.HistoryQuery{Limit: -1})
		if err != nil || len(page.Publications) == 0 {
			t.Fatalf("%s: %+v, %v", name, page, err)
		}
		for _, p := range page.Publications {
			if !p.Expires.Equal(want) {
				t.Errorf("%s: %s expires at %v, want %v", name, p.Data, p.Expires, want)
			}
		}
	}
}

// Invalid fork requests are rejected.
func TestForkRefused(t *testing.T) {
	n := nodes(t, 1, hub.Options{})[0]
	n.must(201, "PUT", "s", "text", contentTypeHeader, textType)
	for status, requests := range map[int][][]string{
		400: {
			{headerForkOffset, "-1"}, {headerForkSub, "0"}, {headerFork, "/%zz"}, {headerFork, "/"}, {headerFork, "#x"}, {headerFork, "s", headerForkSub, "1"},
			{headerFork, "s", headerForkOffset, "x"}, {headerFork, "s", headerForkOffset, "-1", headerForkSub, "5"},
		},
		404: {{headerFork, "none"}},
		409: {{headerFork, "s", contentTypeHeader, jsonType}},
	} {
		for _, h := range requests {
			if res := n.do("PUT", "f", "", h...); res.StatusCode != status {
				t.Errorf("%q: %s, want %d", h, res.Status, status)
			}
		}
	}
	n.client.Allow = func(action, channel string) error {
		if action == actionHistory && channel == "s" {
			return errors.New("no")
		}
		return nil
	}
	n.must(403, "PUT", "f", "", headerFork, "s")
	n.client.Allow = nil
	n.must(404, "GET", "f", "")
	n.must(204, "DELETE", "s", "")
	n.must(404, "GET", "s", "") // none of these requests has created a fork
}

// A fork of text may inherit a part of a message that ends within a character. The content of the request completes the character.
func TestForkWithinMessage(t *testing.T) {
	n := nodes(t, 1, hub.Options{})[0]
	n.must(201, "PUT", "text", "aé", contentTypeHeader, textType)
	n.must(204, "POST", "text", "b", contentTypeHeader, textType)
	n.must(201, "PUT", "f", "\xa9!", headerFork, "text", headerForkOffset, "-1", headerForkSub, "2")
	if text, _ := n.must(200, "GET", "f", ""); text != "aé!" {
		t.Errorf("%q", text)
	}
	n.must(201, "PUT", "g", "", headerFork, "text", headerForkOffset, "-1", headerForkSub, "4")
	if text, _ := n.must(200, "GET", "g", ""); text != "aéb" {
		t.Errorf("%q", text)
	}
}

// A deleted stream with forks is gone, but its name cannot be reused until the last of its forks is deleted, including forks of
// forks.
func TestDeletedWithForks(t *testing.T) {
	ns := nodes(t, 2, hub.Options{})
	a, b := ns[0], ns[1]
	a.must(201, "PUT", "s", "[1]", contentTypeHeader, jsonType)
	b.must(201, "PUT", "f", "", headerFork, "s")
	a.must(201, "PUT", "g", "", headerFork, "f")
	b.must(204, "DELETE", "s", "")
	a.must(204, "DELETE", "f", "")
	for _, n := range ns {
		for _, method := range []string{"GET", "HEAD", "DELETE"} {
			n.must(410, method, "s", "")
		}
		n.must(410, "POST", "f", "2", contentTypeHeader, jsonType)
		n.must(410, "GET", "f?offset=-1&live=long-poll", "")
		n.must(409, "PUT", "s", "", contentTypeHeader, jsonType)
		n.must(409, "PUT", "h", "", headerFork, "f")
	}
	if text, _ := b.must(200, "GET", "g", ""); text != "[1]" {
		t.Errorf("%q", text)
	}
	b.must(204, "DELETE", "g", "")
	for _, n := range ns {
		n.must(404, "GET", "s", "")
		n.must(404, "GET", "f", "")
	}
	a.must(201, "PUT", "s", "", contentTypeHeader, textType)
	b.must(201, "PUT", "g", "", contentTypeHeader, textType)
	a.must(204, "DELETE", "s", "")
	b.must(404, "GET", "s", "")
}

// A fork that is incomplete because its node was killed is not visible, and can be created again.
func TestIncompleteFork(t *testing.T) {
	n := nodes(t, 1, hub.Options{})[0]
	n.must(201, "PUT", "s", "[1,2,3]", contentTypeHeader, jsonType)
	next := record{ID: "x", Type: jsonType, Touched: time.Now().Add(-time.Minute), Filling: true, Fork: &origin{forking: forking{Source: "s"}, ID: "y"}}
	if _, err := n.writeRecord(t.Context(), "f", stored{}, next); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Hub.Publish(t.Context(), "dev", "f", &hub.Publication{Data: []byte("1")}, &hub.PublishOptions{History: 10}); err != nil {
		t.Fatal(err)
	}
	n.must(404, "GET", "f", "")
	n.must(404, "POST", "f", "4", contentTypeHeader, jsonType)
	n.must(201, "PUT", "f", "", headerFork, "s")
	if text, _ := n.must(200, "GET", "f", ""); text != "[1,2,3]" {
		t.Errorf("%q", text)
	}
}

// The size of a fork's inherited content is limited, and so is the list of a stream's forks. When that list is full, deleted forks
// are removed from it.
func TestForkLimits(t *testing.T) {
	n := nodes(t, 1, hub.Options{})[0]
	n.must(201, "PUT", "large", "", contentTypeHeader, "application/octet-stream")
	body := strings.Repeat("x", 1<<20)
	for range maxCopied>>20 + 1 {
		n.must(204, "POST", "large", body, contentTypeHeader, "application/octet-stream")
	}
	n.must(http.StatusRequestEntityTooLarge, "PUT", "f", "", headerFork, "large")
	n.must(201, "PUT", "f", "", headerFork, "large", headerForkOffset, "-1", headerForkSub, "100000")

	n.must(201, "PUT", "many", "", contentTypeHeader, jsonType)
	rec, err := n.readRecord(t.Context(), "many", stored{})
	if err != nil {
		t.Fatal(err)
	}
	next := rec.record
	for i := range maxForks / 100 {
		next.Forks = append(next.Forks, fmt.Sprintf("%0100d", i))
	}
	if _, err := n.writeRecord(t.Context(), "many", rec, next); err != nil {
		t.Fatal(err)
	}
	n.must(201, "PUT", strings.Repeat("g", 200), "", headerFork, "many")
	if rec, err = n.readRecord(t.Context(), "many", stored{}); err != nil || !slices.Equal(rec.Forks, []string{strings.Repeat("g", 200)}) {
		t.Errorf("%d forks, %v", len(rec.Forks), err)
	}
}
