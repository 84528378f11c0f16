package websocket

import (
	"bytes"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/handfast/handfast/websocket/internal/bounded"
)

// outcome is the server's reaction to a client's bytes: the status, or 0 for none, and the response without the Date field.
type outcome struct {
	status string
	reply  string
	rules  bool // the response comes from the handshake rules, not from net/http
}

func outcomeOf(s *scriptedConn) outcome {
	head, _, _ := strings.Cut(s.written(), "\r\n\r\n")
	o := outcome{reply: dateLine.ReplaceAllString(head, ""), rules: strings.Contains(head, "nosniff")}
	if _, rest, ok := strings.Cut(head, " "); ok && len(rest) >= 3 {
		o.status = rest[:3]
	}
	if o.status == "101" {
		o.rules = true
	}
	return o
}

var dateLine = regexp.MustCompile(`\r\nDate: [^\r]*`)

// feed passes connections to a server whose listener is p.
type feed struct{ p *pipeListener }

// send sends data in several pieces and returns the outcome.
func (f feed) send(data []byte, piece int) outcome {
	nc := newScriptedConn(data, piece)
	wrote := make(chan struct{})
	nc.wrote = wrote
	f.p.conns <- nc
	select {
	case <-wrote: // net/http only closes after a delay
	case <-nc.closed:
	}
	return outcomeOf(nc)
}

// servers returns a server for each way to accept clients: net/http with Accept, and a Server.
func servers(f testing.TB) (netHTTP, own feed) {
	opts := AcceptOptions{Subprotocols: []string{"chat", "superchat"}, Conn: ConnOptions{Compression: &Compression{}}}
	netHTTP, own = feed{newPipeListener()}, feed{newPipeListener()}
	h := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := Accept(w, r, &opts); err == nil {
			c.CloseNow()
		}
	})}
	s := ownServer(&Endpoint{Accept: opts, Serve: func(c *Conn) { c.CloseNow() }})
	done := make(chan error, 2)
	go func() { done <- h.Serve(netHTTP.p) }()
	go func() { done <- s.Serve(own.p) }()
	f.Cleanup(func() {
		h.Close()
		s.Close()
		bounded.Receive(f, done)
		bounded.Receive(f, done)
		bounded.Receive(f, s.roster.idleChan())
	})
	return netHTTP, own
}

// strict matches requests that a Server rejects although net/http accepts them: those with a line that does not end with CR LF, a
// folded line, a field without a name, or a target that is not a path.
var strict = regexp.MustCompile(`(?:^|[^\r])\n|\n[ \t:]|^\S+ [^/]`)

// differ sends data to both servers, and returns how the outcomes differ. It returns "" if they are equal, or if the Server is
// permitted to be stricter.
func differ(data []byte, behind, own feed) string {
	theirs, ours := behind.send(data, 0), own.send(data, 0)
	if ours.status == "101" {
		if theirs.reply != ours.reply {
			return "admitted, where net/http replies " + theirs.reply + "\nand the Server " + ours.reply
		}
		return ""
	}
	head, _, _ := bytes.Cut(data, []byte("\r\n\r\n"))
	stricter := strict.Match(data[:min(len(head)+4, len(data))]) || len(head) > 16<<10-4 || bytes.Count(head, []byte("\n")) > 100
	if !stricter && theirs.rules && theirs.status != ours.status {
		return "the Server replies " + ours.reply + "\nwhere net/http replies " + theirs.reply
	}
	return ""
}

