package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"

	"github.com/handfast/handfast/balance"
	"github.com/handfast/handfast/internal/limit"
)

// ServeRequest passes an ordinary HTTP request on to a server, and the server's response to the client. [Balancer.Open] is for
// upgrades.
//
// A response may last indefinitely, as an event stream does, but its header must arrive within a minute. A client may be slow, but
// not stall for 30 seconds. These limits replace the deadlines of the http.Server.
func (b *Balancer) ServeRequest(w http.ResponseWriter, r *Request) {
	side := newClientSide(w)
	defer side.end()
	p := &httputil.ReverseProxy{
		Rewrite:       func(*httputil.ProxyRequest) {}, // no server has been chosen yet
		Transport:     roundTripper{b, r, side},
		FlushInterval: -1,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				b.reportFailure(err)
			}
			status, after, reason := Reply(err)
			if after > 0 {
				w.Header().Set("Retry-After", limit.RetryAfter(after))
			}
			http.Error(w, reason, status)
		},
	}
	p.ServeHTTP(side, r.Request)
}

// reportFailure reports a server's failure of an ordinary HTTP request.
func (b *Balancer) reportFailure(err error) {
	f, ok := errors.AsType[*Failure](err)
	if ok && f.Stage != StageRequest && b.hooks.Troubled != nil {
		b.hooks.Troubled(f)
	}
}

// roundTripper sends a request to a server of the pool.
type roundTripper struct {
	b    *Balancer
	r    *Request
	side *clientSide
}

// RoundTrip implements [http.RoundTripper]. If a server cannot be reached, another one is tried. If a request has reached a server,
// it is only repeated if that does no harm (RFC 9110 §9.2.1).
func (t roundTripper) RoundTrip(out *http.Request) (*http.Response, error) {
	for r := t.r; ; {
		s := t.b.set.Load()
		t.r = s.identified(r)
		resp, err := t.roundTripWith(s, out)
		if !errors.Is(err, errReconfigured) {
			return resp, err
		}
	}
}

// roundTripWith is RoundTrip with the given settings. The error may also be errReconfigured: then nothing of the body has been
// read.
func (t roundTripper) roundTripWith(s *Settings, out *http.Request) (*http.Response, error) {
	prefer := t.b.preferred(s, t.r)
	body := &clientBody{ReadCloser: out.Body, side: t.side, last: func() {}}
	if out.Body != nil {
		out = out.WithContext(out.Context())
		out.Body = body
	}
	var tried []*balance.Upstream
	for {
		u, err := t.b.acquire(out.Context(), s, t.r, prefer, tried)
		if err != nil {
			return nil, err
		}
		resp, err := t.send(s, out, u, body)
		if err == nil && resp.StatusCode == http.StatusSwitchingProtocols { // no request asks for an upgrade
			_ = resp.Body.Close()
			err = errSwitched
		}
		if err == nil {
			t.b.readStateHeader(u, resp.Header)
			s.Sticky.set(resp.Header, t.r, u.ID())
			resp.Body = &countedBody{ReadCloser: resp.Body, done: func(err error) {
				t.b.release(u)
				if err != nil && out.Context().Err() == nil {
					t.b.reportFailure(&Failure{Upstream: u.ID(), Stage: StageResponse, Err: err})
				}
			}}
			return resp, nil
		}
		t.b.release(u)
		if errors.Is(err, ErrClosed) || errors.Is(err, errReconfigured) {
			return nil, err
		}
		if exhausted(err) {
			return nil, exhaustedBusy(err)
		}
		f, notReached := errors.AsType[*Failure](err)
		if !notReached {
			f = &Failure{Upstream: u.ID(), Stage: StageResponse, Err: err}
		}
		if bad := body.failed(); bad != nil {
			f = &Failure{Upstream: u.ID(), Stage: StageRequest, Err: bad}
		}
		if out.Context().Err() != nil || f.Stage == StageRequest {
			return nil, f
		}
		if !notReached && f.Timeout() { // a slow page indicates nothing about connections, and would be slow elsewhere
			return nil, f
		}
		if !portsExhausted(err) {
			t.b.outcome(u, balance.Unreachable)
		}
		again := notReached || safe(out.Method) && (out.ContentLength == 0)
		if tried = append(tried, u); len(tried) > s.Retries || !again {
			return nil, lastError(f)
		}
	}
}

// send sends the request to one server, with the given body.
func (t roundTripper) send(s *Settings, out *http.Request, u *balance.Upstream, body *clientBody) (*http.Response, error) {
	n, err := t.b.serverFor(s, u.ID())
	if err != nil {
		return nil, err
	}
	target, err := n.dialer.target(t.r.URL)
	if err != nil {
		return nil, &Failure{Upstream: u.ID(), Stage: StageRequest, Err: err}
	}
	r := out.WithContext(context.WithValue(out.Context(), requestKey{}, t.r))
	if r.URL, err = url.Parse("http://" + n.dialer.host + target); err != nil {
		return nil, &Failure{Upstream: u.ID(), Stage: StageRequest, Err: errors.New("the path is not valid")}
	}
	if r.Header, err = n.dialer.header(t.r); err != nil {
		return nil, &Failure{Upstream: u.ID(), Stage: StageRequest, Err: err}
	}
	// The names of the trailer are known now, but the values only at the end of the body. Names that are also in the header are
	// left out.
	r.Trailer = n.dialer.clientFields(t.r.Trailer, r.Header)
	body.last = func() {
		for name := range r.Trailer {
			r.Trailer[name] = t.r.Trailer[name]
		}
	}
	if out.Header.Get("Te") != "" { // so that a trailer is passed on
		r.Header.Set("Te", "trailers")
	}
	if r.Header.Get("User-Agent") == "" {
		r.Header.Set("User-Agent", "") // otherwise net/http would add its own
	}
	if r.Host = n.dialer.host; s.Dial.KeepHost {
		r.Host = t.r.Host
	}
	return n.pages.RoundTrip(r)
}

// safe reports whether a request with this method may be repeated (RFC 9110 §9.2.1).
func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

var errSwitched = errors.New("the server switched protocols, which the request did not ask for")

// countedBody calls done when a body is closed, with the error that cut it short.
type countedBody struct {
	io.ReadCloser
	once sync.Once
	err  error // error of Read
	done func(error)
}

// Read returns context.Canceled for any error, because httputil.ReverseProxy does not log context.Canceled.
func (c *countedBody) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // a body returns io.EOF unwrapped
		c.err, err = err, context.Canceled
	}
	return n, err
}

func (c *countedBody) Close() error {
	defer c.once.Do(func() { c.done(c.err) })
	return c.ReadCloser.Close()
}
