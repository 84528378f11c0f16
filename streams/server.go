package streams

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/cors"
)

// The defaults of a Server.
const (
	defaultHistory  = 100_000
	defaultMaxBody  = 8 << 20
	defaultPoll     = 4 * time.Second
	defaultSSE      = 60 * time.Second
	defaultMaxLive  = 10_000
	maxKnown        = 10_000 // the number of streams above which a node forgets those that are not in use
	engineTimeout   = 10 * time.Second
	bodyTimeout     = 60 * time.Second // the timeout for the body of a request
	writeTimeout    = 20 * time.Second // the timeout for a part of a response
	actionSubscribe = hub.ActionSubscribe
	actionPublish   = hub.ActionPublish
	actionHistory   = hub.ActionHistory
)

// ActionDelete is the action with which Client.Allow is called before a stream is deleted, in addition to the actions of a hub.
const ActionDelete = "delete"

// Server serves the streams of an application. Its fields must be set before the first request, and not be changed afterwards. It
// may be used from any goroutine.
type Server struct {
	// Hub manages the channels. It is required.
	Hub *hub.Hub

	// App is the ID of the application.
	App string

	// History is the number of messages that a stream keeps, if the engine keeps that many. 0 means 100,000.
	History int

	// MaxBody is the maximum number of bytes that one request may append; the response to a larger request is 413. 0 means 8 MiB.
	MaxBody int64

	// LongPoll is how long a long poll waits for messages. 0 means 4 seconds, which is below the timeout of most clients.
	LongPoll time.Duration

	// SSE is how long a response of server-sent events lasts; then the client reconnects. 0 means 60 seconds.
	SSE time.Duration

	// MaxLive is the maximum number of live reads; the response to further live reads is 503. 0 means 10,000.
	MaxLive int

	mu      sync.Mutex
	streams map[string]*stream
	expires map[string]time.Time // the times when the streams that this node knows expire
	janitor bool                 // a goroutine that deletes expired streams is running
	live    int
	stop    chan struct{} // closed by Close
	closed  bool
	running sync.WaitGroup
}

// Client is the client that makes a request. The zero value may perform every action.
type Client struct {
	// User is the authenticated user; "" if there is none.
	User string

	// Allow is called before each action on a channel: "publish" for creating a stream and appending, "history" for reading,
	// "subscribe" for waiting for more, and "delete". If it returns an error, the response is 403. If nil, every action is allowed.
	Allow func(action, channel string) error
}

// Handler returns a handler for the streams below a path, such as "/streams/", for clients that may perform every action.
func (s *Server) Handler(prefix string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.Serve(w, r, strings.TrimPrefix(r.URL.Path, prefix), Client{})
	})
}

// Close ends live reads and other running requests. The response to later requests is 503.
func (s *Server) Close() error {
	s.mu.Lock()
	s.init()
	if !s.closed {
		s.closed = true
		close(s.stop)
	}
	s.mu.Unlock()
	s.running.Wait()
	return nil
}

// init initializes the zero value. The caller holds mu.
func (s *Server) init() {
	if s.stop == nil {
		s.stop, s.streams, s.expires = make(chan struct{}), map[string]*stream{}, map[string]time.Time{}
	}
}

func (s *Server) history() int {
	if s.History <= 0 {
		return defaultHistory
	}
	return s.History
}

// acquire returns the state of a stream. The caller must release it.
func (s *Server) acquire(name string) (*stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init()
	if s.closed {
		return nil, hub.ErrClosed
	}
	x := s.streams[name]
	if x == nil {
		for other, y := range s.streams {
			if len(s.streams) < maxKnown {
				break
			}
			if y.refs == 0 {
				delete(s.streams, other)
			}
		}
		x = &stream{server: s, name: name, lock: make(chan struct{}, 1), changed: make(chan struct{})}
		s.streams[name] = x
	}
	x.refs++
	return x, nil
}

func (s *Server) release(x *stream) {
	s.mu.Lock()
	x.refs--
	s.mu.Unlock()
}

// with locks and refreshes a stream, and calls f with the stream.
func (s *Server) with(ctx context.Context, name string, f func(context.Context, *stream) error) error {
	return s.withTimeout(ctx, engineTimeout, name, f)
}

// withTimeout does the same as with, and limits the time of f.
func (s *Server) withTimeout(ctx context.Context, timeout time.Duration, name string, f func(context.Context, *stream) error) error {
	x, err := s.acquire(name)
	if err != nil {
		return err
	}
	defer s.release(x)
	began := time.Now()
	all, cancel := context.WithDeadline(ctx, began.Add(timeout))
	defer cancel()
	ctx, stop := context.WithDeadline(ctx, began.Add(engineTimeout))
	defer stop()
	if err := x.acquireLock(ctx); err != nil {
		return err
	}
	defer x.releaseLock()
	if err := x.refresh(ctx); err != nil {
		return err
	}
	return f(all, x)
}