// variants are lines that may occur in a header, valid or invalid. The test tries two of them together.
var variants = strings.Split(strings.NewReplacer("<NUL>", "\x00", "<s>", "\u017f", "<TAB>", "\t").Replace(`Host: server.example.com
Host: evil.example.net
Host:
host : a
Upgrade: websocket
Upgrade: h2c
upgrade: WEBSOCKET, h2c/2
Upgrade: websocket;
Upgrade: web<s>ocket
Connection: close
Connection: keep-alive
Connection: Upgrade, HTTP2-Settings
Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==
Sec-WebSocket-Key:
Sec-WebSocket-Version: 13
Sec-WebSocket-Version: 8
Sec-WebSocket-Protocol: chat
Sec-WebSocket-Protocol: a b
Sec-WebSocket-Protocol:
Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10
Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x; y="z"
Sec-WebSocket-Extensions: ;
Sec-WebSocket-Extensions: permessage-deflate; x=
Sec-WebSocket-Accept: x
Origin: http://server.example.com
Origin: https://server.example.com
Origin: http://evil.example.net
Origin:
Content-Length: 0
Content-Length: 00
Content-Length: 5
Content-Length: x
Content-Length: 99999999999999999999
Transfer-Encoding: chunked
Transfer-Encoding: identity
Transfer-Encoding:
Trailer: Host
TE: trailers
Expect: 100-continue
Expect: 100-Continue, 100-continue
Expect: 200-ok
Expect:
Pragma: no-cache
X-Forwarded-Proto: https
Cookie: a=ä; b="c d"
X:<TAB>b<TAB>
X: <NUL>
X Y: z
X
: z
 folded`), "\n")

var requestLines = strings.Split(`GET /chat HTTP/1.1
GET /chat?a=%zz&b#c HTTP/1.1
GET /chat%2 HTTP/1.1
GET //chat HTTP/1.1
GET /ä HTTP/1.1
GET http://server.example.com/chat HTTP/1.1
GET http://evil.example.net HTTP/1.1
GET http://a@server.example.com/ HTTP/1.1
GET * HTTP/1.1
GET chat HTTP/1.1
GET /chat HTTP/1.2
GET /chat HTTP/1.0
GET /chat HTTP/2.0
GET /chat HTTP/3.0
HEAD /chat HTTP/1.1
PRI * HTTP/2.0
get /chat HTTP/1.1`, "\n")

// With any two additional lines, and with any line missing, both servers have the same outcome.
func TestServer_LikeAccept(t *testing.T) {
	behind, own := servers(t)
	_, rest, _ := strings.Cut(sampleRequest, "\r\n")
	fields := strings.SplitAfter(strings.TrimSuffix(rest, "\r\n"), "\r\n")
	try := func(parts ...string) {
		if s := differ([]byte(strings.Join(parts, "")+"\r\n"), behind, own); s != "" {
			t.Errorf("%q: %s", parts, s)
		}
	}
	for _, line := range requestLines {
		for _, a := range variants {
			try(line, "\r\n", rest, a, "\r\n")
		}
	}
	for i, a := range variants {
		for _, b := range variants[i:] {
			try("GET /chat HTTP/1.1\r\n", rest, a, "\r\n", b, "\r\n")
		}
		for left := range fields {
			kept := strings.Join(append(slices.Clone(fields[:left]), fields[left+1:]...), "")
			try("GET /chat HTTP/1.1\r\n", strings.TrimSuffix(kept, "\r\n"), "\r\n", a, "\r\n")
		}
	}
}

// FuzzServer_LikeAccept checks that the same bytes have the same outcome, whether net/http or a Server parses them.
func FuzzServer_LikeAccept(f *testing.F) {
	for _, c := range loadHandshakeCases(f).Server {
		f.Add(latin1(c.Request))
	}
	f.Add([]byte(browserHead))
	f.Add([]byte(sampleRequest + "Pragma: no-cache\r\n\r\n\x81\x00"))
	behind, own := servers(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		if s := differ(data, behind, own); s != "" {
			t.Error(s)
		}
	})
}

// FuzzServer_Cuts checks that the response does not depend on how the network splits a request.
func FuzzServer_Cuts(f *testing.F) {
	for _, c := range loadHandshakeCases(f).Server {
		f.Add(latin1(c.Request), uint8(1))
	}
	f.Add([]byte(sampleRequest+"X: "+strings.Repeat("x", 16<<10)+"\r\n\r\n"), uint8(255))
	_, own := servers(f)
	f.Fuzz(func(t *testing.T, data []byte, piece uint8) {
		whole, cut := own.send(data, 0), own.send(data, int(piece))
		if whole != cut {
			t.Errorf("in pieces of %d: %+v\nwhole: %+v", piece, cut, whole)
		}
	})
}
