package explain

import (
	"bytes"
	"context"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/wstest"
)

// The report about a fault, including the quoted data, does not depend on how the network splits the server's bytes.
func TestReportDoesNotDependOnTheSplit(t *testing.T) {
	const head, fields = "HTTP/1.1 101 Switching Protocols\r\n", "Upgrade: websocket\r\nConnection: Upgrade\r\n"
	filler := "X-Filler: " + strings.Repeat("a", 1000) + "\r\n"
	text := frame.Header{Fin: true, Opcode: frame.Text}
	const open = "" // represents the complete header of a 101
	for name, c := range map[string]struct {
		url, head, after string
	}{
		"a head larger than 64 KiB":     {head: head + strings.Repeat(filler, 80)},
		"a line larger than 64 KiB":     {head: head + "A: " + strings.Repeat("ä ", 64<<10)},
		"a line without a colon":        {head: head + fields + "one of many words\r\nA: b\r\n\r\n"},
		"a line with a bare CR":         {head: head + fields + "A: b\rC: d\r\n\r\n"},
		"a version of HTTP of its own":  {head: "HTTP/2 200 OK\r\nA: b\r\n\r\n"},
		"a wrong line without an end":   {head: "HTTP/9 " + strings.Repeat("ab", 10)},
		"a long wrong line":             {head: "HTTP/9 " + strings.Repeat("ab", 4000)},
		"a head that does not end":      {head: head + "Upgr"},
		"a banner":                      {head: "SSH-2.0-OpenSSH_9.2p1\r\n"},
		"a page without a head":         {head: "<html>\n<head>\n" + strings.Repeat("<p>text\n", 500)},
		"HTTP/2":                        {head: "\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64"},
		"an alert":                      {head: "\x15\x03\x01\x00\x02\x02\x46"},
		"a database":                    {head: "J\x00\x00\x00\n8.0.36\x00\x0b\x00\x00\x00abcdefgh"},
		"no TLS":                        {url: "wss://192.0.2.1/", head: "HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nno"},
		"a body":                        {head: "HTTP/1.1 500 No\r\n\r\n" + strings.Repeat("what went wrong\n", 1000)},
		"text instead of frames":        {head: open, after: "But what is it?\n" + strings.Repeat("It goes on. ", 1000)},
		"short text instead of frames":  {head: open, after: "But what"},
		"HTTP instead of frames":        {head: open, after: "HTTP/1.1 200 OK\r\n\r\n"},
		"bytes instead of frames":       {head: open, after: "\x16\x03\x01\x00\x05hello and more"},
		"a reserved bit":                {head: open, after: raw(frame.Header{Fin: true, RSV: frame.RSV2, Opcode: frame.Text}, "hello")},
		"a large frame of its own kind": {head: open, after: raw(frame.Header{Fin: true, Opcode: 3}, strings.Repeat("ä", 5000))},
		"a masked frame":                {head: open, after: "\x81\x86\x01\x02\x03\x04ijonks"},
		"a length in a long form":       {head: open, after: "\x82\x7e\x00\x05hello"},
		"a length of 2^63":              {head: open, after: raw(text, "a") + "\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xffhello"},
		"a text that is not UTF-8":      {head: open, after: raw(text, "good") + raw(text, "b\xff"+strings.Repeat("ad", 300))},
		"a text counted in characters":  {head: open, after: raw(text, "a") + "\x81\x06grüße\xc3\xa4!" + raw(text, "next")},
		"characters, with no more":      {head: open, after: "\x81\x05grüße"},
		"a close frame with a wrong code": {head: open, after: raw(frame.Header{Fin: true, Opcode: frame.Close}, "\x03\xed"+
			strings.Repeat("why ", 20))},
	} {
		t.Run(name, func(t *testing.T) {
			whole := splitReport(t, c.url, c.head, c.after, 1<<20)
			for _, n := range []int{1, 2, 3, 5, 8, 11, 64, 1000, 4096, 5000} {
				if len(c.head)+len(c.after) <= n || n < 8 && len(c.head) > 16<<10 && n != 1 {
					continue
				}
				if got := splitReport(t, c.url, c.head, c.after, n); got != whole {
					t.Fatalf("in pieces of %d:\n%s\nwhole:\n%s", n, got, whole)
				}
			}
		})
	}
}

var anyTime = regexp.MustCompile(` *\d+(\.\d+)?(µs|ms|s)\b`)

// splitReport explains a server that sends head and after in pieces of n bytes, and keeps the connection open. If head is "", the server
// sends the header of a valid 101 instead.
func splitReport(t *testing.T, url, head, after string, n int) string {
	t.Helper()
	var out bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		var served sync.WaitGroup
		defer served.Wait()
		send := func(w io.Writer, b string) {
			for len(b) > 0 {
				piece := b[:min(n, len(b))]
				b = b[len(piece):]
				if _, err := io.WriteString(w, piece); err != nil {
					return
				}
				<-time.After(time.Nanosecond) // in a synctest bubble, this returns when the reader waits for more
			}
		}
		opts := inMemory(t, func(v *exchange) {
			if head == "" {
				v.open("")
			}
			send(v.Conn, head+after)
			io.Copy(io.Discard, v.in) //nolint:errcheck // the call returns when the client has disconnected
		})
		opts.NoProbes, opts.NoOriginProbes = true, true
		if url == "" {
			url = "ws://192.0.2.1/"
		} else {
			opts.Dial = func(context.Context, string, string) (net.Conn, error) {
				client, server := wstest.NetPipe(0)
				served.Go(func() {
					server.Read(make([]byte, 1)) //nolint:errcheck // Read only waits for the ClientHello
					send(server, head)
					io.Copy(io.Discard, server) //nolint:errcheck // the call returns when the client has disconnected
				})
				return client, nil
			}
		}
		if err := Explain(t.Context(), url, opts).WriteText(&out, nil); err != nil {
			t.Fatal(err)
		}
	})
	return anyTime.ReplaceAllString(out.String(), " 1ms")
}
