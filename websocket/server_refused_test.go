package websocket

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/bounded"
)

// ownAnswers are requests to which net/http responds by itself, with the expected text of the response and the clause.
var ownAnswers = []struct {
	name, request string
	status        int
	section, text string
}{
	{"no Host", "POST / HTTP/1.1\r\n\r\n", 400, "RFC 9112 §3.2", "Host header is missing"},
	{"a page without a Host", "GET / HTTP/1.1\r\n\r\n", 400, "RFC 9112 §3.2", "Host header is missing"},
	{"a wrong Host", "POST / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "RFC 9112 §3.2", "malformed"},
	{"two Hosts", "POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "RFC 9112 §2.1", "malformed"},
	{"a line without a colon", "POST / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400, "RFC 9112 §2.1", "malformed"},
	{"a control character", "POST / HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\n", 400, "RFC 9112 §2.1", "a header line"},
	{"a wrong name", "POST / HTTP/1.1\r\nHost: a\r\nX(: a\r\n\r\n", 400, "RFC 9112 §2.1", "a header line"},
	{"a wrong length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400, "RFC 9112 §2.1", "length of the content"},
	{"a large head", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 16<<10) + "\r\n\r\n", 431, "RFC 6585 §5", "longer than the server accepts"},
	{"a version", "GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505, "RFC 9110 §15.6.6", "use HTTP/1.1"},
	{"an expectation", "POST / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\nContent-Length: 0\r\n\r\n", 417, "RFC 9110 §10.1.1", "leave out the Expect header"},
	{"a transfer coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "RFC 9112 §6.1", "chunked"},
}

// refusing returns a Server, and a channel of its reports. Its Handler serves pages or, if loop is set, is an Endpoint with Open.
func refusing(loop bool) (*Server, chan *HandshakeError) {
	reports := make(chan *HandshakeError, 4)
	s := &Server{HTTP: &http.Server{
		MaxHeaderBytes: 1 << 10,
		Handler:        http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "a page") }),
	}}
	refused := func(_ context.Context, _ string, _ *http.Request, err *HandshakeError) { reports <- err }
	if loop {
		e := &Endpoint{Open: func(s Sender) Receiver { return nil }}
		e.Refused, s.HTTP.Handler = refused, e
	}
	s.Refused = refused
	return s, reports
}

// If net/http responds to a request by itself, the body of the response contains the reason, which is also reported. This applies
// to the first request of a connection, even if the event loop has read that request, and to later requests.
func TestServer_AnswersOfHTTPHaveTheirReason(t *testing.T) {
	for name, c := range map[string]struct{ loop, later bool }{"first": {}, "first, on the event loop": {loop: true}, "later": {later: true}} {
		s, reports := refusing(c.loop)
		addr := serveOwn(t, s)
		for _, tt := range ownAnswers {
			t.Run(name+"/"+tt.name, func(t *testing.T) {
				nc := dialRaw(t, addr)
				br := bufio.NewReader(nc)
				if c.later {
					io.WriteString(nc, "GET /page HTTP/1.1\r\nHost: a\r\n\r\n")
					if got := responded(br); got != 200 {
						t.Fatal(got)
					}
				}
				io.WriteString(nc, tt.request)
				r, err := http.ReadResponse(br, nil)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(r.Body)
				if r.StatusCode != tt.status || err != nil || !strings.Contains(string(body), tt.text) || r.Header.Get("X-Content-Type-Options") != "nosniff" {
					t.Errorf("%d %v %q, %v", r.StatusCode, r.Header, body, err)
				}
				got := bounded.Receive(t, reports)
				if got.Stage != handshake.StageRequest || got.Status != tt.status || got.Section != tt.section || string(got.Body) != string(body) {
					t.Errorf("reported %+v", got)
				}
			})
		}
	}
}

// If two requests arrive in one segment, the response to the second contains its reason, too.
func TestServer_AnswerOfHTTPToAPipelinedRequest(t *testing.T) {
	s, reports := refusing(false)
	nc := dialRaw(t, serveOwn(t, s))
	io.WriteString(nc, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\nPOST / HTTP/1.1\r\n\r\n")
	b, err := io.ReadAll(nc)
	if err != nil || strings.Count(string(b), "HTTP/1.1 ") != 2 || !strings.Contains(string(b), "Host header is missing") {
		t.Errorf("%q, %v", b, err)
	}
	if got := bounded.Receive(t, reports); got.Status != 400 {
		t.Errorf("reported %+v", got)
	}
}

// If a header is incomplete when its time limit expires, the response is 408, whether the Server or HTTP reads the header. A
// connection without a request is closed without a response.
func TestServer_LateHead(t *testing.T) {
	const page = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	for name, c := range map[string]struct {
		sent   []string
		status int
	}{
		"an upgrade":           {[]string{"GET / HT"}, 408},
		"another method":       {[]string{"POST / HTTP/1.1\r\nHos"}, 408},
		"a body":               {[]string{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab"}, 200},
		"a second head":        {[]string{page, "GET / HTTP/1.1\r\nHo"}, 408},
		"nothing":              {nil, 0},
		"nothing after a page": {[]string{page}, 0},
		"another line, late":   {[]string{"POST / HTTP/1.1\r\n", "later"}, 408},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := refusing(false)
			s.HTTP.ReadHeaderTimeout, s.HTTP.IdleTimeout, s.HTTP.ReadTimeout = 7*time.Second, 9*time.Second, 20*time.Second
			inBubble(t, s, func(t *testing.T, p *pipeListener) {
				reports := make(chan *HandshakeError, 1) // created in the bubble
				s.Refused = func(_ context.Context, _ string, _ *http.Request, err *HandshakeError) { reports <- err }
				nc := p.dial()
				defer nc.Close()
				br := bufio.NewReader(nc)
				for i, text := range c.sent {
					if text == "later" {
						<-time.After(6 * time.Second) // on the bubble's clock
						text = "X: y\r\n"
					}
					io.WriteString(nc, text)
					if i == len(c.sent)-1 && !strings.HasSuffix(text, "\r\n\r\n") {
						break
					}
					if text == page {
						responded(br)
					}
				}
				if status := responded(br); status != c.status {
					t.Errorf("status %d, want %d", status, c.status)
				}
				select {
				case got := <-reports:
					if got.Status != c.status || c.status != 408 {
						t.Errorf("reported %+v", got)
					}
				case <-time.After(time.Minute):
					if c.status == 408 {
						t.Error("not reported")
					}
				}
			})
		})
	}
}

// The event loop reports each request that it rejects: the address of the client, and the error that was sent.
func TestServer_RefusedByTheLoop(t *testing.T) {
	type report struct {
		remote string
		err    *HandshakeError
	}
	reports := make(chan report, 4)
	s := ownServer(&Endpoint{Open: openEcho})
	s.Refused = func(ctx context.Context, remote string, _ *http.Request, err *HandshakeError) {
		if ctx.Value(http.ServerContextKey) != s.HTTP {
			t.Error("the context lacks the server")
		}
		reports <- report{remote, err}
	}
	addr := serveOwn(t, s)
	for _, tt := range []struct {
		request string
		stage   handshake.Stage
		status  int
	}{
		{sampleRequest + "no colon\r\n\r\n", handshake.StageRequest, 400},
		{strings.Replace(sampleRequest, "dGhl", "!!!!", 1) + "\r\n", handshake.StageKey, 400},
		{sampleRequest + "Origin: http://evil.example.net\r\n\r\n", handshake.StageOrigin, 403},
		{strings.Replace(sampleRequest, "13", "8", 1) + "\r\n", handshake.StageHeader, 426},
	} {
		r, nc, _ := exchangeHead(t, addr, tt.request)
		body, err := io.ReadAll(r.Body)
		if r.StatusCode != tt.status || err != nil {
			t.Errorf("%q: %s, %v", tt.request, r.Status, err)
		}
		got := bounded.Receive(t, reports)
		if e := got.err; got.remote != nc.LocalAddr().String() || e.Stage != tt.stage || e.Status != tt.status ||
			e.Section == "" || string(e.Body) != string(body) {
			t.Errorf("%q: reported %q, %+v", tt.request, got.remote, e)
		}
	}
	if len(reports) > 0 {
		t.Errorf("also reported: %+v", bounded.Receive(t, reports))
	}
}

// responded returns the status of the next response, or 0 for none.
func responded(br *bufio.Reader) int {
	r, err := http.ReadResponse(br, nil)
	if err != nil {
		return 0
	}
	io.Copy(io.Discard, r.Body)
	return r.StatusCode
}

// A client that disconnects in the middle of a header is reported as gone, not as rejected.
func TestServer_ClientLeavesInAHead(t *testing.T) {
	for _, head := range []string{"GET / HTTP/1.1\r\nHos", "POST / HTTP/1.1\r\nHos"} {
		s, reports := refusing(false)
		nc := dialRaw(t, serveOwn(t, s))
		io.WriteString(nc, head)
		nc.(*net.TCPConn).CloseWrite()
		if got := bounded.Receive(t, reports); got.Status != 0 || got.Err != io.ErrUnexpectedEOF {
			t.Errorf("%q: reported %+v", head, got)
		}
	}
}
