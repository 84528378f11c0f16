package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener for pipes, whose deadlines use the clock of the bubble.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case nc := <-p.conns:
		return nc, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	far, near := net.Pipe()
	select {
	case p.conns <- near:
		return far, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// site is a page server behind a Balancer behind an http.Server with limits for whole requests and responses, in a bubble.
type site struct {
	t        *testing.T
	b        *Balancer
	front    *pipes
	client   *http.Transport
	troubles chan *Failure
}

const siteAddr = "10.0.0.1:80"

// inBubble runs a test of a site.
func inBubble(t *testing.T, page http.HandlerFunc, test func(t *testing.T, s *site)) {
	synctest.Test(t, func(t *testing.T) {
		s := &site{t: t, front: newPipes(), troubles: make(chan *Failure, 10)}
		back := newPipes()
		up := &http.Server{Handler: page}
		go up.Serve(back)
		s.b = newWith(&Carrier{live: map[*Tunnel]struct{}{}}, Settings{}, Hooks{Troubled: func(f *Failure) { s.troubles <- f }})
		if err := s.b.SetServers("test", specs(siteAddr)); err != nil {
			t.Fatal(err)
		}
		n, err := s.b.server("ws://" + siteAddr)
		if err != nil {
			t.Fatal(err)
		}
		n.pages.DialContext = back.dial
		const whole = 30 * time.Second
		front := &http.Server{ReadTimeout: whole, WriteTimeout: whole, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.b.ServeRequest(w, &Request{Request: r})
		})}
		go front.Serve(s.front)
		s.client = &http.Transport{DialContext: s.front.dial, DisableKeepAlives: true}
		defer func() {
			s.client.CloseIdleConnections()
			front.Close()
			s.b.Close()
			up.Close()
			time.Sleep(time.Hour) //nolint:forbidigo // Sleep uses the fake clock of a synctest bubble; when it returns, all pages and net/http's delayed closes have ended
		}()
		test(t, s)
	})
}

func (s *site) ask(method string, body io.Reader, trailer http.Header) *http.Response {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, "http://front/", body)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Trailer = trailer
	resp, err := s.client.RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp
}

// An event stream lasts longer than every limit on a whole response, even if it is silent for a long time.
func TestEventStreamOutlastsTimeouts(t *testing.T) {
	const events, pause = 5, 10 * time.Minute
	inBubble(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range events {
			fmt.Fprintf(w, "data: %d\n\n", i)
			http.NewResponseController(w).Flush()
			time.Sleep(pause) //nolint:forbidigo // Sleep uses the fake clock of a synctest bubble
		}
	}, func(t *testing.T, s *site) {
		resp := s.ask(http.MethodGet, nil, nil)
		defer resp.Body.Close()
		r, began := bufio.NewReader(resp.Body), time.Now()
		for i := range events {
			line, err := r.ReadString('\n')
			if err != nil || line != fmt.Sprintf("data: %d\n", i) || time.Since(began) != time.Duration(i)*pause {
				t.Fatalf("got %q, %v after %v, want event %d after %v", line, err, time.Since(began), i, time.Duration(i)*pause)
			}
			r.ReadString('\n')
		}
		if rest, err := io.ReadAll(r); len(rest) != 0 || err != nil { // the stream must end normally, without further data
			t.Errorf("got %q, %v after the last event, want the end", rest, err)
		}
	})
}

// slow reads a text with pauses before some of its bytes.
type slow struct {
	r     io.Reader
	left  int // number of pauses left
	pause time.Duration
}

func (s *slow) Read(p []byte) (int, error) {
	if s.left > 0 {
		s.left--
		<-time.After(s.pause)
		p = p[:1]
	}
	return s.r.Read(p)
}

