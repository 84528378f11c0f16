package channels

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/internal/transcript"
	"github.com/handfast/handfast/websocket"
)

// A transcript lists the messages that clients send and receive, one per line. "a> {…}" is a message that client a sends, and "a~ {…}" is a
// binary one. "a< {…}" is the next message that client a receives: "*" matches any value, and the message may have no other fields, except
// for times. "a= Name: value" connects client a with these header fields. $a is the ID of client a's connection, and $E is the first epoch.
func TestTranscripts(t *testing.T) {
	transcript.Each(t, func(t *testing.T, f transcript.File) {
		eachEngine(t, func(t *testing.T, driver string) {
			h := newHub(t)
			p := &script{url: start(t, driver, &Server{Hub: h, App: "dev"}), clients: map[string]*websocket.Conn{}, names: map[string]string{}}
			f.Play(t, func(text string) string { return p.line(t, text) })
		})
	})
}

// script is a transcript that is being played.
type script struct {
	url     string
	clients map[string]*websocket.Conn
	names   map[string]string // the values of variables such as $a and $E; the names are without the $
}

// line plays one line, and returns an error text.
func (p *script) line(t *testing.T, line string) string {
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

// compare compares a message with the expected one, and stores the values of names.
func (p *script) compare(name, got, want string) string {
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
	if !transcript.Fits(g, w, "time") {
		return "\ngot  " + got + "\nwant " + want
	}
	return ""
}
