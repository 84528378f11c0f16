package streams

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/hub"
)

func TestParseLifetime(t *testing.T) {
	for text, want := range map[string]int64{ // -1 means that the text is rejected
		"0": 0, "1": 1, "9": 9, "10": 10, strconv.Itoa(maxTTL): maxTTL, strconv.Itoa(maxTTL + 1): -1, "00": -1, "01": -1, "": -1, "-1": -1, "+1": -1,
		"1.5": -1, "1e3": -1, "9007199254740993": -1, "99999999999999999999": -1,
	} {
		l, err := parseLifetime(http.Header{http.CanonicalHeaderKey(headerTTL): {text}})
		if want < 0 && err == nil || want >= 0 && (err != nil || l.TTL == nil || *l.TTL != want) {
			t.Errorf("%q: %v, %v", text, l.TTL, err)
		}
	}
	for text, want := range map[string]bool{"2030-01-02T03:04:05Z": true, "2030-01-02T03:04:05+02:00": true, "2030-01-02": false, "": false} {
		l, err := parseLifetime(http.Header{headerExpires: {text}})
		if (err == nil) != want || want && (l.Expires.Year() != 2030 || l.Expires.Location() != time.UTC) {
			t.Errorf("%q: %v, %v", text, l.Expires, err)
		}
	}
	if _, err := parseLifetime(http.Header{http.CanonicalHeaderKey(headerTTL): {"1"}, headerExpires: {"2030-01-02T03:04:05Z"}}); err == nil {
		t.Error("a TTL and an expiry time are accepted together")
	}
	for text, want := range map[string]bool{"0": true, "9007199254740991": true, "9007199254740992": false, "x": false, "": false, "-1": false, "007": true} {
		if _, ok := parseInteger(text); ok != want {
			t.Errorf("%q: %v", text, ok)
		}
	}
	one, two := int64(1), int64(2)
	for i, l := range []lifetime{{}, {TTL: &one}, {TTL: &two}, {Expires: time.Unix(1, 0)}, {Expires: time.Unix(2, 0)}} {
		for j, o := range []lifetime{{}, {TTL: new(int64(1))}, {TTL: new(int64(2))}, {Expires: time.Unix(1, 0).UTC()}, {Expires: time.Unix(2, 0)}} {
			if l.equal(o) != (i == j) {
				t.Errorf("%d and %d: %v", i, j, l.equal(o))
			}
		}
	}
}

// Every request releases its stream and its live read, even if the request fails.
func TestRequestsReleaseStreams(t *testing.T) {
	n := nodes(t, 1, hub.Options{})[0]
	n.LongPoll = time.Millisecond
	n.must(404, "GET", "s", "")
	n.must(404, "GET", "s?offset=-1&live=long-poll", "")
	n.must(201, "PUT", "s", "[1]", contentTypeHeader, jsonType)
	n.must(409, "PUT", "s", "", contentTypeHeader, textType)
	n.must(204, "POST", "s", "2", contentTypeHeader, jsonType)
	n.must(409, "POST", "s", "2", contentTypeHeader, textType)
	n.must(400, "POST", "s", "{", contentTypeHeader, jsonType)
	_, h := n.must(200, "GET", "s", "")
	n.must(204, "GET", "s?live=long-poll&offset="+h.Get(headerNext), "")
	n.must(200, "GET", "s?live=long-poll&offset=-1", "")
	n.must(400, "GET", "s?live=long-poll&offset=x", "")
	n.must(200, "HEAD", "s", "")
	n.must(204, "DELETE", "s", "")
	n.Server.mu.Lock()
	defer n.Server.mu.Unlock()
	if x := n.streams["s"]; x == nil || x.refs != 0 || n.live != 0 {
		t.Errorf("%d requests use the stream, %d live reads", x.refs, n.live)
	}
}

// A node that has read a stream before it was deleted and created again on another node sees only the new stream.
func TestRecreatedStreamIsNew(t *testing.T) {
	ns := nodes(t, 2, hub.Options{})
	n, late := ns[0], ns[1]
	n.must(201, "PUT", "s", "[1]", contentTypeHeader, jsonType, headerClosed, "true")
	_, first := late.must(200, "GET", "s", "")
	if first.Get(headerClosed) != "true" {
		t.Errorf("%v", first)
	}
	n.must(204, "DELETE", "s", "")
	n.must(201, "PUT", "s", "[2]", contentTypeHeader, jsonType)
	if text, h := late.must(200, "GET", "s", ""); text != "[2]" || h.Get(headerClosed) != "" {
		t.Errorf("%q, %v", text, h)
	}
	late.must(204, "POST", "s", "3", contentTypeHeader, jsonType)
	late.must(410, "GET", "s?offset="+first.Get(headerNext), "")
	if text, _ := n.must(200, "GET", "s", ""); text != "[2,3]" {
		t.Errorf("%q", text)
	}
}

