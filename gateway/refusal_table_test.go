package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/handfast/handfast/websocket"
)

// refusalTable is the library's table of requests that every way to serve must refuse. The tests of websocket describe its fields.
type refusalTable struct {
	Requests []struct {
		Name, Request, Path string
		Status              int
		Early               bool
		Decision            *struct {
			Error, Reason string
			Status        int
			Header        http.Header
		}
	}
}

func loadRefusals(t *testing.T) (table refusalTable) {
	t.Helper()
	b, err := os.ReadFile("../websocket/testdata/refusals.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(b), "{{30 KiB}}", strings.Repeat("x", 30<<10))), &table); err != nil {
		t.Fatal(err)
	}
	if len(table.Requests) < 77 {
		t.Fatalf("%d requests: some are missing", len(table.Requests))
	}
	return table
}

func (a refusalTable) decide(r *http.Request) error {
	for _, c := range a.Requests {
		if d := c.Decision; d != nil && r.URL.Path == c.Path {
			if d.Error != "" {
				return errors.New(d.Error)
			}
			return &websocket.Reject{Status: d.Status, Header: d.Header, Reason: d.Reason}
		}
	}
	return nil
}

// refusesOtherwise lists the requests that the gateway refuses in another way than a server with the library, with the status and the
// reason.
var refusesOtherwise = map[string]struct {
	status int
	reason string
}{
	"a fragment":                  {400, "the path is checked before any endpoint matches, so the text is that of TestPathConfusion"},
	"an error of the application": {503, "a target that fails, instead of rejecting the client, is unavailable"},
}

var dateField = regexp.MustCompile(`\r\nDate: [A-Z][a-z]{2}, [^\r]* GMT\r\n`)

// rawReply sends a request and returns the whole response without the Date field.
func rawReply(t *testing.T, to, request string) string {
	t.Helper()
	nc := send(t, to, "127.0.0.8", "")
	go func() { _, _ = io.WriteString(nc, request) }() // the server may respond before it has read the whole request
	b, err := io.ReadAll(nc)
	if err != nil {
		t.Fatalf("%v after %q", err, b)
	}
	return dateField.ReplaceAllString(string(b), "\r\n")
}

// outline returns the status and the Connection fields of a response.
func outline(reply string) string {
	head, _, _ := strings.Cut(reply, "\r\n\r\n")
	if len(head) < len("HTTP/1.1 200") {
		return "no reply: " + reply
	}
	out := head[len("HTTP/1.1 "):len("HTTP/1.1 200")]
	for line := range strings.SplitSeq(head, "\r\n") {
		if strings.HasPrefix(line, "Connection: ") {
			out += "; " + line
		}
	}
	return out
}

// The gateway refuses the requests of the library's table with the same bytes as websocket.Accept under net/http.
func TestRefusalTable(t *testing.T) {
	table := loadRefusals(t)
	endpoints := "\n\t- {path: /chat, target: echo, auth: [anonymous]}"
	for _, c := range table.Requests {
		if c.Decision != nil {
			endpoints += "\n\t- {path: " + c.Path + ", target: echo, auth: [anonymous]}"
		}
	}
	r := runTargets(t, parse(t, "listen: [{address: \"127.0.0.1:0\", hosts: any, tls: off}]\nhttp: {max_head: 20KiB}\n"+
		"limits: {handshakes_per_second: 10000}\nendpoints:"+endpoints),
		sameTarget(&fakeTarget{open: func(ctx context.Context, q *Request) (*Opened, error) {
			if err := table.decide(q.Request); err != nil {
				return nil, err
			}
			return echo{}.Open(ctx, q)
		}}))
	model := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Check: table.decide}); err == nil {
			c.CloseNow()
		}
	}))
	model.Config.MaxHeaderBytes = 20 << 10
	model.Start()
	t.Cleanup(model.Close)
	to, modelAddr := strings.TrimPrefix(r.URLs()[0], "http://"), model.Listener.Addr().(*net.TCPAddr).String()
	for _, tt := range table.Requests {
		t.Run(tt.Name, func(t *testing.T) {
			got, want := rawReply(t, to, tt.Request), rawReply(t, modelAddr, tt.Request)
			same := got == want
			if tt.Early {
				same = outline(got) == outline(want)
			}
			if other, ok := refusesOtherwise[tt.Name]; ok {
				if same || !strings.HasPrefix(outline(got), strconv.Itoa(other.status)+"; Connection: close") {
					t.Errorf("got %q; want %d, because %s", got, other.status, other.reason)
				}
			} else if !same {
				t.Errorf("got\n%q\nwant\n%q", got, want)
			}
		})
	}
}
