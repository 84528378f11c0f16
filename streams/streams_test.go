package streams

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
)

func TestMain(m *testing.M) { os.Exit(bounded.Main(m)) }

// node is a server of streams with its own hub.
type node struct {
	*Server
	t      *testing.T
	client Client
}

// nodes starts servers whose hubs share an engine.
func nodes(t *testing.T, count int, o hub.Options) []*node {
	t.Helper()
	m := hub.NewMemory()
	all := make([]*node, count)
	for i := range all {
		o.Engine = m.Node()
		h := hub.New(o)
		s := &Server{Hub: h, App: "dev"}
		t.Cleanup(func() {
			if err := errors.Join(s.Close(), h.Close()); err != nil {
				t.Error(err)
			}
		})
		all[i] = &node{Server: s, t: t}
	}
	return all
}

// do makes a request without a network. headers are names and values.
func (n *node) do(method, target, body string, headers ...string) *http.Response {
	n.t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(bounded.Context(n.t), method, "/"+target, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	n.Serve(w, r, strings.TrimPrefix(r.URL.Path, "/"), n.client)
	return w.Result()
}

// must does the same as do, but fails the test on any other status. It returns the body and the header.
func (n *node) must(status int, method, target, body string, headers ...string) (string, http.Header) {
	n.t.Helper()
	res := n.do(method, target, body, headers...)
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != status {
		n.t.Fatalf("%s %s: %s %q, %v; want %d", method, target, res.Status, text, err, status)
	}
	return string(text), res.Header
}

const (
	jsonType          = "application/json"
	textType          = "text/plain"
	contentTypeHeader = "Content-Type"
)

// Publications in the channel are in the stream, and vice versa, on every node.
func TestChannelAndStreamAreOne(t *testing.T) {
	ns := nodes(t, 2, hub.Options{Namespaces: []hub.Namespace{{History: 100}}})
	a, b := ns[0], ns[1]
	a.must(201, "PUT", "text", "one ", contentTypeHeader, textType)
	b.must(201, "PUT", "json", "", contentTypeHeader, jsonType)
	a.must(201, "PUT", "bytes", "\x00\xff", contentTypeHeader, "application/protobuf")
	publish := func(channel, data string, binary bool) {
		t.Helper()
		if _, err := b.Hub.Publish(t.Context(), "dev", channel, &hub.Publication{Data: []byte(data), Binary: binary}, nil); err != nil {
			t.Fatal(err)
		}
	}
	publish("text", `"two "`, false)
	publish("json", `{"a":1}`, false)
	publish("json", "\x01", true)
	publish("json", "no JSON", false)
	publish("bytes", `"text"`, false)
	publish("bytes", "\xfe", true)
	a.must(204, "POST", "text", "three", contentTypeHeader, textType)
	a.must(204, "POST", "json", ` [ [1, 2], "x" ] `, contentTypeHeader, jsonType)
	for name, want := range map[string]string{
		"text": "one two three", "json": `[{"a":1},"AQ==","no JSON",[1,2],"x"]`, "bytes": "\x00\xfftext\xfe",
	} {
		for i, n := range ns {
			if got, _ := n.must(200, "GET", name, ""); got != want {
				t.Errorf("%s on node %d: %q, want %q", name, i, got, want)
			}
		}
	}
	page, err := b.Hub.History(t.Context(), "dev", "json", hub.HistoryQuery{Limit: -1})
	if err != nil || len(page.Publications) != 5 || string(page.Publications[3].Data) != "[1,2]" {
		t.Errorf("%+v, %v", page, err)
	}
	page, err = b.Hub.History(t.Context(), "dev", "text", hub.HistoryQuery{Limit: -1})
	if err != nil || string(page.Publications[2].Data) != `"three"` {
		t.Errorf("%+v, %v", page, err)
	}
}

// A channel that was never created as a stream can be read as one, and can be created without a change of its offsets.
func TestChannelBecomesAStream(t *testing.T) {
	n := nodes(t, 1, hub.Options{Namespaces: []hub.Namespace{{History: 100}}})[0]
	n.must(404, "GET", "c", "")
	for i := range 3 {
		if _, err := n.Hub.Publish(t.Context(), "dev", "c", &hub.Publication{Data: fmt.Append(nil, i)}, nil); err != nil {
			t.Fatal(err)
		}
	}
	text, h := n.must(200, "GET", "c", "")
	if text != "[0,1,2]" || h.Get(contentTypeHeader) != jsonType {
		t.Fatalf("%q, %v", text, h)
	}
	n.must(409, "PUT", "c", "", contentTypeHeader, textType)
	n.must(204, "POST", "c", "3", contentTypeHeader, jsonType)
	n.must(201, "PUT", "c", "[4]", contentTypeHeader, jsonType)
	if text, _ := n.must(200, "GET", "c?offset="+h.Get(headerNext), ""); text != "[3,4]" {
		t.Errorf("%q", text)
	}
	n.must(204, "DELETE", "c", "")
	n.must(404, "GET", "c", "")
}

// The epoch and the expected number in a response to a producer are decimal.
func TestProducerIsToldItsNumbers(t *testing.T) {
	n := nodes(t, 1, hub.Options{})[0]
	n.must(201, "PUT", "s", "", contentTypeHeader, textType)
	produce := func(status int, epoch, seq string) http.Header {
		t.Helper()
		_, h := n.must(status, "POST", "s", "x", contentTypeHeader, textType, headerProducer, "p", headerEpoch, epoch, headerNumber, seq)
		return h
	}
	for i := range 12 {
		produce(200, "12", strconv.Itoa(i))
	}
	if h := produce(409, "12", "13"); h.Get(headerExpected) != "12" || h.Get(headerReceived) != "13" {
		t.Errorf("a missing number: %v", h)
	}
	if h := produce(403, "11", "0"); h.Get(headerEpoch) != "12" {
		t.Errorf("an old epoch: %v", h)
	}
}

// Producers, and the closing and deletion of a stream, are the same on all nodes, including one that starts later.
func TestNodesAgree(t *testing.T) {
	ns := nodes(t, 3, hub.Options{})
	a, b, late := ns[0], ns[1], ns[2]
	a.must(201, "PUT", "s", "", contentTypeHeader, textType)
	produce := func(n *node, status int, epoch, seq string, more ...string) http.Header {
		t.Helper()
		_, h := n.must(status, "POST", "s", "x", append([]string{contentTypeHeader, textType, headerProducer, "p", headerEpoch, epoch, headerNumber, seq}, more...)...)
		return h
	}
	produce(a, 200, "0", "0")
	produce(b, 200, "0", "1")
	produce(a, 204, "0", "1")
	if h := produce(b, 409, "0", "3"); h.Get(headerExpected) != "2" || h.Get(headerReceived) != "3" {
		t.Errorf("%v", h)
	}
	for i := range checkEvery { // enough messages for a checkpoint
		a.must(204, "POST", "s", "y", contentTypeHeader, textType, headerSeq, fmt.Sprintf("%04d", i))
	}
	produce(b, 400, "1", "1")
	produce(b, 200, "1", "0")
	if h := produce(late, 403, "0", "9"); h.Get(headerEpoch) != "1" {
		t.Errorf("%v", h)
	}
	late.must(409, "POST", "s", "y", contentTypeHeader, textType, headerSeq, "0000")
	produce(late, 200, "1", "1", headerClosed, "true")
	produce(a, 204, "1", "1", headerClosed, "true")
	for i, n := range ns {
		if _, h := n.must(409, "POST", "s", "z", contentTypeHeader, textType); h.Get(headerClosed) != "true" {
			t.Errorf("node %d: %v", i, h)
		}
		if text, h := n.must(200, "GET", "s", ""); len(text) != checkEvery+4 || h.Get(headerClosed) != "true" {
			t.Errorf("node %d: %d bytes, %v", i, len(text), h)
		}
	}
	_, h := a.must(200, "HEAD", "s", "")
	b.must(204, "DELETE", "s", "")
	for _, n := range ns {
		n.must(404, "GET", "s", "")
	}
	late.must(201, "PUT", "s", "[]", contentTypeHeader, jsonType)
	a.must(410, "GET", "s?offset="+h.Get(headerNext), "")
	if text, _ := a.must(200, "GET", "s", ""); text != "[]" {
		t.Errorf("%q", text)
	}
}

// When several nodes append concurrently, no message is lost or duplicated, and none follows the closing of the stream.
func TestConcurrentAppends(t *testing.T) {
	ns := nodes(t, 3, hub.Options{})
	ns[0].must(201, "PUT", "s", "", contentTypeHeader, jsonType)
	const each = 50
	var wg sync.WaitGroup
	for i, n := range ns {
		wg.Go(func() {
			for j := range each {
				for {
					res := n.do("POST", "s", fmt.Sprint(i*each+j), contentTypeHeader, jsonType, headerProducer, fmt.Sprint(i), headerEpoch, "0", headerNumber, fmt.Sprint(j))
					if res.StatusCode != http.StatusServiceUnavailable {
						break
					}
				}
			}
		})
	}
	wg.Wait()
	text, _ := ns[1].must(200, "GET", "s", "")
	seen := map[string]bool{}
	for one := range strings.SplitSeq(strings.Trim(text, "[]"), ",") {
		if seen[one] {
			t.Errorf("%s is contained twice", one)
		}
		seen[one] = true
	}
	if len(seen) != len(ns)*each {
		t.Errorf("%d of %d messages", len(seen), len(ns)*each)
	}
	var closed, late int
	var mu sync.Mutex
	for i, n := range ns {
		wg.Go(func() {
			res := n.do("POST", "s", `"last"`, contentTypeHeader, jsonType, headerClosed, "true", headerSeq, fmt.Sprint(i))
			mu.Lock()
			defer mu.Unlock()
			switch res.StatusCode {
			case http.StatusNoContent:
				closed++
			case http.StatusConflict:
				late++
			}
		})
	}
	wg.Wait()
	if closed != 1 || late != len(ns)-1 {
		t.Errorf("%d requests have closed the stream, %d were too late", closed, late)
	}
}

// When several nodes create a stream concurrently, one of them creates it, and the others find it.
func TestConcurrentPuts(t *testing.T) {
	ns := nodes(t, 3, hub.Options{})
	for round := range 100 {
		var created atomic.Int64
		var wg sync.WaitGroup
		for i, n := range ns {
			wg.Go(func() {
				switch res := n.do("PUT", fmt.Sprint("s", round), "", contentTypeHeader, jsonType); {
				case res.StatusCode == http.StatusCreated:
					created.Add(1)
				case res.StatusCode != http.StatusOK:
					t.Errorf("node %d: %s", i, res.Status)
				}
			})
		}
		wg.Wait()
		if created.Load() != 1 {
			t.Errorf("%d nodes have created the stream", created.Load())
		}
	}
}

// A reader at an offset before the oldest message gets an error, and a reader from the beginning gets the messages that are kept.
func TestRetention(t *testing.T) {
	ns := nodes(t, 2, hub.Options{})
	n, late := ns[0], ns[1]
	n.History = 5
	_, h := n.must(201, "PUT", "s", "", contentTypeHeader, jsonType)
	for i := range 8 {
		n.must(204, "POST", "s", fmt.Sprint(i), contentTypeHeader, jsonType)
	}
	late.must(410, "GET", "s?offset="+h.Get(headerNext), "")
	if text, _ := late.must(200, "GET", "s?offset=-1", ""); text != "[3,4,5,6,7]" {
		t.Errorf("%q", text)
	}
}

// A body is split into messages, and a stream is read in parts.
func TestLargeBodies(t *testing.T) {
	n := nodes(t, 1, hub.Options{Namespaces: []hub.Namespace{{MaxData: 200}}})[0]
	n.MaxBody = 10_000
	text := strings.Repeat("aé\"\n\x01", 300)
	n.must(201, "PUT", "text", text, contentTypeHeader, textType)
	if got, _ := n.must(200, "GET", "text", ""); got != text {
		t.Errorf("%d bytes of %d", len(got), len(text))
	}
	n.must(201, "PUT", "bytes", text)
	if got, _ := n.must(200, "GET", "bytes", ""); got != text {
		t.Errorf("%d bytes of %d", len(got), len(text))
	}
	n.must(201, "PUT", "json", "", contentTypeHeader, jsonType)
	n.must(413, "POST", "json", `"`+strings.Repeat("x", 200)+`"`, contentTypeHeader, jsonType)
	n.must(413, "POST", "bytes", strings.Repeat("x", 10_001), contentTypeHeader, defaultType)
	if got, _ := n.must(200, "GET", "json", ""); got != "[]" {
		t.Errorf("%q", got)
	}
}

// A large stream is read in responses of limited size, each of which contains the offset for the next response.
func TestLargeStreams(t *testing.T) {
	ns := nodes(t, 2, hub.Options{})
	n, late := ns[0], ns[1]
	parts := 1000
	if testing.Short() {
		parts = 100
	}
	size := 64 << 10 // the size of each message; the last message also has tags
	n.MaxBody = int64(parts * size)
	body := strings.Repeat("0123456789abcdef", parts*size/16)
	n.must(201, "PUT", "s", "")
	n.must(200, "POST", "s", body, contentTypeHeader, defaultType, "Producer-Id", "p", "Producer-Epoch", "0", "Producer-Seq", "0")
	n.must(201, "PUT", "json", "", contentTypeHeader, jsonType)
	n.must(413, "POST", "json", `"`+strings.Repeat("x", size-2)+`"`, contentTypeHeader, jsonType, "Producer-Id", "p", "Producer-Epoch", "0", "Producer-Seq", "0")
	for _, one := range []*node{n, late} {
		got, offset, answers := 0, "-1", 0
		for more := true; more; answers++ {
			text, h := one.must(200, "GET", "s?offset="+offset, "")
			if len(text) > chunkBytes || text != body[got:got+len(text)] {
				t.Fatalf("a response of %d bytes", len(text))
			}
			got += len(text)
			more, offset = h.Get(headerUpToDate) == "", h.Get(headerNext)
		}
		if got != len(body) || answers < parts/17 || answers > parts/15+1 {
			t.Errorf("%d bytes of %d in %d responses", got, len(body), answers)
		}
	}
}

// The caching headers of a response depend on whether more messages follow.
func TestCaching(t *testing.T) {
	n := nodes(t, 1, hub.Options{Namespaces: []hub.Namespace{{MaxData: 1 << 20}}})[0]
	large := `"` + strings.Repeat("x", 600_000) + `"`
	n.must(201, "PUT", "s", large, contentTypeHeader, jsonType)
	n.must(204, "POST", "s", large, contentTypeHeader, jsonType)
	const more, end = "private, max-age=60, stale-while-revalidate=300", "private, no-cache"
	text, first := n.must(200, "GET", "s?offset=-1", "")
	if first.Get("X-Content-Type-Options") != "nosniff" || first.Get("Cross-Origin-Resource-Policy") != "cross-origin" {
		t.Errorf("%v", first)
	}
	if len(text) > chunkBytes || first.Get("Cache-Control") != more || first.Get(headerUpToDate) != "" || first.Get(contentTypeHeader) != jsonType {
		t.Errorf("%d bytes, %v", len(text), first)
	}
	_, second := n.must(200, "GET", "s?offset="+first.Get(headerNext), "")
	if second.Get("Cache-Control") != end || second.Get(headerUpToDate) != "true" || second.Get("ETag") == first.Get("ETag") {
		t.Errorf("%v", second)
	}
	for match, status := range map[string]int{
		first.Get("ETag"): 304, "W/" + first.Get("ETag"): 304, `"other", ` + first.Get("ETag"): 304, "*": 304, second.Get("ETag"): 200, "": 200, `"other"`: 200,
	} {
		if _, h := n.must(status, "GET", "s?offset=-1", "", "If-None-Match", match); h.Get("ETag") != first.Get("ETag") || h.Get("Cache-Control") != more {
			t.Errorf("%q: %v", match, h)
		}
	}
	if _, h := n.must(200, "GET", "s?live=long-poll&offset="+first.Get(headerNext), ""); h.Get("ETag") != second.Get("ETag") || h.Get("Cache-Control") != "no-store" {
		t.Errorf("via long polling: %v", h)
	}
	if text, h := n.must(200, "GET", "s?offset=now", ""); text != "[]" || h.Get("Cache-Control") != "no-store" || h.Get("ETag") != "" {
		t.Errorf("%.100q %v", text, h)
	}
	n.must(204, "POST", "s", "", contentTypeHeader, jsonType, headerClosed, "true")
	if _, h := n.must(200, "GET", "s?offset="+first.Get(headerNext), ""); h.Get("ETag") == second.Get("ETag") || h.Get(headerClosed) != "true" || h.Get("Cache-Control") != end {
		t.Errorf("closed stream: %v", h)
	}
}

// A node that has missed messages that are no longer kept continues with the oldest ones.
func TestNodeMissesExpiredMessages(t *testing.T) {
	ns := nodes(t, 2, hub.Options{})
	n, late := ns[0], ns[1]
	n.History, late.History = 3, 3
	n.must(201, "PUT", "s", "[0]", contentTypeHeader, jsonType)
	late.must(200, "GET", "s", "")
	for i := range 6 {
		n.must(204, "POST", "s", fmt.Sprint(i), contentTypeHeader, jsonType)
	}
	producer := []string{contentTypeHeader, jsonType, "Producer-Id", "p", "Producer-Epoch", "0", "Producer-Seq", "0"}
	n.must(200, "POST", "s", "6", producer...)
	n.must(204, "POST", "s", "7", contentTypeHeader, jsonType)
	late.must(204, "POST", "s", "6", producer...) // this append is a duplicate
	if text, _ := late.must(200, "GET", "s?offset=-1", ""); text != "[5,6,7]" {
		t.Errorf("%q", text)
	}
}

// The state of a producer is kept in a checkpoint after its messages have expired.
func TestCheckpoint(t *testing.T) {
	ns := nodes(t, 2, hub.Options{})
	n, late := ns[0], ns[1]
	n.History, late.History = 3, 3
	producer := []string{contentTypeHeader, jsonType, headerProducer, "p", headerEpoch, "0", headerNumber, "0"}
	n.must(201, "PUT", "s", "", contentTypeHeader, jsonType)
	n.must(200, "POST", "s", "1", producer...)
	n.must(204, "POST", "s", "1", contentTypeHeader, jsonType, headerSeq, "7")
	for range checkEvery {
		n.must(204, "POST", "s", "1", contentTypeHeader, jsonType)
	}
	late.must(204, "POST", "s", "1", producer...)
	late.must(409, "POST", "s", "1", contentTypeHeader, jsonType, headerSeq, "6")
	if text, _ := late.must(200, "GET", "s", ""); text != "[1,1,1]" {
		t.Errorf("%q", text)
	}
}

// A text is split into parts of at most the maximum size.
func TestSplitTextAtTheLimit(t *testing.T) {
	for _, tt := range []struct {
		text string
		size int
		want int // the number of parts
	}{{"abc", 5, 1}, {"abc", 4, 2}, {"a\nc", 6, 1}, {"a\nc", 5, 2}, {"é", 4, 1}, {"éé", 6, 1}, {"éé", 5, 2}} {
		ps, err := splitText([]byte(tt.text), tt.size)
		if err != nil || len(ps) != tt.want {
			t.Errorf("%q in parts of %d bytes: %d parts, %v", tt.text, tt.size, len(ps), err)
		}
		got := ""
		for _, p := range ps {
			if len(p.Data) > tt.size {
				t.Errorf("%q in parts of %d bytes: %q", tt.text, tt.size, p.Data)
			}
			got += string(kindText.content(p))
		}
		if got != tt.text {
			t.Errorf("%q is %q", tt.text, got)
		}
	}
	if _, err := splitText([]byte("é"), 3); err != errTooBig { //nolint:errorlint // splitText does not wrap its error
		t.Errorf("a character that does not fit: %v", err)
	}
}

// If the tags of a message leave no room for its data, the response is 413.
func TestNoRoomForData(t *testing.T) {
	n := nodes(t, 1, hub.Options{Namespaces: []hub.Namespace{{App: "dev", MaxData: 30}}})[0]
	n.must(201, "PUT", "s", "", contentTypeHeader, textType)
	n.must(413, "POST", "s", "text", contentTypeHeader, textType, "Stream-Seq", strings.Repeat("x", 20))
	n.must(204, "POST", "s", "text", contentTypeHeader, textType, "Stream-Seq", "x")
}

// A request is rejected if Allow denies its action.
func TestDenied(t *testing.T) {
	n := nodes(t, 1, hub.Options{})[0]
	n.must(201, "PUT", "s", "x", contentTypeHeader, textType)
	for action, requests := range map[string][]string{
		"publish": {"PUT s", "POST s", "PUT new"}, "history": {"GET s", "GET s?offset=-1&live=sse"},
		"subscribe": {"GET s?offset=now&live=long-poll"}, "delete": {"DELETE s"},
	} {
		n.client.Allow = func(a, _ string) error {
			if a == action {
				return errors.New("no")
			}
			return nil
		}
		for _, request := range requests {
			method, target, _ := strings.Cut(request, " ")
			n.must(403, method, target, "x", contentTypeHeader, textType)
		}
	}
	// A client that may only wait cannot read from the beginning, and one that may only read cannot wait.
	n.LongPoll = time.Millisecond
	_, h := n.must(200, "HEAD", "s", "")
	for _, tt := range []struct {
		allowed, target string
		status          int
	}{
		{"history", "s", 200}, {"history", "s?offset=-1", 200}, {"history", "s?offset=now", 200},
		{"history", "s?offset=now&live=long-poll", 403}, {"history", "s?offset=-1&live=long-poll", 403},
		{"subscribe", "s", 403}, {"subscribe", "s?offset=now", 403}, {"subscribe", "s?offset=" + h.Get(headerNext), 403},
		{"subscribe", "s?offset=-1&live=long-poll", 403}, {"subscribe", "s?offset=now&live=long-poll", 204},
		{"subscribe", "s?live=long-poll&offset=" + h.Get(headerNext), 204},
	} {
		n.client.Allow = func(a, _ string) error {
			if a != tt.allowed {
				return errors.New("no")
			}
			return nil
		}
		n.must(tt.status, "GET", tt.target, "")
	}
	n.client.Allow = func(string, string) error { return errors.New("no") }
	n.must(403, "HEAD", "s", "")
	n.client.Allow = nil
	for _, name := range []string{"", "%23user:x", strings.Repeat("x", hub.MaxChannel+1)} {
		n.must(404, "PUT", name, "")
	}
	n.must(405, "PATCH", "s", "")
}

// A TTL starts again with each read or write, and a stream expires without any request.
func TestTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := nodes(t, 1, hub.Options{})[0]
		n.must(201, "PUT", "s", "x", contentTypeHeader, textType, headerTTL, "60")
		for range 10 {
			time.Sleep(55 * time.Second) //nolint:forbidigo // Sleep uses the fake clock of a synctest bubble
			n.must(200, "GET", "s", "")
		}
		for range 2 { // HEAD requests do not count as reads
			time.Sleep(30 * time.Second) //nolint:forbidigo // Sleep uses the fake clock of a synctest bubble
			n.must(200, "HEAD", "s", "")
		}
		time.Sleep(30 * time.Second) //nolint:forbidigo // Sleep uses the fake clock of a synctest bubble
		n.must(404, "HEAD", "s", "")
		n.must(201, "PUT", "t", "x", contentTypeHeader, textType, headerTTL, "60")
		time.Sleep(2 * time.Minute) //nolint:forbidigo // Sleep uses the fake clock of a synctest bubble
		page, err := n.Hub.History(t.Context(), "dev", "t", hub.HistoryQuery{Limit: -1})
		if err != nil || len(page.Publications) != 0 {
			t.Errorf("%d messages, %v", len(page.Publications), err)
		}
		n.must(201, "PUT", "t", "y", contentTypeHeader, textType)
		if text, _ := n.must(200, "GET", "t", ""); text != "y" {
			t.Errorf("%q", text)
		}
	})
}

