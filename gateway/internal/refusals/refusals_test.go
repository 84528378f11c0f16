package refusals

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
)

func TestMain(m *testing.M) { os.Exit(bounded.Main(m)) }

func reasons(l *Log) string {
	var all []string
	for _, r := range l.List() {
		all = append(all, r.Reason)
	}
	return strings.Join(all, " ")
}

func TestLogKeepsTheLast(t *testing.T) {
	var l Log
	l.Add(Refusal{Reason: "before"})
	if len(l.List()) != 0 {
		t.Error("more refusals are stored than Keep allows")
	}
	l.Keep(3)
	for _, r := range []string{"a", "b", "c", "d"} {
		l.Add(Refusal{Reason: r})
	}
	if got := reasons(&l); got != "d c b" {
		t.Errorf("got %q", got)
	}
	l.Keep(2)
	if got := reasons(&l); got != "d c" {
		t.Errorf("fewer: %q", got)
	}
	l.Keep(4)
	l.Add(Refusal{Reason: "e"})
	if got := reasons(&l); got != "e d c" {
		t.Errorf("more: %q", got)
	}
	l.Keep(0)
	l.Add(Refusal{Reason: "f"})
	if got := reasons(&l); got != "" {
		t.Errorf("none: %q", got)
	}
}

func TestLogIsBoundedAndPrintable(t *testing.T) {
	var l Log
	l.Keep(1)
	l.Add(Refusal{Path: strings.Repeat("€", 10_000), Origin: "https://a\x1b[31m\n.example", Reason: "x"})
	r := l.List()[0]
	if len(r.Path) > maxText+len("…") || !strings.HasSuffix(r.Path, "€…") {
		t.Errorf("path of %d bytes", len(r.Path))
	}
	if strings.ContainsAny(r.Origin, "\x1b\n") {
		t.Errorf("origin %q", r.Origin)
	}
}

func TestNames(t *testing.T) {
	for in, want := range map[string][]string{
		"":                            nil,
		"ticket=SECRET&room=7":        {"room", "ticket"},
		"SECRET":                      nil,
		"a=1&a=2":                     {"a"},
		"=SECRET":                     nil,
		"%61=1":                       {"a"},
		strings.Repeat("x", 65) + "=": nil,
	} {
		if got := Names(in); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := Names(strings.Repeat("a=1&", 5) + "b=&c=&d=&e=&f=&g=&h=&i=&j=&k=&l=&m=&n=&o=&p=&q=&r=&s=&t="); len(got) != 16 {
		t.Errorf("%d names", len(got))
	}
}

func TestWriteText(t *testing.T) {
	var b strings.Builder
	err := WriteText(&b, []Refusal{{Time: time.Unix(0, 0), Addr: "192.0.2.1", Stage: "origin", Status: 403, Method: "GET", Path: "/chat",
		Query: []string{"room", "ticket"}, Origin: "https://evil.example", Reason: "not allowed", Clause: "RFC 6455 §10.2"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1970-01-01T00:00:00Z  192.0.2.1  403 at origin", "request   GET /chat?room=…&ticket=…",
		"origin    https://evil.example", "why       not allowed", "clause    RFC 6455 §10.2"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

func TestWriteTextOfEverything(t *testing.T) {
	var b strings.Builder
	err := WriteText(&b, []Refusal{{Time: time.Unix(0, 0), Addr: "192.0.2.1", Stage: "rules", Method: "GET", Path: "/chat", Host: "h.example",
		Origin: "https://o.example", Endpoint: "chat", Via: "10.0.0.1", Agent: "curl", Reason: "denied", Rule: "rule 2", Clause: "RFC 9110",
		Hint: "ask"}})
	want := `1970-01-01T00:00:00Z  192.0.2.1  no response at rules
  request   GET /chat
  host      h.example
  origin    https://o.example
  endpoint  chat
  via       10.0.0.1
  agent     curl
  why       denied
  rule      rule 2
  clause    RFC 9110
  next step ask
`
	if err != nil || b.String() != want {
		t.Errorf("%v, got\n%s\nwant\n%s", err, b.String(), want)
	}
	b.Reset()
	if err := WriteText(&b, nil); err != nil || b.String() != "no handshake was refused\n" {
		t.Errorf("an empty list: %q, %v", b.String(), err)
	}
}

func TestCutKeepsWhatFits(t *testing.T) {
	if s := strings.Repeat("x", maxText); cut(s) != s || cut(s+"x") != s+"…" {
		t.Error("a text of the maximum size is cut, or a longer one is not")
	}
}
