package streams

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
)

// A failed fork leaves no messages in its channel, and does not reserve the name of its source.
func TestForkFails(t *testing.T) {
	ns := nodes(t, 2, hub.Options{Namespaces: []hub.Namespace{{History: 100}, {Prefix: "small:", History: 100, MaxData: 8}}})
	a, b := ns[0], ns[1]
	a.must(201, "PUT", "s", `["a",1,"a longer message"]`, contentTypeHeader, jsonType)
	b.must(413, "PUT", "small:f", "", headerFork, "s")
	page, err := a.Hub.History(t.Context(), "dev", "small:f", hub.HistoryQuery{Limit: -1})
	if err != nil || len(page.Publications) > 0 {
		t.Errorf("%d publications are left, %v", len(page.Publications), err)
	}
	b.must(404, "GET", "small:f", "")
	a.must(204, "DELETE", "s", "")
	b.must(404, "GET", "s", "")
	a.must(201, "PUT", "s", `["b"]`, contentTypeHeader, jsonType)
	b.must(201, "PUT", "small:f", "", headerFork, "s")
	if text, _ := a.must(200, "GET", "small:f", ""); text != `["b"]` {
		t.Errorf("%q", text)
	}
}

// A fork that is incomplete because its node was killed does not reserve the name of its deleted source.
func TestIncompleteForkDoesNotReserveSource(t *testing.T) {
	n := nodes(t, 1, hub.Options{})[0]
	n.must(201, "PUT", "s", "[1,2,3]", contentTypeHeader, jsonType)
	n.must(201, "PUT", "f", "", headerFork, "s")
	rec, err := n.readRecord(t.Context(), "f", stored{})
	if err != nil {
		t.Fatal(err)
	}
	next := rec.record
	next.Filling, next.Touched = true, time.Now().Add(-time.Minute)
	if _, err := n.writeRecord(t.Context(), "f", rec, next); err != nil {
		t.Fatal(err)
	}
	n.must(204, "DELETE", "s", "")
	n.must(404, "GET", "s", "")
	n.must(201, "PUT", "s", "", contentTypeHeader, textType)
	n.must(201, "PUT", "f", "", contentTypeHeader, textType)
}

