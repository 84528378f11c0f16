package webhook

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/hub"
)

// Data is encoded as JSON if it is JSON, as a string if it is text, and otherwise in base64.
func TestValue(t *testing.T) {
	for _, tt := range []struct {
		data   string
		binary bool
		want   string
		base64 bool
	}{
		{"", false, "", false},
		{"", true, "", false},
		{`{"a": 1}`, false, `{"a": 1}`, false},
		{`{"a": 1}`, true, `"eyJhIjogMX0="`, true},
		{`{"a`, false, `"{\"a"`, false},
		{"é", false, `"é"`, false},
		{"\xff\x00", false, `"/wA="`, true},
	} {
		if got, base64 := value([]byte(tt.data), tt.binary); string(got) != tt.want || base64 != tt.base64 {
			t.Errorf("%q, %t: %s, %t", tt.data, tt.binary, got, base64)
		}
	}
}

// A request contains every field of an event, and only fields that are set.
func TestJSON(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, time.FixedZone("", 3600))
	text, header, err := JSON{Secret: []byte("secret")}.Encode(at, []hub.Event{
		{
			Kind: hub.EventPublished, Time: at, App: "app", Channel: "news", Client: "c", User: "ann", Data: []byte("1"), Reason: "why",
			Publication: &hub.Publication{
				Event: "e", Data: []byte("\xff"), Binary: true, Key: "k", Removed: true, Tags: map[string]string{"t": "v"}, Position: hub.Position{Epoch: "x", Offset: 7}, Trace: "0af7",
			},
		},
		{Kind: hub.EventDisconnected, Time: at, App: "app", Client: "c"},
		{Kind: hub.EventSubscriptionCount, Time: at, App: "app", Channel: "news"},
		{Kind: hub.EventConnected, Time: at, App: "app", Client: "c", Subscribers: 3},
	})
	if err != nil {
		t.Fatal(err)
	}
	const when = `"time":"2026-01-02T02:04:05.678Z","app":"app"`
	for _, want := range []string{
		`"type":"published",` + when + `,"channel":"news","client":"c","user":"ann","reason":"why","info":1,"data":"/w==","binary":true,"event":"e","key":"k",` +
			`"removed":true,"tags":{"t":"v"},"epoch":"x","offset":7,"trace_id":"0af7"}`,
		`{"id":"disconnected/app/c","type":"disconnected",` + when + `,"client":"c"}`,
		`"type":"subscription_count",` + when + `,"channel":"news","subscribers":0}`,
		`"type":"connected",` + when + `,"client":"c"}`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if !Verify([]byte("secret"), header, text, at) || header.Get("Content-Type") != "application/json" {
		t.Errorf("%v", header)
	}
}

// fixedFormat is a Format that returns its fields.
type fixedFormat struct {
	text []byte
	err  error
}

func (f fixedFormat) Encode(time.Time, []hub.Event) ([]byte, http.Header, error) {
	return f.text, nil, f.err
}

// Events that cannot be encoded are counted as failed, and events that the format omits as sent; neither causes a request.
func TestEncode(t *testing.T) {
	for _, tt := range []struct {
		format fixedFormat
		want   Stats
		faults int
	}{
		{fixedFormat{nil, nil}, Stats{Sent: 1}, 0},
		{fixedFormat{nil, errors.New("no JSON")}, Stats{Failed: 1}, 1},
		{fixedFormat{[]byte("{}"), nil}, Stats{Sent: 1}, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			var r receiver
			faults := 0
			s, err := New(Options{URL: "https://app.test/", Transport: &r, Format: tt.format, Failed: func(error) { faults++ }})
			if err != nil {
				t.Fatal(err)
			}
			over := false
			e := connected("a")
			e.Done = func() { over = true }
			s.Event(e)
			if err := s.Close(t.Context()); err != nil || !over {
				t.Errorf("%v, %t", err, over)
			}
			if requests := len(tt.format.text) / 2; s.Stats() != tt.want || faults != tt.faults || r.attempts() != requests {
				t.Errorf("%+v: %+v, %d faults, %d requests", tt.format, s.Stats(), faults, r.attempts())
			}
		})
	}
}