// Serve responds to a request for the stream with a name.
func (s *Server) Serve(w http.ResponseWriter, r *http.Request, name string, c Client) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("Access-Control-Expose-Headers", exposed)
	if err := s.serve(w, r, name, c); err != nil {
		fail(w, err)
	}
}

// The methods and header fields that browsers may use in cross-origin requests, and the header fields that they may read.
const (
	methods = "GET, HEAD, PUT, POST, DELETE, OPTIONS"
	exposed = "ETag, Location, Stream-Next-Offset, Stream-Up-To-Date, Stream-Closed, Stream-Cursor, Stream-TTL, Stream-Expires-At, " +
		"Stream-SSE-Data-Encoding, Producer-Epoch, Producer-Seq, Producer-Expected-Seq, Producer-Received-Seq"
	accepted = "Authorization, Content-Type, If-None-Match, Last-Event-ID, Stream-TTL, Stream-Expires-At, Stream-Closed, Stream-Seq, " +
		"Stream-Forked-From, Stream-Fork-Offset, Stream-Fork-Sub-Offset, Producer-Id, Producer-Epoch, Producer-Seq"
)

// Preflight responds to a CORS preflight request, with which a browser asks whether a page of another origin may make a request. The
// caller must set Access-Control-Allow-Origin if the origin is allowed.
func Preflight(w http.ResponseWriter) {
	cors.Preflight(w, methods, accepted)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, name string, c Client) error {
	if !validName(name) {
		return errNoStream
	}
	switch r.Method {
	case http.MethodPut:
		return s.put(w, r, name, c)
	case http.MethodPost:
		return s.post(w, r, name, c)
	case http.MethodGet:
		return s.get(w, r, name, c)
	case http.MethodHead:
		return s.head(w, r, name, c)
	case http.MethodDelete:
		return s.delete(w, r, name, c)
	case http.MethodOptions:
		Preflight(w)
		return nil
	}
	return &problem{status: http.StatusMethodNotAllowed, text: "streams do not support this method", header: http.Header{"Allow": {methods}}}
}

// validName reports whether the name of a stream is valid.
func validName(name string) bool { return name != "" && len(name) <= hub.MaxChannel && name[0] != '#' }

// denied is an error that Client.Allow has returned.
type denied struct{ error }

func (d denied) Unwrap() error { return d.error }

// permit returns nil if the client may perform one of the actions.
func (c *Client) permit(name string, actions ...string) error {
	if c.Allow == nil {
		return nil
	}
	var err error
	for _, a := range actions {
		if err = c.Allow(a, name); err == nil {
			return nil
		}
	}
	return denied{err}
}

// fail responds with an error.
func fail(w http.ResponseWriter, err error) {
	h := w.Header()
	p, ok := errors.AsType[*problem](err)
	if !ok {
		p = &problem{status: http.StatusServiceUnavailable, text: "temporarily unavailable", header: http.Header{"Retry-After": {"1"}}}
		if _, no := errors.AsType[denied](err); no {
			p = &problem{status: http.StatusForbidden, text: "this is not allowed"}
		}
	}
	maps.Copy(h, p.header)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(p.status)
	io.WriteString(w, p.text+"\n") //nolint:errcheck // this fails only if the client has disconnected
}

// addition parses the addition in a PUT or a POST.
func (s *Server) addition(w http.ResponseWriter, r *http.Request, c Client) (*addition, error) {
	a := &addition{close: isTrue(r.Header, headerClosed), seq: r.Header.Get(headerSeq), user: c.User, trace: r.Header.Get("Traceparent")}
	if len(a.seq) > maxSeq {
		return nil, bad("%s is longer than %d bytes", headerSeq, maxSeq)
	}
	var err error
	if a.producer, err = parseProducer(r.Header); err != nil {
		return nil, err
	}
	most := s.MaxBody
	if most <= 0 {
		most = defaultMaxBody
	}
	http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout)) //nolint:errcheck // if this fails, the timeout of the http.Server applies
	if a.body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, most)); err != nil {
		if _, big := errors.AsType[*http.MaxBytesError](err); big {
			return nil, &problem{status: http.StatusRequestEntityTooLarge, text: "the body is too large"}
		}
		return nil, bad("the body cannot be read")
	}
	a.kind, err = parseType(r.Header)
	if len(a.body) == 0 && r.Method == http.MethodPost {
		err = nil // PROTOCOL.md 5.2: without a body, the content type is ignored
	}
	return a, err
}