// If a node was killed after it had recorded the deletion of a stream, but before it had deleted the messages, another node deletes
// them.
func TestDeletedButNotDropped(t *testing.T) {
	ns := nodes(t, 2, hub.Options{Namespaces: []hub.Namespace{{History: 100}}})
	a, b := ns[0], ns[1]
	a.must(201, "PUT", "s", "[1,2,3]", contentTypeHeader, jsonType)
	kept, err := a.Hub.History(t.Context(), "dev", "s", hub.HistoryQuery{Limit: -1})
	if err != nil {
		t.Fatal(err)
	}
	rec, err := a.readRecord(t.Context(), "s", stored{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.writeRecord(t.Context(), "s", rec, a.tombstone(t.Context(), rec, kept.Top)); err != nil {
		t.Fatal(err)
	}
	for _, n := range ns {
		n.must(404, "GET", "s", "")
	}
	if page, err := b.Hub.History(t.Context(), "dev", "s", hub.HistoryQuery{Limit: -1}); err != nil || len(page.Publications) > 0 {
		t.Errorf("%d publications are left, %v", len(page.Publications), err)
	}
}

// Publications in the channel of a deleted stream with forks are not visible until the last fork is deleted.
func TestChannelOfDeletedWithForks(t *testing.T) {
	n := nodes(t, 1, hub.Options{Namespaces: []hub.Namespace{{History: 100}}})[0]
	n.must(201, "PUT", "s", "[1]", contentTypeHeader, jsonType)
	n.must(201, "PUT", "f", "", headerFork, "s")
	n.must(204, "DELETE", "s", "")
	if _, err := n.Hub.Publish(t.Context(), "dev", "s", &hub.Publication{Data: []byte("2")}, nil); err != nil {
		t.Fatal(err)
	}
	n.must(410, "GET", "s", "")
	n.must(204, "DELETE", "f", "")
	if text, _ := n.must(200, "GET", "s", ""); text != "[2]" {
		t.Errorf("%q", text)
	}
}

// If the channel of a deleted stream has new publications, the channel can be read as a stream. Creating the stream then does not
// invalidate the offsets of its readers.
func TestChannelAfterDeletion(t *testing.T) {
	n := nodes(t, 1, hub.Options{Namespaces: []hub.Namespace{{History: 100}}})[0]
	n.must(201, "PUT", "s", "[1]", contentTypeHeader, jsonType)
	n.must(204, "DELETE", "s", "")
	if _, err := n.Hub.Publish(t.Context(), "dev", "s", &hub.Publication{Data: []byte("2")}, nil); err != nil {
		t.Fatal(err)
	}
	text, h := n.must(200, "GET", "s", "")
	if text != "[2]" {
		t.Errorf("%q", text)
	}
	n.must(201, "PUT", "s", "[3]", contentTypeHeader, jsonType)
	if text, _ := n.must(200, "GET", "s?offset="+h.Get(headerNext), ""); text != "[3]" {
		t.Errorf("%q", text)
	}
}

// A fork that is created while another node appends to the source contains the source's first messages, each once and in order, even
// if two nodes create that fork concurrently.
func TestForksDuringAppends(t *testing.T) {
	ns := nodes(t, 2, hub.Options{Namespaces: []hub.Namespace{{History: 10_000}}})
	ns[0].must(201, "PUT", "s", "[0]", contentTypeHeader, jsonType)
	const messages, forks = 100, 8
	ctx := bounded.Context(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range messages {
			if res := ns[0].do("POST", "s", fmt.Sprint(i+1), contentTypeHeader, jsonType); res.StatusCode != 204 {
				t.Errorf("append: %s", res.Status)
			}
		}
	})
	for _, n := range ns {
		wg.Go(func() {
			for i := range forks {
				for { // both nodes create the same fork
					res := n.do("PUT", fmt.Sprintf("f%d", i), "", headerFork, "s")
					if res.StatusCode == 200 || res.StatusCode == 201 {
						break
					}
					if res.StatusCode != 503 || ctx.Err() != nil {
						t.Errorf("fork: %s", res.Status)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	for i := range forks {
		text, _ := ns[i%2].must(200, "GET", fmt.Sprintf("f%d", i), "")
		var got []int
		if err := json.Unmarshal([]byte(text), &got); err != nil || len(got) == 0 {
			t.Fatalf("%q: %v", text, err)
		}
		for at, v := range got {
			if at != v {
				t.Fatalf("fork %d: %v", i, got)
			}
		}
	}
}

// If a client disconnects while its fork is being created, the copies are deleted, but not the publications of others in the
// channel in the meantime.
func TestForkCanceled(t *testing.T) {
	n := nodes(t, 1, hub.Options{Namespaces: []hub.Namespace{{History: 100}}})[0]
	ctx, cancel := context.WithCancel(bounded.Context(t))
	err := n.with(ctx, "f", func(ctx context.Context, x *stream) error {
		stored, err := n.writeRecord(ctx, "f", x.rec, record{ID: "y", Type: jsonType, Touched: time.Now(), Filling: true})
		if err != nil {
			return err
		}
		h := &inheritance{kind: jsonType}
		to, err := h.copyMessages(ctx, x, &stored, []*hub.Publication{{Data: []byte("1")}, {Data: []byte("2")}})
		if err != nil {
			return err
		}
		if _, err := n.Hub.Publish(ctx, "dev", "f", &hub.Publication{Data: []byte("3")}, nil); err != nil {
			return err
		}
		cancel()
		n.abandon(ctx, "f", stored, to)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := n.must(200, "GET", "f", ""); text != "[3]" {
		t.Errorf("%q", text)
	}
}

// While a fork is being created, another request for it, or for a stream with its name, neither stops nor repeats the creation.
func TestConcurrentForkRequests(t *testing.T) {
	n := nodes(t, 1, hub.Options{})[0]
	n.must(201, "PUT", "s", "[1,2]", contentTypeHeader, jsonType)
	next := record{ID: "x", Type: jsonType, Touched: time.Now(), Filling: true, Fork: &origin{forking: forking{Source: "s"}, ID: "y"}}
	before, err := n.writeRecord(t.Context(), "f", stored{}, next)
	if err != nil {
		t.Fatal(err)
	}
	for _, more := range [][]string{{headerFork, "s"}, {contentTypeHeader, jsonType}} {
		if _, h := n.must(503, "PUT", "f", "", more...); h.Get("Retry-After") == "" {
			t.Errorf("%v", h)
		}
	}
	n.must(404, "GET", "f", "")
	if rec, err := n.readRecord(t.Context(), "f", stored{}); err != nil || rec.at != before.at {
		t.Errorf("%+v, %v", rec, err)
	}
}

// hookedHistory is an engine that calls hook once, before the next read of a channel.
type hookedHistory struct {
	hub.Engine

	history hub.History
	channel string
	hook    func()
}

func (b *hookedHistory) History(ctx context.Context, channel string, q hub.HistoryQuery) (hub.HistoryPage, error) {
	if f := b.hook; f != nil && channel == b.channel {
		b.hook = nil
		f()
	}
	return b.history.History(ctx, channel, q)
}

func (b *hookedHistory) Trim(ctx context.Context, channel string, through uint64) error {
	return b.history.Trim(ctx, channel, through)
}

// A fork is added to the record of its source even if another node changes that record between the read and the write.
func TestForkRegisteredDespiteConflict(t *testing.T) {
	engine := hub.NewMemory().Node()
	b := &hookedHistory{Engine: engine, history: engine.(hub.History), channel: "dev/s"}
	h := hub.New(hub.Options{Engine: b, Namespaces: []hub.Namespace{{History: 100}}})
	n := &node{Server: &Server{Hub: h, App: "dev"}, t: t}
	t.Cleanup(func() {
		if err := errors.Join(n.Server.Close(), h.Close()); err != nil {
			t.Error(err)
		}
	})
	n.must(201, "PUT", "s", "[1]", contentTypeHeader, jsonType)
	forks := func(add ...string) []string {
		rec, err := n.readRecord(t.Context(), "s", stored{})
		if err == nil && len(add) > 0 {
			next := rec.record
			next.Forks = append(next.Forks, add...)
			rec, err = n.writeRecord(t.Context(), "s", rec, next)
		}
		if err != nil {
			t.Error(err)
		}
		return rec.Forks
	}
	b.hook = func() { forks("other") }
	n.must(201, "PUT", "f", "", headerFork, "s")
	if got := forks(); !slices.Equal(got, []string{"other", "f"}) {
		t.Errorf("%q", got)
	}
}

// conflictingEngine is an engine in which another node publishes directly before this node's next publications in channel. times is
// the number of publications that are overtaken.
type conflictingEngine struct {
	hub.Engine
	history hub.History
	channel string
	times   int
}

func (o *conflictingEngine) History(ctx context.Context, channel string, q hub.HistoryQuery) (hub.HistoryPage, error) {
	return o.history.History(ctx, channel, q)
}

func (o *conflictingEngine) Trim(ctx context.Context, channel string, through uint64) error {
	return o.history.Trim(ctx, channel, through)
}

func (o *conflictingEngine) Publish(ctx context.Context, channel string, p *hub.Publication, opts hub.PublishOptions) (hub.Published, error) {
	if channel == o.channel && o.times > 0 {
		o.times--
		other := opts
		other.Expect = nil
		if _, err := o.Engine.Publish(ctx, channel, &hub.Publication{Data: []byte("0")}, other); err != nil {
			return hub.Published{}, err
		}
	}
	return o.Engine.Publish(ctx, channel, p, opts)
}

// If another node publishes first, the messages of a request are appended after those of the other node. After many attempts, the
// response is 503.
func TestAppendConflict(t *testing.T) {
	engine := hub.NewMemory().Node()
	o := &conflictingEngine{Engine: engine, history: engine.(hub.History), channel: "dev/s"}
	h := hub.New(hub.Options{Engine: o, Namespaces: []hub.Namespace{{History: 1000}}})
	n := &node{Server: &Server{Hub: h, App: "dev"}, t: t}
	t.Cleanup(func() {
		if err := errors.Join(n.Server.Close(), h.Close()); err != nil {
			t.Error(err)
		}
	})
	n.must(201, "PUT", "s", "", contentTypeHeader, jsonType)
	o.times = maxConflicts / 2
	n.must(204, "POST", "s", "[1,2,3]", contentTypeHeader, jsonType)
	if text, _ := n.must(200, "GET", "s", ""); strings.ReplaceAll(text, "0,", "") != "[1,2,3]" {
		t.Errorf("%q", text)
	}
	o.times = 10 * maxConflicts
	n.must(503, "POST", "s", "[4,5]", contentTypeHeader, jsonType)
}

// A Stream-Seq must be larger than the previous one.
func TestSeqMustIncrease(t *testing.T) {
	n := nodes(t, 1, hub.Options{})[0]
	n.must(201, "PUT", "s", "", contentTypeHeader, textType)
	for _, tt := range []struct {
		seq  string
		code int
	}{{"b", 204}, {"b", 409}, {"a", 409}, {"ba", 204}, {"c", 204}} {
		n.must(tt.code, "POST", "s", "x", contentTypeHeader, textType, headerSeq, tt.seq)
	}
}

// If another node copies messages between the reads of a record and of its channel, the stream is not mistaken for a channel.
func TestForkBetweenReads(t *testing.T) {
	engine := hub.NewMemory().Node()
	b := &hookedHistory{Engine: engine, history: engine.(hub.History), channel: "dev/f"}
	h := hub.New(hub.Options{Engine: b, Namespaces: []hub.Namespace{{History: 100}}})
	n := &node{Server: &Server{Hub: h, App: "dev"}, t: t}
	t.Cleanup(func() {
		if err := errors.Join(n.Server.Close(), h.Close()); err != nil {
			t.Error(err)
		}
	})
	n.must(201, "PUT", "s", "[1,2]", contentTypeHeader, jsonType)
	b.hook = func() {
		next := record{ID: "x", Type: jsonType, Touched: time.Now(), Filling: true, Fork: &origin{forking: forking{Source: "s"}, ID: "y"}}
		if _, err := n.writeRecord(t.Context(), "f", stored{}, next); err != nil {
			t.Error(err)
		}
		if _, err := h.Publish(t.Context(), "dev", "f", &hub.Publication{Data: []byte("1")}, nil); err != nil {
			t.Error(err)
		}
	}
	n.must(503, "PUT", "f", "", headerFork, "s")
	n.must(404, "GET", "f", "")
}

// A namespace's limits on size and age do not apply to the records of streams.
func TestRecordsInNamespace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := nodes(t, 1, hub.Options{Namespaces: []hub.Namespace{{History: 100, MaxData: 80, Expiry: time.Minute}}})[0]
		n.must(201, "PUT", "s", "text", contentTypeHeader, textType)
		time.Sleep(2 * time.Minute) //nolint:forbidigo // Sleep uses the fake clock of a synctest bubble
		if text, h := n.must(200, "GET", "s", ""); text != "" || h.Get(contentTypeHeader) != textType {
			t.Errorf("%q, %v", text, h)
		}
	})
}

// slowEngine is an engine that takes some time for each publication.
type slowEngine struct {
	hookedHistory

	delay time.Duration
	calls int
}

func (s *slowEngine) Publish(ctx context.Context, channel string, p *hub.Publication, o hub.PublishOptions) (hub.Published, error) {
	s.calls++
	select {
	case <-time.After(s.delay):
		return s.Engine.Publish(ctx, channel, p, o)
	case <-ctx.Done():
		return hub.Published{}, ctx.Err()
	}
}

// batchEngine is a slowEngine that publishes several messages in the time of one.
type batchEngine struct{ *slowEngine }

func (b batchEngine) PublishAll(ctx context.Context, channel string, ps []*hub.Publication, o hub.PublishOptions) (last hub.Position, err error) {
	expect, takes := *o.Expect, b.delay
	<-time.After(takes)
	for _, p := range ps {
		o.Expect = &expect
		done, err := b.Engine.Publish(ctx, channel, p, o)
		if err != nil {
			return last, err
		}
		last, expect = done.Position, done.Offset
	}
	return last, nil
}

// A fork of thousands of messages is created even if the engine is slow; in the meantime, another node sees that it is being created.
// If the engine can publish several messages together, the fork is created with few calls.
func TestForkOnSlowEngine(t *testing.T) {
	const count = 5000
	for name, batch := range map[string]bool{"one by one": false, "together": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memory := hub.NewMemory()
				node := func(e hub.Engine) *node {
					h := hub.New(hub.Options{Engine: e, Namespaces: []hub.Namespace{{History: count}}})
					n := &node{Server: &Server{Hub: h, App: "dev"}, t: t}
					t.Cleanup(func() {
						if err := errors.Join(n.Server.Close(), h.Close()); err != nil {
							t.Error(err)
						}
					})
					return n
				}
				engine := memory.Node()
				slow := &slowEngine{hookedHistory{Engine: engine, history: engine.(hub.History)}, 10 * time.Millisecond, 0}
				var e hub.Engine = slow
				if batch {
					e = batchEngine{slow}
				}
				a, b := node(e), node(memory.Node())
				var texts []string
				for i := range count {
					texts = append(texts, fmt.Sprint(i))
				}
				body := "[" + strings.Join(texts, ",") + "]"
				b.must(201, "PUT", "s", body, contentTypeHeader, jsonType)
				made, began := make(chan struct{}), time.Now()
				go func() {
					defer close(made)
					a.must(201, "PUT", "f", "", headerFork, "s")
				}()
				if !batch {
					time.Sleep(40 * time.Second) //nolint:forbidigo // Sleep uses the fake clock of a synctest bubble
					b.must(503, "PUT", "f", "", headerFork, "s")
					b.must(404, "GET", "f", "")
				}
				<-made
				if took := time.Since(began); batch != (took < 2*time.Second) || batch != (slow.calls < 10) {
					t.Errorf("creating the fork took %v and %d calls", took, slow.calls)
				}
				got, since := "", ""
				for {
					text, h := b.must(200, "GET", "f"+since, "")
					if text == "[]" {
						break
					}
					got += "," + strings.Trim(text, "[]")
					since = "?offset=" + h.Get(headerNext)
				}
				if got != ","+strings.Join(texts, ",") {
					t.Errorf("the fork has %.100q", got)
				}
			})
		})
	}
}
