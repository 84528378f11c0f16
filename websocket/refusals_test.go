package websocket

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// refusalTable is the content of testdata/refusals.json: requests that every way to serve must refuse. The tests of the gateway use
// it, too.
type refusalTable struct {
	Requests []refusalCase
}

type refusalCase struct {
	Name    string
	Request string
	Status  int

	// Early means that net/http responds before any handler runs. In that case only the status and the Connection field are
	// compared with the response of a Server.
	Early bool

	// Decision is the application's decision about requests for Path. nil means that the application does not decide.
	Decision *struct {
		Error  string
		Status int
		Header http.Header
		Reason string
	}
	Path string
}

func loadRefusals(t *testing.T) (table refusalTable) {
	t.Helper()
	b, err := os.ReadFile("testdata/refusals.json")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(b), "{{30 KiB}}", strings.Repeat("x", 30<<10))
	if err := json.Unmarshal([]byte(text), &table); err != nil {
		t.Fatal(err)
	}
	if len(table.Requests) < 77 {
		t.Fatalf("%d requests: some are missing", len(table.Requests))
	}
	return table
}

// decide is the application's decision about a request.
func (a refusalTable) decide(r *http.Request) error {
	for _, c := range a.Requests {
		if d := c.Decision; d != nil && r.URL.Path == c.Path {
			if d.Error != "" {
				return errors.New(d.Error)
			}
			return &Reject{Status: d.Status, Header: d.Header, Reason: d.Reason}
		}
	}
	return nil
}

var dateField = regexp.MustCompile(`\r\nDate: [A-Z][a-z]{2}, [^\r]* GMT\r\n`)

// withoutDate removes the Date field from a response. If there is none, or more than one, the result says so.
func withoutDate(reply string) string {
	switch n := len(dateField.FindAllString(reply, -1)); n {
	case 1:
		return dateField.ReplaceAllString(reply, "\r\n")
	default:
		return reply + "(" + strconv.Itoa(n) + " Date fields)"
	}
}

// comparedPart returns the compared part of a response that net/http itself sends.
func comparedPart(reply string) string {
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
	table := loadRefusals(t)
	ways := startServers(t, table.decide)
	for _, tt := range table.Requests {
		t.Run(tt.Name, func(t *testing.T) {
			model := ways[0]
			want := model.reply(t, tt.Request)
			if comparedPart(want)[:3] != strconv.Itoa(tt.Status) {
				t.Errorf("%s: %q, want %d", model.name, want, tt.Status)
			}
			if !tt.Early && strings.HasSuffix(want, "Date fields)") {
				t.Errorf("%s: %q", model.name, want)
			}
			if d := tt.Decision; d != nil && d.Error != "" && strings.Contains(want, d.Error) {
				t.Errorf("the text of the application's error was sent: %q", want)
			}
			for _, w := range ways[1:] {
				if tt.Decision != nil && w.undecided {
					continue
				}
				got := w.reply(t, tt.Request)
				if tt.Early {
					if comparedPart(got) != comparedPart(want) {
						t.Errorf("%s: %s\nwant %s\nin %q", w.name, comparedPart(got), comparedPart(want), got)
					}
				} else if got != want {
					t.Errorf("%s:\n%q\nwant\n%q", w.name, got, want)
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