// put creates a stream (PROTOCOL.md 5.1).
func (s *Server) put(w http.ResponseWriter, r *http.Request, name string, c Client) error {
	if err := c.permit(name, actionPublish); err != nil {
		return err
	}
	f, err := parseFork(r.Header, strings.TrimSuffix(r.URL.Path, name), name)
	if err != nil {
		return err
	}
	if f != nil {
		if err := c.permit(f.Source, actionHistory); err != nil {
			return err
		}
	}
	a, err := s.addition(w, r, c)
	if err != nil {
		return err
	}
	l, err := parseLifetime(r.Header)
	if err != nil {
		return err
	}
	if f != nil {
		given := &l
		if l == (lifetime{}) {
			given = nil
		}
		o, err := s.putFork(r.Context(), name, a, f, given)
		writable(w)
		if err != nil {
			return err
		}
		o.answerPut(w, r)
		return nil
	}
	if a.kind == "" {
		a.kind = defaultType
	}
	return s.with(r.Context(), name, func(ctx context.Context, x *stream) error {
		o, err := x.create(ctx, a, l)
		if err != nil {
			return err
		}
		o.answerPut(w, r)
		return nil
	})
}

// answerPut responds to a request to create a stream.
func (o *outcome) answerPut(w http.ResponseWriter, r *http.Request) {
	if o.status == http.StatusCreated {
		o.header.Set("Location", location(r))
	}
	o.write(w)
}

// location returns the URL of a request, without its query.
func location(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host + r.URL.EscapedPath()
}

// post appends to a stream, or closes it (PROTOCOL.md 5.2, 5.3).
func (s *Server) post(w http.ResponseWriter, r *http.Request, name string, c Client) error {
	if err := c.permit(name, actionPublish); err != nil {
		return err
	}
	a, err := s.addition(w, r, c)
	switch {
	case err != nil:
		return err
	case len(a.body) == 0 && !a.close:
		return bad("there is nothing to append")
	case len(a.body) > 0 && a.kind == "":
		return bad("there is no Content-Type")
	}
	return s.with(r.Context(), name, func(ctx context.Context, x *stream) error {
		o, err := x.add(ctx, a)
		if err != nil {
			return err
		}
		o.write(w)
		return nil
	})
}

// write writes the outcome as the response.
func (o *outcome) write(w http.ResponseWriter) {
	maps.Copy(w.Header(), o.header)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(o.status)
}

// head responds to a HEAD request (PROTOCOL.md 5.5).
func (s *Server) head(w http.ResponseWriter, r *http.Request, name string, c Client) error {
	if err := c.permit(name, actionHistory, actionSubscribe, actionPublish); err != nil {
		return err
	}
	return s.with(r.Context(), name, func(_ context.Context, x *stream) error {
		if !x.exists {
			return x.rec.absent()
		}
		o := &outcome{status: http.StatusOK, header: x.head()}
		o.header.Set("Content-Type", x.contentType())
		x.rec.header(o.header)
		o.write(w)
		return nil
	})
}

// delete deletes a stream (PROTOCOL.md 5.4).
func (s *Server) delete(w http.ResponseWriter, r *http.Request, name string, c Client) error {
	if err := c.permit(name, ActionDelete); err != nil {
		return err
	}
	return s.with(r.Context(), name, func(ctx context.Context, x *stream) error {
		if err := x.remove(ctx); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	})
}

// watch records the time when a stream expires; the zero time means never.
func (s *Server) watch(name string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at.IsZero() {
		delete(s.expires, name)
		return
	}
	s.expires[name] = at
	if !s.janitor && !s.closed {
		s.janitor = true
		s.running.Go(s.deleteExpired)
	}
}

// deleteExpired deletes streams when they expire, until no known stream has an expiry time.
func (s *Server) deleteExpired() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
		var over []string
		s.mu.Lock()
		now := time.Now()
		for name, at := range s.expires {
			if !now.Before(at) {
				over = append(over, name)
				delete(s.expires, name)
			}
		}
		if s.janitor = len(s.expires)+len(over) > 0; !s.janitor {
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		// The method with refreshes the stream, which deletes a stream whose lifetime is over. If another node has extended the lifetime,
		// the refresh records the new expiry time.
		for _, name := range over {
			ctx, cancel := context.WithTimeout(context.Background(), engineTimeout)
			s.with(ctx, name, func(context.Context, *stream) error { return nil }) //nolint:errcheck // if this fails, the next request for the stream deletes it
			cancel()
		}
	}
}
