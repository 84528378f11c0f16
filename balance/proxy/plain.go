package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"

	"github.com/handfast/handfast/balance"
)

// ServeRequest passes an ordinary HTTP request on to a server, and its response to the client. Upgrades belong to [Balancer.Open].
func (b *Balancer) ServeRequest(w http.ResponseWriter, r *Request) {
	p := &httputil.ReverseProxy{
		Rewrite:       func(*httputil.ProxyRequest) {}, // the server is not chosen yet
		Transport:     roundTripper{b, r},
		FlushInterval: -1,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			status, after, reason := Reply(err)
			if after > 0 {
				w.Header().Set("Retry-After", RetryAfter(after))
			}
			http.Error(w, reason, status)
		},
	}
	p.ServeHTTP(w, r.Request)
}

// roundTripper sends a request to a server of the pool.
type roundTripper struct {
	b *Balancer
	r *Request
}

// RoundTrip implements [http.RoundTripper]. When a server cannot be reached, another one is tried; behind a request that has reached
// one, only if its repetition does no harm (RFC 9110 §9.2.1).
func (t roundTripper) RoundTrip(out *http.Request) (*http.Response, error) {
	s := t.b.set.Load()
	prefer := t.b.preferred(s, t.r)
	body := &clientBody{ReadCloser: out.Body}
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
		resp, err := t.send(out, u)
		if err == nil && resp.StatusCode == http.StatusSwitchingProtocols { // nothing has asked for it
			_ = resp.Body.Close()
			err = errSwitched
		}
		if err == nil {
			t.b.heard(u, resp.Header)
			if s.Sticky != nil && !s.Sticky.Is(s.Sticky.Shown(t.r.Request), u.ID()) {
				resp.Header.Add("Set-Cookie", s.Sticky.Cookie(u.ID(), t.r.TLS != nil).String())
			}
			resp.Body = &counted{ReadCloser: resp.Body, done: func() { t.b.release(u) }}
			return resp, nil
		}
		t.b.release(u)
		if errors.Is(err, ErrClosed) {
			return nil, err
		}
		f, notReached := errors.AsType[*Failure](err)
		if !notReached {
			f = &Failure{Upstream: u.ID(), Stage: StageHandshake, Err: err}
		}
		if bad := body.failed(); bad != nil {
			f = &Failure{Upstream: u.ID(), Stage: StageRequest, Err: bad}
		}
		if out.Context().Err() != nil || f.Stage == StageRequest {
			return nil, f
		}
		t.b.outcome(u, balance.Unreachable)
		again := notReached || safe(out.Method) && (out.ContentLength == 0)
		if tried = append(tried, u); len(tried) > s.Retries || !again {
			return nil, f
		}
	}
}

// send sends the request to one server.
func (t roundTripper) send(out *http.Request, u *balance.Upstream) (*http.Response, error) {
	n, err := t.b.server(u.ID())
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
	if r.Header.Get("User-Agent") == "" {
		r.Header.Set("User-Agent", "") // or net/http would add its own
	}
	if r.Host = n.dialer.host; t.b.set.Load().Dial.KeepHost {
		r.Host = t.r.Host
	}
	return n.pages.RoundTrip(r)
}

// safe reports whether a request of a method may be repeated (RFC 9110 §9.2.1).
func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

var (
	errSwitched = errors.New("it has changed the protocol, which nothing has asked for")
	errBody     = errors.New("its body cannot be read")
)

// clientBody is the body of a client's request. It notes that the client has failed to send it, which is not the server's fault.
type clientBody struct {
	io.ReadCloser
	bad atomic.Bool
}

func (b *clientBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF && err != http.ErrBodyReadAfterClose { //nolint:errorlint // a body returns them bare
		b.bad.Store(true)
	}
	return n, err
}

// failed returns what is wrong with the body, without its own text, or nil.
func (b *clientBody) failed() error {
	if b.bad.Load() {
		return errBody
	}
	return nil
}

// counted calls done when a body is closed.
type counted struct {
	io.ReadCloser
	once sync.Once
	done func()
}

func (c *counted) Close() error {
	defer c.once.Do(c.done)
	return c.ReadCloser.Close()
}