// serve serves a node on a port.
func (n *node) serve() string {
	s := httptest.NewServer(n.Handler("/"))
	n.t.Cleanup(func() {
		n.Close()
		s.Close()
	})
	return s.URL + "/"
}

// Live reads on one node receive messages that are appended on another, once and in order, and end with the stream.
func TestLive(t *testing.T) {
	ns := nodes(t, 2, hub.Options{})
	ns[0].must(201, "PUT", "s", "0", contentTypeHeader, jsonType)
	url := ns[1].serve()
	const count, readers = 300, 8
	var wg sync.WaitGroup
	for range readers {
		res := get(t, url+"s?offset=-1&live=sse")
		wg.Go(func() {
			defer res.Body.Close()
			var got []string
			lines := bufio.NewScanner(res.Body)
			for lines.Scan() {
				if data, ok := strings.CutPrefix(lines.Text(), "data:["); ok {
					got = append(got, strings.Split(strings.TrimSuffix(data, "]"), ",")...)
				}
			}
			if len(got) != count+1 {
				t.Errorf("%d messages", len(got))
			}
			for i, v := range got {
				if v != fmt.Sprint(i) {
					t.Errorf("message %d is %s", i, v)
				}
			}
		})
	}
	for i := range count {
		ns[0].must(204, "POST", "s", fmt.Sprint(i+1), contentTypeHeader, jsonType)
	}
	ns[0].must(204, "POST", "s", "", headerClosed, "true")
	wg.Wait()
	bounded.Until(t, func() bool { return ns[1].Hub.Sizes().Sessions == 0 })
}

