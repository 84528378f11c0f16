package binary

import (
	"flag"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/handfast/handfast/e2e/internal/harness"
	"github.com/handfast/handfast/e2e/internal/termsvg"
)

var rewrite = flag.Bool("rewrite", false, "make the recordings in docs anew, instead of comparing")

// varies matches the text that differs between runs: times, dates and keys.
var varies = regexp.MustCompile(`\d+(?:\.\d+)?(?:µs|ms|s)\b|[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} [0-9:]{8} GMT|\d{4}-\d\d-\d\d|[0-9a-f]{8}\b`)

// compared returns the text of a recording without the parts that differ between runs, including line breaks.
func compared(lines []string) string {
	return strings.Join(strings.Fields(varies.ReplaceAllString(strings.Join(lines, "\n"), "")), " ")
}

// recorded compares the contents of a screen with a picture in docs, or creates the picture if the flag rewrite is set. The picture
// contains port 8443 in place of the server's port.
func recorded(t *testing.T, name, title, description, command, from, output, address string) {
	t.Helper()
	lines, err := termsvg.Screen(output)
	if err != nil {
		t.Fatal(err)
	}
	for len(lines) > 0 && !strings.HasPrefix(lines[0].String(), from) {
		lines = lines[1:]
	}
	if len(lines) < 3 {
		t.Fatalf("no line begins with %q:\n%s", from, output)
	}
	prompt := []termsvg.Line{{{Text: "$ ", Style: termsvg.Style{Dim: true}}, {Text: command, Style: termsvg.Style{Bold: true}}}}
	if from != "" {
		prompt = append(prompt, termsvg.Line{{Text: "...", Style: termsvg.Style{Dim: true}}})
	}
	lines = append(prompt, lines...)
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	var now []string
	for _, l := range lines {
		for i := range l {
			l[i].Text = strings.ReplaceAll(l[i].Text, ":"+u.Port(), ":8443")
		}
		now = append(now, l.String())
	}
	path := filepath.Join("../../docs", name)
	if *rewrite {
		if err := os.WriteFile(path, []byte(termsvg.SVG(title, description, lines)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	svg, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	was, err := termsvg.Text(string(svg))
	if err != nil {
		t.Fatal(err)
	}
	if compared(was) != compared(now) {
		t.Errorf("%s is not up to date: go test ./e2e/binary -run TestRecordings -rewrite creates it again\nold:\n%s\nnew:\n%s", path, compared(was), compared(now))
	}
}

// The pictures in docs show the output of the current binary.
func TestRecordings(t *testing.T) {
	u := harness.NewUser(t)
	u.Write("handfast.yaml", `listen: [{address: "localhost:0"}]
auth: {users: {jwt: {secret: "at least 32 characters, kept to yourself"}}}
endpoints:
  - {name: chat, path: /chat, target: echo, auth: [users]}
  - {name: echo, path: /echo, target: echo, auth: [anonymous]}
`)
	server := u.Serve("--config", "handfast.yaml")
	t.Run("dial", func(t *testing.T) {
		s := onScreen(u.In(t), "dial", server.First("echo"))
		s.expect("lists commands")
		s.expect("> ")
		for _, step := range [][2]string{{"hello", "< hello"}, {"/ping", "pong after "}} {
			s.press(step[0] + enter)
			s.expect(step[1])
		}
		s.press(ctrlD)
		s.expect("closed with 1000 normal closure")
		if code := s.end(); code != 0 {
			t.Errorf("exit %d", code)
		}
		recorded(t, "dial.svg", "handfast dial in a terminal",
			"The user connects to an echo endpoint, sends hello and gets hello back, measures a round trip with /ping, and closes with Ctrl-D.",
			"handfast dial wss://localhost:8443/echo", "", s.all, server.First("echo"))
	})
	t.Run("explain", func(t *testing.T) {
		s := onScreen(u.In(t), "explain", server.First("chat"))
		s.expect("received no token.")
		if code := s.end(); code != 1 {
			t.Errorf("exit %d", code)
		}
		recorded(t, "explain.svg", "handfast explain in a terminal",
			"The end of a report on a handshake without a token: the answer 401, what it means, by which clause, and what the server's owner and the client can do.",
			"handfast explain wss://localhost:8443/chat", "✗ response", s.all, server.First("chat"))
	})
}