// Large bodies pass both ways, with their trailers, and may take longer than the limits on whole requests. A field that is removed
// from the header is also removed from the trailer.
func TestLargeBodiesWithTrailers(t *testing.T) {
	const size = 3 << 20
	got := make(chan http.Header, 1)
	inBubble(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		http.NewResponseController(w).EnableFullDuplex()
		n, err := io.Copy(w, r.Body)
		if n != size || err != nil {
			t.Errorf("server: got %d bytes, %v, want %d", n, err, size)
		}
		w.Header().Set("X-Sum", fmt.Sprint(n))
		w.Header().Set(http.TrailerPrefix+"X-Late", "yes")
		got <- r.Trailer
	}, func(t *testing.T, s *site) {
		set := *s.b.Settings()
		set.Dial.Remove = []string{"X-User"}
		n, err := NewDialer("ws://"+siteAddr, set.Dial)
		if err != nil {
			t.Fatal(err)
		}
		up, err := s.b.server("ws://" + siteAddr)
		if err != nil {
			t.Fatal(err)
		}
		up.dialer = n
		trailer := http.Header{"X-Check": nil, "X_user": nil, "X-Forwarded-For": nil}
		body := &slow{r: io.MultiReader(io.LimitReader(zeros{}, size), &callOnRead{func() {
			trailer["X-Check"], trailer["X_user"], trailer["X-Forwarded-For"] = []string{"abc"}, []string{"root"}, []string{"6.6.6.6"}
		}}), left: 4, pause: 20 * time.Second}
		resp := s.ask(http.MethodPost, body, trailer)
		defer resp.Body.Close()
		if n, err := io.Copy(io.Discard, resp.Body); n != size || err != nil {
			t.Errorf("client: got %d bytes, %v, want %d", n, err, size)
		}
		if h := <-got; h.Get("X-Check") != "abc" || len(h) != 1 {
			t.Errorf("trailer of the request: got %v, want only X-Check", h)
		}
		if h := resp.Trailer; h.Get("X-Sum") != fmt.Sprint(size) || h.Get("X-Late") != "yes" {
			t.Errorf("trailer of the response: got %v, want X-Sum and X-Late", h)
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// callOnRead is an empty reader that calls a function.
type callOnRead struct{ do func() }

func (a *callOnRead) Read([]byte) (int, error) {
	a.do()
	return 0, io.EOF
}

// A page that takes too long causes a 504, which does not count as a failure, because it indicates nothing about the server's
// WebSockets.
func TestSlowPage(t *testing.T) {
	inBubble(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, func(t *testing.T, s *site) {
		began := time.Now()
		resp := s.ask(http.MethodGet, nil, nil)
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusGatewayTimeout || err != nil || !strings.Contains(string(text), "did not answer in time") || time.Since(began) != time.Minute {
			t.Errorf("got %d %q, %v after %v, want 504 after a minute", resp.StatusCode, text, err, time.Since(began))
		}
		if n := state(s.b, siteAddr); n.Counts.Failed != 0 || n.Failures != 0 {
			t.Errorf("got %d failures of the server, want 0", n.Counts.Failed)
		}
		if f := <-s.troubles; f.Stage != StageResponse || !f.Timeout() || f.Upstream != "ws://"+siteAddr {
			t.Errorf("got %v, want a timeout at the stage response", f)
		}
	})
}

// An invalid response counts as a failure, and the client gets a complete error response. A response that is cut off is reported,
// too.
func TestBrokenPage(t *testing.T) {
	for name, whole := range map[string]bool{"no response": false, "a response that is cut": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w http.ResponseWriter, _ *http.Request) {
				if whole {
					fmt.Fprint(w, "the beginning")
					http.NewResponseController(w).Flush()
				}
				panic(http.ErrAbortHandler)
			}, func(t *testing.T, s *site) {
				resp := s.ask(http.MethodPost, nil, nil)
				defer resp.Body.Close()
				text, err := io.ReadAll(resp.Body)
				if whole && (err == nil || resp.StatusCode != http.StatusOK) || !whole && (resp.StatusCode != http.StatusBadGateway || strings.Contains(string(text), "WebSocket")) {
					t.Errorf("got %d %q, %v", resp.StatusCode, text, err)
				}
				if f := <-s.troubles; f.Stage != StageResponse || f.Timeout() {
					t.Errorf("got %v, want a failure at the stage response other than a timeout", f)
				}
				if n := state(s.b, siteAddr); (n.Counts.Failed == 0) != whole {
					t.Errorf("got %d failures of the server, want none: %v", n.Counts.Failed, whole)
				}
			})
		})
	}
}

// A stalled client does not occupy a server for longer than the limit.
func TestClientStalls(t *testing.T) {
	read := make(chan time.Duration, 1)
	inBubble(t, func(_ http.ResponseWriter, r *http.Request) {
		began := time.Now()
		io.Copy(io.Discard, r.Body)
		read <- time.Since(began)
	}, func(t *testing.T, s *site) {
		resp := s.ask(http.MethodPost, &slow{r: strings.NewReader("abcdef"), left: 5, pause: stallTimeout + time.Second}, nil)
		resp.Body.Close()
		if took := <-read; took > stallTimeout {
			t.Errorf("got a request of %v at the server, want %v at most", took, stallTimeout)
		}
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("got %d, want 400", resp.StatusCode)
		}
	})
}
