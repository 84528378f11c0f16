package websocket

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/handfast/handfast/websocket/internal/bounded"
)

// refusalCase is a request that every server must reject.
type refusalCase struct {
	name    string
	request string
	status  int

	// early means that net/http responds before any handler runs. In that case only the status and the Connection field are
	// compared with the response of a Server.
	early bool

	app bool // the application rejects the client
}

// refusals returns requests for every kind of rejection. The application decides by the path.
func refusals() []refusalCase {
	at := func(path string) string { return strings.Replace(sampleRequest, "/chat", path, 1) + "\r\n" }
	with := func(line string) string { return sampleRequest + line + "\r\n\r\n" }
	line := func(s string) string { return strings.Replace(sampleRequest, "GET /chat HTTP/1.1", s, 1) + "\r\n" }
	without := func(name string) string {
		i := strings.Index(sampleRequest, name+":")
		return sampleRequest[:i] + sampleRequest[i+strings.Index(sampleRequest[i:], "\r\n")+2:] + "\r\n"
	}
	return []refusalCase{
		{name: "a page", request: "GET /chat HTTP/1.1\r\nHost: server.example.com\r\n\r\n", status: 426},
		{name: "HEAD", request: "HEAD /chat HTTP/1.1\r\nHost: server.example.com\r\n\r\n", status: 405},
		{name: "HEAD that asks for an upgrade", request: line("HEAD /chat HTTP/1.1"), status: 405},
		{name: "POST", request: line("POST /chat HTTP/1.1"), status: 405},
		{name: "HTTP/1.0", request: line("GET /chat HTTP/1.0"), status: 426},
		{name: "HTTP/2.0", request: line("GET /chat HTTP/2.0"), status: 505, early: true},
		{name: "without Upgrade", request: without("Upgrade"), status: 426},
		{name: "without Connection", request: without("Connection"), status: 400},
		{name: "without Host", request: without("Host"), status: 400, early: true},
		{name: "two Hosts", request: with("Host: server.example.com"), status: 400, early: true},
		{name: "an invalid Host", request: strings.Replace(sampleRequest, "server.example.com", "a b", 1) + "\r\n", status: 400, early: true},
		{name: "an invalid Host beside a whole URI", status: 400, early: true,
			request: strings.NewReplacer("/chat", "ws://server.example.com/chat", "Host: server.example.com", "Host: a b").Replace(sampleRequest) + "\r\n"},
		{name: "without a key", request: without("Sec-WebSocket-Key"), status: 400},
		{name: "a wrong key", request: strings.Replace(sampleRequest, "dGhl", "!!!!", 1) + "\r\n", status: 400},
		{name: "two keys", request: with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), status: 400},
		{name: "without a version", request: without("Sec-WebSocket-Version"), status: 426},
		{name: "version 8", request: strings.Replace(sampleRequest, "13", "8", 1) + "\r\n", status: 426},
		{name: "a subprotocol that is not a token", request: with("Sec-WebSocket-Protocol: a b"), status: 400},
		{name: "extensions that break the grammar", request: with("Sec-WebSocket-Extensions: ;"), status: 400},
		{name: "an origin", request: with("Origin: http://evil.example.net"), status: 403},
		{name: "two origins", request: with("Origin: http://server.example.com\r\nOrigin: http://server.example.com"), status: 403},
		{name: "an expectation", request: with("Expect: 200-ok"), status: 417, early: true},
		{name: "content", request: with("Content-Length: 5") + "hello", status: 400},
		{name: "chunked", request: with("Transfer-Encoding: chunked") + "0\r\n\r\n", status: 400},
		{name: "an unknown transfer coding", request: with("Transfer-Encoding: gzip"), status: 501, early: true},
		{name: "a fragment", request: at("/chat#x"), status: 400},
		{name: "the target *", request: at("*"), status: 400},
		{name: "the target a:80", request: at("a:80"), status: 400},
		{name: "the target mailto:x", request: at("mailto:x"), status: 400},
		{name: "the target foo:", request: at("foo:"), status: 400},
		{name: "the target ftp://a/b", request: at("ftp://a/b"), status: 400},
		{name: "the target http:chat", request: at("http:chat"), status: 400},
		{name: "the target http:///chat", request: at("http:///chat"), status: 400},
		{name: "unparsable: a percent sign", request: at("/%zz"), status: 400, early: true},
		{name: "unparsable: no colon", request: with("nonsense"), status: 400, early: true},
		{name: "unparsable: not HTTP", request: "nonsense\r\n\r\n", status: 400, early: true},
		{name: "a long head", request: with("X: " + strings.Repeat("x", 30<<10)), status: 431, early: true},

		{name: "an error of the application", request: at("/secret"), status: 403, app: true},
		{name: "a bare status", request: at("/401"), status: 401, app: true},
		{name: "no status", request: at("/0"), status: 403, app: true},
		{name: "an invalid status", request: at("/200"), status: 500, app: true},
		{name: "a status without a name", request: at("/599"), status: 599, app: true},
		{name: "a reason and a field", request: at("/busy"), status: 503, app: true},
		{name: "a body with a type", request: at("/json"), status: 422, app: true},
		{name: "a redirect", request: at("/302"), status: 302, app: true},
		{name: "not modified", request: at("/304"), status: 304, app: true},
	}
}

// decide is the application's decision about a request.
func decide(r *http.Request) error {
	switch path := strings.TrimPrefix(r.URL.Path, "/"); path {
	case "chat":
		return nil
	case "secret":
		return errors.New("a secret")
	case "busy":
		return &Reject{Status: 503, Header: http.Header{"Retry-After": {"7"}, "X-A": {"1", "2"}}, Reason: "Come back later."}
	case "json":
		return &Reject{Status: 422, Header: http.Header{"Content-Type": {"application/json"}}, Reason: `{"a":1}`}
	case "302":
		return &Reject{Status: 302, Header: http.Header{"Location": {"/elsewhere"}}}
	default:
		n, _ := strconv.Atoi(path)
		return &Reject{Status: n}
	}
}

