package pusher

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/internal/transcript"
	"github.com/handfast/handfast/websocket"
)

// A transcript lists the messages that clients send and receive, one per line.
//
//	a= query           a connects; "" is the usual query
//	a> {…}             a sends this message; "a~ …" sends a binary message
//	a+ channel [data [& {…}]]  a subscribes with a valid signature, this channel_data and these additional fields
//	a@ data            a signs in with this user_data
//	a< {…}             a's next message; "*" is any value; data is compared in decoded form, "data!" as it is
//	a# 4009            a is closed with this code
//	!  POST /path {…}  the application calls the API
//	!< 200 {…}         and gets this response; if it is not JSON, the response must contain it
//
// $a is the socket_id of a, and $E the epoch of the last position.
func TestTranscripts(t *testing.T) {
	transcript.Each(t, func(t *testing.T, f transcript.File) {
		eachDriver(t, func(t *testing.T, driver string) {
			p := &script{url: drivers[driver](t, newServer(t)), clients: map[string]*websocket.Conn{}, ids: map[string]string{}}
			f.Play(t, func(text string) string { return p.line(t, text) })
		})
	})
}

// script is a transcript that is being played.
type script struct {
	url     string
	clients map[string]*websocket.Conn
	ids     map[string]string // the socket_id of each client, and the last epoch as E
	status  int               // the status of the last API call
	answer  string
}

// line plays one line, and returns an error text.
func (p *script) line(t *testing.T, line string) string {
	name, kind, text := line[:1], line[1], strings.TrimSpace(line[2:])
	for k, v := range p.ids {
		text = strings.ReplaceAll(text, "$"+k, v)
	}
	if name == "!" {
		return p.call(t, kind, text)
	}
	c := p.clients[name]
	switch kind {
	case '=':
		if text == "" {
			text = defaultQuery
		}
		p.clients[name] = dial(t, p.url, text)
	case '>':
		send(t, c, text)
	case '~':
		if err := c.Write(bounded.Context(t), websocket.Message{Type: websocket.Binary, Data: []byte(text)}); err != nil {
			return err.Error()
		}
	case '+':
		channel, data, _ := strings.Cut(text, " ")
		data, asked, _ := strings.Cut(data, " & ")
		r := request{Channel: channel, ChannelData: data, Auth: app.Key + ":" + app.sign(channelText(p.ids[name], channel, data))}
		if asked != "" {
			if err := json.Unmarshal([]byte(asked), &r); err != nil {
				return err.Error()
			}
		}
		send(t, c, string(encode(map[string]any{"event": "pusher:subscribe", "data": r})))
	case '@':
		r := request{UserData: text, Auth: app.Key + ":" + app.sign(userText(p.ids[name], text))}
		send(t, c, string(encode(map[string]any{"event": "pusher:signin", "data": r})))
	case '#':
		if got := code(t, c); strconv.Itoa(int(got)) != text {
			return "closed with " + strconv.Itoa(int(got))
		}
	case '<':
		return p.compare(name, read(t, c), text)
	default:
		return "not a line of a transcript"
	}
	return ""
}

// call calls the API, or compares the response.
func (p *script) call(t *testing.T, kind byte, text string) string {
	first, rest, _ := strings.Cut(text, " ")
	if kind != '<' {
		path, body, _ := strings.Cut(rest, " ")
		p.status, p.answer = api(t, p.url, first, path, body)
		return ""
	}
	var got, want any
	ok := strconv.Itoa(p.status) == first
	if json.Unmarshal([]byte(rest), &want) == nil {
		ok = ok && json.Unmarshal([]byte(p.answer), &got) == nil && transcript.Fits(got, want)
	} else {
		ok = ok && strings.Contains(p.answer, rest)
	}
	if !ok {
		return "\ngot  " + strconv.Itoa(p.status) + " " + p.answer + "\nwant " + text
	}
	return ""
}

// compare compares a message with the expected one, and stores the socket_id or the epoch that it contains.
func (p *script) compare(name, got, want string) string {
	var g, w map[string]any
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		return err.Error()
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		return err.Error()
	}
	data, isText := g["data"].(string)
	if _, plain := w["data!"]; plain {
		g["data!"] = g["data"]
		delete(g, "data")
	} else if _, compares := w["data"].(string); isText && !compares {
		var v any
		if err := json.Unmarshal([]byte(data), &v); err != nil {
			return "the data is not JSON: " + got
		}
		g["data"] = v
	} else if g["data"] != nil && !isText {
		return "the data is not a string: " + got
	}
	if d, ok := g["data"].(map[string]any); ok && g["event"] == "pusher:connection_established" {
		p.ids[name], _ = d["socket_id"].(string)
	}
	if d, ok := g["data"].(map[string]any); ok {
		if at, ok := d["position"].(map[string]any); ok {
			p.ids["E"], _ = at["epoch"].(string)
		}
	}
	if !transcript.Fits(g, w) {
		return "\ngot  " + got + "\nwant " + want
	}
	return ""
}
