package websocket

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/protocol"
)

// handshakeCases is the content of testdata/handshake_cases.json. Each case consists of the bytes that one side sends and the
// results that are allowed for the other side. In the strings of the file, each character represents one byte.
type handshakeCases struct {
	Server []serverCase
	Client []clientCase
}

type serverCase struct {
	Name, Request, Send, Why string
	Expect                   []string
	EchoEarly                string `json:"echo_early"`
	Check                    struct {
		Accept    string
		NoHeader  string            `json:"no_header"`
		NoHeader1 string            `json:"no_header_if_101"`
		HasHeader []string          `json:"has_header"`
		HeaderIs  []json.RawMessage `json:"header_is"`
		PMD       *struct {
			Required []string
			NoParam  []string `json:"no_param"`
			Max      map[string]int
		}
	}
}

type clientCase struct {
	Name, Response, Send, Why string
	Expect                    []string
	Offer                     *struct{ Protocols []string }
	ExpectMsg                 string `json:"expect_msg"`
	ExpectClose               Code   `json:"expect_close"`
}

// answeredOtherwise lists the cases whose result differs from the expected one, with the reason. It is empty. A listed case that
// has the expected result fails the tests, too.
var answeredOtherwise = map[string]string{}

func loadHandshakeCases(t testing.TB) (cases handshakeCases) {
	t.Helper()
	b, err := os.ReadFile("testdata/handshake_cases.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases.Server) < 150 || len(cases.Client) < 71 {
		t.Fatalf("%d server and %d client cases: some are missing", len(cases.Server), len(cases.Client))
	}
	return cases
}

// latin1 converts a string of the file to the bytes that it represents.
func latin1(s string) []byte {
	var b []byte
	for _, r := range s {
		b = append(b, byte(r))
	}
	return b
}

// judge compares a result with the expected one. If they differ, the case must be listed in answeredOtherwise.
func judge(t *testing.T, name string, complaint string) {
	t.Helper()
	reason, listed := answeredOtherwise[name]
	switch {
	case complaint != "" && !listed:
		t.Error(complaint)
	case complaint == "" && listed:
		t.Errorf("answered as expected, but listed as answered otherwise: %s", reason)
	}
}

const testTimeout = time.Minute

func TestServerHandshakeCases(t *testing.T) {
	for _, compression := range []*Compression{nil, {}} {
		opts := &AcceptOptions{Subprotocols: []string{"chat", "superchat"}, Conn: ConnOptions{Compression: compression}}
		addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := Accept(w, r, opts)
			if err != nil {
				if _, ok := errors.AsType[*HandshakeError](err); !ok {
					t.Errorf("the error of Accept is a %T", err)
				}
				return
			}
			defer c.CloseNow()
			for m, err := range c.Messages(r.Context()) {
				if err != nil || c.Write(r.Context(), m) != nil {
					return
				}
			}
		}))
		for _, c := range loadHandshakeCases(t).Server {
			t.Run(fmt.Sprintf("%s/compression=%t", c.Name, compression != nil), func(t *testing.T) {
				judge(t, "server/"+c.Name, c.run(t, addr))
			})
		}
	}
}

// serve runs h on a loopback port until the test ends.
func serve(t testing.TB, h http.Handler) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: testTimeout}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Serve(ln)
	}()
	t.Cleanup(func() {
		s.Close()
		bounded.Receive(t, done)
	})
	return ln.Addr().String()
}