func get(t *testing.T, url string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(bounded.Context(t), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { http.DefaultTransport.(*http.Transport).CloseIdleConnections() })
	return res
}

// Deleting a stream ends its live reads on all nodes, and Close ends the live reads of its server. The number of live reads is
// limited to MaxLive.
func TestLiveEnds(t *testing.T) {
	ns := nodes(t, 2, hub.Options{})
	ns[1].MaxLive, ns[1].SSE, ns[1].LongPoll = 1, time.Hour, time.Hour
	url := ns[1].serve()
	ns[0].must(201, "PUT", "s", "", contentTypeHeader, textType)
	res := get(t, url+"s?offset=now&live=sse")
	ns[1].must(503, "GET", "s?offset=now&live=long-poll", "")
	ns[0].must(204, "DELETE", "s", "")
	if text, err := io.ReadAll(res.Body); err != nil || !strings.Contains(string(text), `"upToDate":true`) {
		t.Errorf("%q, %v", text, err)
	}
	res.Body.Close()
	ns[0].must(201, "PUT", "s", "", contentTypeHeader, textType)
	bounded.Until(t, func() bool { ns[1].mu.Lock(); defer ns[1].mu.Unlock(); return ns[1].live == 0 })
	res = get(t, url+"s?offset=now&live=sse")
	ns[1].Close()
	if _, err := io.ReadAll(res.Body); err != nil {
		t.Error(err)
	}
	res.Body.Close()
	ns[1].must(503, "GET", "s", "")
}