// waysToServe returns servers for all ways to serve WebSocket connections, with the same rules.
func waysToServe(t *testing.T) map[string]string {
	const mostHead = 20 << 10
	refused := func(_ context.Context, remote string, _ *http.Request, err *HandshakeError) {
		if remote == "" || err.Err == nil {
			t.Errorf("Refused was called without an address or a cause: %q, %#v", remote, err)
		}
	}
	opts := &AcceptOptions{Check: decide}
	accepting := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := Accept(w, r, opts); err == nil {
			c.CloseNow()
		}
	})
	endpoint := func(open bool) *Endpoint {
		e := &Endpoint{Hooks: Hooks{Refused: refused}, Admit: func(r *http.Request) (*Admission, error) { return nil, decide(r) }}
		if e.Serve = func(*Conn) {}; open {
			e.Serve, e.Open = nil, openEcho
		}
		return e
	}
	addrs := map[string]string{}
	for name, h := range map[string]http.Handler{
		"Accept": accepting, "Endpoint": endpoint(false), "Endpoint with Open": endpoint(true),
	} {
		addrs[name+" on http.Server"] = serveLimited(t, h, mostHead)
		s := &Server{HTTP: &http.Server{Handler: h, MaxHeaderBytes: mostHead}, Hooks: Hooks{Refused: refused}}
		addrs[name+" on Server"] = serveOwn(t, s)
	}
	for name, e := range map[string]*Endpoint{
		"Serve": {Serve: func(*Conn) {}}, "Open": {Open: openEcho},
	} {
		e.Refused = refused
		s := ownServer(e)
		s.HTTP.MaxHeaderBytes = mostHead
		addrs[withoutAdmit+name] = serveOwn(t, s)
	}
	return addrs
}

// withoutAdmit begins the name of each server that does not ask the application about a request.
const withoutAdmit = "without Admit: "

// serveLimited runs h on an http.Server until the test ends.
func serveLimited(t *testing.T, h http.Handler, mostHead int) (addr string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, MaxHeaderBytes: mostHead, ReadHeaderTimeout: testTimeout}
	done := make(chan error, 1)
	go func() { done <- s.Serve(ln) }()
	t.Cleanup(func() {
		s.Close()
		bounded.Receive(t, done)
	})
	return ln.Addr().String()
}

var dateField = regexp.MustCompile(`\r\nDate: [A-Z][a-z]{2}, [^\r]* GMT\r\n`)

// replyTo sends a request and returns the whole response without the Date field.
func replyTo(t *testing.T, addr, request string) string {
	t.Helper()
	nc := dialRaw(t, addr)
	go io.WriteString(nc, request) // the server may respond before it has read the whole request
	b, err := io.ReadAll(nc)
	if err != nil {
		t.Fatal(err)
	}
	reply := string(b)
	if without := dateField.ReplaceAllString(reply, "\r\n"); without != reply {
		return without
	}
	return reply + "(no Date)"
}

// outline returns the compared part of a response that net/http itself sends.
func outline(reply string) string {
	head, _, _ := strings.Cut(reply, "\r\n\r\n")
	status, fields, _ := strings.Cut(head, "\r\n")
	code := strings.Fields(status)
	if len(code) < 2 {
		return "no reply: " + reply
	}
	out := code[1]
	for line := range strings.SplitSeq(fields, "\r\n") {
		if strings.HasPrefix(line, "Connection: ") {
			out += "; " + line
		}
	}
	return out
}

// TestRefusals checks that the responses of all ways to serve are identical except for the Date field.
func TestRefusals(t *testing.T) {
	addrs := waysToServe(t)
	const model = "Accept on http.Server"
	for _, tt := range refusals() {
		t.Run(tt.name, func(t *testing.T) {
			want := replyTo(t, addrs[model], tt.request)
			if outline(want)[:3] != strconv.Itoa(tt.status) {
				t.Errorf("%s: %q, want %d", model, want, tt.status)
			}
			if !tt.early && strings.HasSuffix(want, "(no Date)") {
				t.Errorf("%s: %q", model, want)
			}
			if strings.Contains(want, "a secret") {
				t.Errorf("the text of the application's error was sent: %q", want)
			}
			for name, addr := range addrs {
				if tt.app && strings.HasPrefix(name, withoutAdmit) {
					continue
				}
				got := replyTo(t, addr, tt.request)
				if tt.early {
					if outline(got) != outline(want) {
						t.Errorf("%s: %s\nwant %s\nin %q", name, outline(got), outline(want), got)
					}
				} else if got != want {
					t.Errorf("%s:\n%q\nwant\n%q", name, got, want)
				}
			}
		})
	}
}

// A panic in Admit with http.ErrAbortHandler closes the connection without a response and without a report, as in net/http.
func TestRefusals_Abort(t *testing.T) {
	e := &Endpoint{Serve: func(*Conn) {}, Admit: func(*http.Request) (*Admission, error) { panic(http.ErrAbortHandler) }}
	e.Panicked = func(value any, _ []byte) { t.Errorf("reported: %v", value) }
	for _, addr := range []string{serve(t, e), serveOwn(t, ownServer(e))} {
		nc := dialRaw(t, addr)
		io.WriteString(nc, sampleRequest+"\r\n")
		if b, err := io.ReadAll(nc); len(b) > 0 || err != nil {
			t.Errorf("%q, %v", b, err)
		}
	}
}