// run sends the bytes of the case, and returns a description of the difference from the expected response, or "" if there is none.
func (c serverCase) run(t *testing.T, addr string) string {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(testTimeout))
	request := latin1(c.Request)
	go func() { // a server may respond and close before it has read the whole request
		for _, part := range cut(request, c.Send) {
			if _, err := nc.Write(part); err != nil {
				return
			}
		}
		if slices.Contains(c.Expect, "timeout") {
			nc.(*net.TCPConn).CloseWrite() // a server may wait for more bytes, which do not arrive
		}
	}()
	br := bufio.NewReader(nc)
	r, err := http.ReadResponse(br, nil)
	if err == nil && r.StatusCode == http.StatusContinue && c.Name == "expect-100" {
		r, err = http.ReadResponse(br, nil)
	}
	if err != nil {
		if slices.Contains(c.Expect, "close") {
			return ""
		}
		return "no answer: " + err.Error()
	}
	if s := c.judgeHead(r); s != "" {
		return s
	}
	if r.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(r.Body)
		if r.Header.Get("Content-Type") != "text/plain; charset=utf-8" || len(body) == 0 {
			return "the response to a failed handshake has no text"
		}
		return ""
	}
	want := c.EchoEarly
	if want == "" {
		want = "late"
		nc.Write(raw{TB: t, role: protocol.RoleClient}.frame(frame.Text, true, want))
	}
	got := make([]byte, 2+len(want))
	if _, err := io.ReadFull(br, got); err != nil || string(got[2:]) != want {
		return "no echo: " + strconv.Quote(string(got))
	}
	return ""
}

// judgeHead checks the status and the header fields.
func (c serverCase) judgeHead(r *http.Response) string {
	status, class := strconv.Itoa(r.StatusCode), strconv.Itoa(r.StatusCode/100)+"xx"
	if !slices.Contains(c.Expect, status) && !slices.Contains(c.Expect, class) {
		return "status " + status
	}
	switched := r.StatusCode == http.StatusSwitchingProtocols
	k := c.Check
	if switched && k.Accept != "" && r.Header.Get("Sec-WebSocket-Accept") != k.Accept {
		return "Sec-WebSocket-Accept: " + r.Header.Get("Sec-WebSocket-Accept")
	}
	if k.NoHeader != "" && r.Header[http.CanonicalHeaderKey(k.NoHeader)] != nil {
		return "there is a " + k.NoHeader
	}
	if switched && k.NoHeader1 != "" && r.Header[http.CanonicalHeaderKey(k.NoHeader1)] != nil {
		return "there is a " + k.NoHeader1
	}
	if len(k.HasHeader) == 2 && r.Header.Get(k.HasHeader[0]) != k.HasHeader[1] {
		return k.HasHeader[0] + ": " + r.Header.Get(k.HasHeader[0])
	}
	if len(k.HeaderIs) == 2 {
		var name string
		var values []string
		if json.Unmarshal(k.HeaderIs[0], &name) != nil || json.Unmarshal(k.HeaderIs[1], &values) != nil {
			return "header_is does not parse"
		}
		if got := r.Header.Values(name); !slices.Equal(got, values) {
			return name + ": " + strings.Join(got, " / ")
		}
	}
	return c.judgeDeflate(r.Header["Sec-Websocket-Extensions"])
}

// judgeDeflate checks the response to an offer of permessage-deflate, which may always be declined.
func (c serverCase) judgeDeflate(lines []string) string {
	if len(lines) == 0 || c.Check.PMD == nil {
		return ""
	}
	name, rest, _ := strings.Cut(lines[0], ";")
	params := map[string]string{}
	for p := range strings.SplitSeq(rest, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		params[name] = value
	}
	wrong := len(lines) > 1 || name != "permessage-deflate"
	for _, name := range c.Check.PMD.Required {
		_, ok := params[name]
		wrong = wrong || !ok
	}
	for _, name := range c.Check.PMD.NoParam {
		_, ok := params[name]
		wrong = wrong || ok
	}
	for name, most := range c.Check.PMD.Max {
		if value, ok := params[name]; ok {
			n, err := strconv.Atoi(value)
			wrong = wrong || err != nil || n > most
		}
	}
	if wrong {
		return "Sec-WebSocket-Extensions: " + strings.Join(lines, " / ")
	}
	return ""
}