// The messages that a node keeps for live reads are limited in number and size.
func TestRecentMessagesAreLimited(t *testing.T) {
	n := nodes(t, 1, hub.Options{})[0]
	for name, size := range map[string]int{"small": 1, "large": 20 << 10} {
		n.must(201, "PUT", name, "", contentTypeHeader, jsonType)
		n.must(204, "POST", name, "["+strings.Repeat(`"`+strings.Repeat("x", size)+`",`, recentCount)+"1]", contentTypeHeader, jsonType)
		n.must(200, "GET", name+"?offset=now", "")
		x := n.streams[name]
		bytes := 0
		for _, p := range x.recent {
			bytes += p.Size()
		}
		want := recentCount
		if size > 1 {
			want = recentBytes/(size+2) + 1 // the last message is small
		}
		if len(x.recent) != want || bytes != x.bytes || x.recent[0].Offset != x.recentFloor+1 {
			t.Errorf("%s: %d messages of %d bytes, counted as %d, after offset %d", name, len(x.recent), bytes, x.bytes, x.recentFloor)
		}
	}
	n.must(200, "GET", fmt.Sprintf("small?offset=%s", "-1"), "")
	n = nodes(t, 1, hub.Options{Namespaces: []hub.Namespace{{MaxData: 2 * recentBytes}}})[0]
	n.must(201, "PUT", "s", `"`+strings.Repeat("x", recentBytes)+`"`, contentTypeHeader, jsonType)
	n.must(200, "GET", "s", "")
	if x := n.streams["s"]; len(x.recent) != 1 {
		t.Errorf("%d messages are kept; want the one that is larger than the limit", len(x.recent))
	}
}

// Responses contain the lifetime of a stream.
func TestLifetimeInResponses(t *testing.T) {
	n := nodes(t, 1, hub.Options{})[0]
	for name, value := range map[string]string{headerTTL: "3600", headerExpires: time.Now().Add(time.Hour).UTC().Truncate(time.Second).Format(time.RFC3339)} {
		_, created := n.must(201, "PUT", name, "", contentTypeHeader, jsonType, name, value)
		_, again := n.must(200, "PUT", name, "", contentTypeHeader, jsonType, name, value)
		_, head := n.must(200, "HEAD", name, "")
		for what, h := range map[string]http.Header{"created": created, "again": again, "HEAD": head} {
			if h.Get(name) != value || h.Get(headerTTL) != "" && h.Get(headerExpires) != "" {
				t.Errorf("%s: %s is %q, want %q", what, name, h.Get(name), value)
			}
		}
		n.must(409, "PUT", name, "", contentTypeHeader, jsonType)
	}
	n.Server.mu.Lock()
	if !n.janitor || len(n.expires) != 2 {
		t.Errorf("want one janitor for 2 streams: running %v, %d streams", n.janitor, len(n.expires))
	}
	n.Server.mu.Unlock()
	n.must(201, "PUT", "none", "", contentTypeHeader, jsonType)
	if _, h := n.must(200, "HEAD", "none", ""); h.Get(headerTTL)+h.Get(headerExpires) != "" {
		t.Errorf("%v", h)
	}
}

// The end of a stream is in its record, so that a node that has read the stream before finds the end even if the last message is no
// longer kept.
func TestClosedInTheRecord(t *testing.T) {
	ns := nodes(t, 2, hub.Options{})
	n, late := ns[0], ns[1]
	n.must(201, "PUT", "s", "[1]", contentTypeHeader, jsonType)
	if _, h := late.must(200, "GET", "s", ""); h.Get(headerClosed) != "" {
		t.Errorf("%v", h)
	}
	_, end := n.must(204, "POST", "s", "2", contentTypeHeader, jsonType, headerClosed, "true")
	n.must(200, "HEAD", "s", "") // the request records the end
	if err := n.Hub.Trim(t.Context(), "dev", "s", 2); err != nil {
		t.Fatal(err)
	}
	if _, h := late.must(200, "HEAD", "s", ""); h.Get(headerClosed) != "true" || h.Get(headerNext) != end.Get(headerNext) {
		t.Errorf("%v, want the end %q", h, end.Get(headerNext))
	}
	late.must(409, "POST", "s", "3", contentTypeHeader, jsonType)
	if x := late.streams["s"]; x.closed == nil || x.closed.Offset != 2 || x.closed.Epoch != x.epoch {
		t.Errorf("%+v in epoch %s", x.closed, x.epoch)
	}
}
