package channels

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// A transcript is what clients send and get, line by line: "a> {…}" is sent by the client a, "a~ …" as a binary message;
// "a< {…}" is what it gets next, where "*" is any value and what is not mentioned must not be there, times excepted; "a= Name:
// value" connects it with these headers. $a is the name of a's connection, $E the first epoch.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			each(t, func(t *testing.T, driver string) {
				h := newHub(t)
				p := &play{url: start(t, driver, &Server{Hub: h, App: "dev"}), clients: map[string]*websocket.Conn{}, names: map[string]string{}}
				n := 0
				for line := range strings.Lines(string(text)) {
					n++
					if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
						continue
					}
					if text := p.line(t, line); text != "" {
						t.Fatalf("%s:%d: %s", file, n, text)
					}
				}
			})
		})
	}
}

// play is a transcript under way.
type play struct {
	url     string
	clients map[string]*websocket.Conn
	names   map[string]string // what $ stands for
}

// line plays one line, and returns what is wrong.
func (p *play) line(t *testing.T, line string) string {
	name, kind, text := line[:1], line[1], strings.TrimSpace(line[2:])
	for k, v := range p.names {
		text = strings.ReplaceAll(text, `"$`+k+`"`, `"`+v+`"`)
	}
	c := p.clients[name]
	switch kind {
	case '=':
		header := http.Header{}
		for field := range strings.SplitSeq(text, ",") {
			if k, v, ok := strings.Cut(field, ":"); ok {
				header.Set(strings.TrimSpace(k), strings.TrimSpace(v))
			}
		}
		p.clients[name] = dial(t, p.url, header)
	case '>':
		send(t, c, text)
	case '~':
		if err := c.Write(bounded.Context(t), websocket.Message{Type: websocket.Binary, Data: []byte(text)}); err != nil {
			return err.Error()
		}
	case '<':
		return p.compare(name, read(t, c), text)
	default:
		return "not a line of a transcript"
	}
	return ""
}

// compare compares a message with what is expected, and learns names from it.
func (p *play) compare(name, got, want string) string {
	var g, w map[string]any
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		return err.Error()
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		return err.Error()
	}
	if g["type"] == "welcome" {
		p.names[name], _ = g["client"].(string)
	}
	if at, ok := g["position"].(map[string]any); ok && p.names["E"] == "" {
		p.names["E"], _ = at["epoch"].(string)
	}
	if !fits(g, w) {
		return "\ngot  " + got + "\nwant " + want
	}
	return ""
}

// fits reports whether a value is as expected.
func fits(got, want any) bool {
	if want == "*" {
		return got != nil
	}
	switch g := got.(type) {
	case map[string]any:
		w, ok := want.(map[string]any)
		delete(g, "time")
		if !ok || len(g) != len(w) {
			return false
		}
		for k := range w {
			if !fits(g[k], w[k]) {
				return false
			}
		}
		return true
	case []any:
		w, ok := want.([]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for i := range w {
			if !fits(g[i], w[i]) {
				return false
			}
		}
		return true
	}
	x, _ := json.Marshal(got)
	y, _ := json.Marshal(want)
	return bytes.Equal(x, y)
}