// cut splits b into the pieces in which the case sends b.
func cut(b []byte, send string) [][]byte {
	switch send {
	case "bytewise":
		var parts [][]byte
		for i := range b {
			parts = append(parts, b[i:i+1])
		}
		return parts
	case "split-last":
		i := bytes.Index(b, []byte("\r\n\r\n")) + 2
		return [][]byte{b[:i], b[i:]}
	}
	return [][]byte{b}
}

func TestClientHandshakeCases(t *testing.T) {
	for _, c := range loadHandshakeCases(t).Client {
		t.Run(c.Name, func(t *testing.T) { judge(t, "client/"+c.Name, c.run(t)) })
	}
}

// run dials a server that responds with the bytes of the case, and returns the difference from the expected result, or "" if there
// is none.
func (c clientCase) run(t *testing.T) string {
	opts := &DialOptions{Subprotocols: []string{"chat", "superchat"}, MaxRedirects: -1}
	if c.Offer != nil {
		opts.Subprotocols = c.Offer.Protocols
	}
	if strings.HasPrefix(c.Name, "ext-") || c.Name == "valid-pmd" {
		opts.Conn.Compression = &Compression{}
	}
	addr := serveRaw(t, func(nc net.Conn, key string) {
		answer := fillPlaceholders(latin1(c.Response), key)
		if c.ExpectMsg == "" && c.ExpectClose == 0 && c.Send == "" {
			answer = append(answer, "\x81\x02ok"...)
		}
		for _, part := range cut(answer, c.Send) {
			nc.Write(part)
		}
		if c.Send == "split-last" {
			nc.Write([]byte("\x81\x02ok"))
		}
		switch {
		case c.ExpectClose != 0:
			io.ReadFull(nc, make([]byte, 8)) // sends the client's close frame; the server then closes TCP first
		case c.Send != "close":
			io.Copy(io.Discard, nc)
		}
	})
	conn, err := Dial(bounded.Context(t), "ws://"+addr+"/chat", opts)
	if err != nil {
		if e, ok := errors.AsType[*HandshakeError](err); !ok || e.Stage == "" || e.Err == nil {
			t.Errorf("the error has no stage or no cause: %#v", err)
		}
		if !slices.Contains(c.Expect, "fail") {
			return err.Error()
		}
		return ""
	}
	defer conn.CloseNow()
	if !slices.Contains(c.Expect, "open") {
		return "the connection was opened"
	}
	m, err := conn.Read(bounded.Context(t))
	if c.ExpectClose != 0 {
		if CloseCode(err) != c.ExpectClose {
			return "not closed with " + c.ExpectClose.String()
		}
		return ""
	}
	want := c.ExpectMsg
	if want == "" {
		want = "ok"
	}
	if err != nil || string(m.Data) != want {
		return "the first message did not arrive"
	}
	return ""
}

// serveRaw accepts connections on a loopback port until the test ends. It reads a request header from each of them, and passes the
// connection on with the key from the header.
func serveRaw(t testing.TB, handle func(nc net.Conn, key string)) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			nc.SetDeadline(time.Now().Add(testTimeout))
			br := bufio.NewReader(nc)
			if r, err := http.ReadRequest(br); err == nil {
				handle(nc, r.Header.Get("Sec-WebSocket-Key"))
			}
			nc.Close()
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		bounded.Receive(t, done)
	})
	return ln.Addr().String()
}

// fillPlaceholders replaces the placeholders in a response with values that depend on the key.
func fillPlaceholders(answer []byte, key string) []byte {
	accept := func(guid string) string {
		sum := sha1.Sum([]byte(key + guid))
		return base64.StdEncoding.EncodeToString(sum[:])
	}
	const guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
	return []byte(strings.NewReplacer(
		"{{ACCEPT}}", accept(guid),
		"{{ACCEPT_LOWER}}", strings.ToLower(accept(guid)),
		"{{ACCEPT_BADGUID}}", accept(strings.ToLower(guid)),
		"{{ACCEPT_NOPAD}}", strings.TrimRight(accept(guid), "="),
		"{{KEY}}", key,
	).Replace(string(answer)))
}