// The options have their documented defaults, and no request is made before the delay is over.
func TestDefaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r receiver
		s := start(t, &r, Options{})
		if s.o.Timeout != 10*time.Second || s.o.Delay != 100*time.Millisecond || s.o.RetryFor != 5*time.Minute || s.o.Queue != 10_000 || s.o.Batch != 100 {
			t.Errorf("%+v", s.o)
		}
		s.Event(connected("a"))
		for after, want := range []int{0, 1} {
			<-time.After(time.Duration(99-98*after)*time.Millisecond + time.Microsecond) // 99 ms, then one more
			synctest.Wait()
			if r.attempts() != want {
				t.Errorf("%d requests, want %d", r.attempts(), want)
			}
		}
		c, err := NewCaller(CallerOptions{URL: "https://app.test/", Transport: &r})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if c.o.Timeout != time.Second || c.o.InFlight != 64 {
			t.Errorf("%+v", c.o)
		}
	})
	s, err := New(Options{URL: "https://app.test/", Format: JSON{}, Timeout: 1, Delay: 2, RetryFor: 3, Queue: 4, Batch: 5})
	if err != nil {
		t.Fatal(err)
	}
	if s.o.Timeout != 1 || s.o.Delay != 2 || s.o.RetryFor != 3 || s.o.Queue != 4 || s.o.Batch != 5 {
		t.Errorf("%+v", s.o)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// If the context of Close is done while a Sender waits for its next attempt, Close returns immediately, and the events have failed.
func TestCloseDuringRetryPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := receiver{status: func(int) int { return 500 }}
		s := start(t, &r, Options{})
		s.Event(connected("a"))
		s.Event(connected("b"))
		<-time.After(10 * time.Second)
		tried, began := r.attempts(), time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Close(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		s.Event(connected("c"))
		if n := s.Stats(); n != (Stats{Failed: 2, Dropped: 1}) || r.attempts() != tried || tried < 2 || !time.Now().Equal(began) {
			t.Errorf("%+v, %d requests and then %d, %v later", n, tried, r.attempts(), time.Since(began))
		}
	})
}

// cuttingTransport is a receiver whose responses are incomplete.
type cuttingTransport struct{ requests int }

func (c *cuttingTransport) RoundTrip(*http.Request) (*http.Response, error) {
	c.requests++
	return &http.Response{StatusCode: 200, Body: io.NopCloser(io.MultiReader(strings.NewReader(`{"result":`), iotest.ErrReader(io.ErrUnexpectedEOF)))}, nil
}

// An incomplete response is counted as a failure of the receiver; after five failures there is a pause.
func TestCallerIncompleteAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var to cuttingTransport
		c, err := NewCaller(CallerOptions{URL: "https://app.test/", Transport: &to})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for range callFailures {
			if _, err := c.Call(t.Context(), Call{Method: "m"}); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Error(err)
			}
		}
		if _, err := c.Call(t.Context(), Call{Method: "m"}); !errors.Is(err, errCallPause) || to.requests != callFailures {
			t.Errorf("%v after %d requests", err, to.requests)
		}
	})
}

// gatedTransport is a receiver that holds the first request until its gate is open. It counts how often idle connections are
// closed.
type gatedTransport struct {
	gate  chan struct{}
	times []time.Time
	idle  int
}

func (g *gatedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	g.times = append(g.times, time.Now())
	if len(g.times) == 1 {
		<-g.gate
	}
	return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(`{"result":{}}`)), Request: r}, nil
}

func (g *gatedTransport) CloseIdleConnections() { g.idle++ }

// A full batch is sent without a delay. Closing a Sender or a Caller closes its connections.
func TestFullBatchIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := gatedTransport{gate: make(chan struct{})}
		s, err := New(Options{URL: "https://app.test/", Transport: &to, Format: JSON{}, Batch: 2})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the Sender is waiting for an event
		s.Event(connected("a"))
		<-time.After(time.Second)
		s.Event(connected("b"))
		s.Event(connected("c"))
		queued := s.queue
		close(to.gate)
		synctest.Wait()
		if len(queued) != 2 || queued[0].Client != "" || queued[1].Client != "" {
			t.Errorf("events that are being sent are retained in the queue: %v", queued)
		}
		if len(to.times) != 2 || !to.times[1].Equal(time.Now()) {
			t.Errorf("requests at %v, want the second one at %v", to.times, time.Now())
		}
		if err := s.Close(t.Context()); err != nil || to.idle != 1 || s.ctx.Err() == nil {
			t.Errorf("%v, connections closed %d times, %v", err, to.idle, s.ctx.Err())
		}
		c, err := NewCaller(CallerOptions{URL: "https://app.test/", Transport: &to})
		if err != nil {
			t.Fatal(err)
		}
		if c.Close(); to.idle != 2 {
			t.Error("the connections of a Caller stay open")
		}
	})
	for _, secret := range []string{"", "x"} {
		if header := signed([]byte(secret), time.Now(), nil); (header.Get(HeaderSignature) != "") != (secret != "") || header.Get(HeaderTimestamp) == "" {
			t.Errorf("with the secret %q: %v", secret, header)
		}
	}
}

// TestSign compares with the signature of another program: printf '1700000000.{"events":[]}' | openssl dgst -sha256 -hmac secret
func TestSign(t *testing.T) {
	const want = "sha256=3947de27ec923573170fccda604ddfb25583ff98dc51e96cca2e11c59545026a"
	if got := Sign([]byte("secret"), "1700000000", []byte(`{"events":[]}`)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