// A long poll ends at its timeout, or with the next message.
func TestLongPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := nodes(t, 1, hub.Options{})[0]
		n.must(201, "PUT", "s", "", contentTypeHeader, textType)
		_, h := n.must(204, "GET", "s?offset=-1&live=long-poll", "")
		if h.Get(headerUpToDate) != "true" || h.Get(headerCursor) == "" {
			t.Errorf("%v", h)
		}
		go func() {
			time.Sleep(time.Second) //nolint:forbidigo // Sleep uses the fake clock of a synctest bubble
			n.do("POST", "s", "x", contentTypeHeader, textType)
		}()
		began := time.Now()
		if text, _ := n.must(200, "GET", "s?live=long-poll&offset="+h.Get(headerNext), ""); text != "x" || time.Since(began) > 2*time.Second {
			t.Errorf("%q after %v", text, time.Since(began))
		}
	})
}

// A request ends when its client disconnects.
func TestRequestEndsWithClient(t *testing.T) {
	n := nodes(t, 1, hub.Options{})[0]
	n.must(201, "PUT", "s", "", contentTypeHeader, textType)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	n.Serve(w, httptest.NewRequestWithContext(ctx, "GET", "/s?offset=now&live=sse", nil), "s", Client{})
	if w.Code != http.StatusServiceUnavailable {
		t.Error(w.Code)
	}
}
