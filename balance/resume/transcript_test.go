package resume

import (
	"fmt"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/transcript"
)

// A transcript is what a client and its servers say. Its first line is "session SUBPROTOCOL PATH". Then
//
//	c> is sent by the client,
//	s< is what the server gets,
//	s> is sent by the server,
//	c< is what the client gets,
//	c= is sent by the client, and the server gets it as it is,
//	s= is sent by the server, and the client gets it as it is.
//
// "switch" begins to resume at another server, "done" says that the last message has completed that, and "error WORDS" that the last
// message, or the switch, had this error. "idle" and "busy" are what Idle says. Nothing else is sent.
func TestTranscripts(t *testing.T) {
	transcript.Each(t, func(t *testing.T, f transcript.File) {
		p := &player{}
		f.Play(t, p.line)
		if wrong := p.rest(); wrong != "" {
			t.Error(wrong)
		}
	})
}

// player is a transcript under way.
type player struct {
	session            Session
	toServer, toClient []string // what was not compared yet
	done               bool
	err                error
}

// rest returns what was sent and not expected.
func (p *player) rest() string {
	switch {
	case len(p.toServer) > 0:
		return "the server also gets " + p.toServer[0]
	case len(p.toClient) > 0:
		return "the client also gets " + p.toClient[0]
	case p.err != nil:
		return p.err.Error()
	case p.done:
		return "the resume is done"
	}
	return ""
}

func (p *player) line(line string) string {
	word, text, _ := strings.Cut(line, " ")
	switch word {
	case "s<":
		return take(&p.toServer, text)
	case "c<":
		return take(&p.toClient, text)
	case "done":
		if !p.done {
			return "the resume is not done"
		}
		p.done = false
		return ""
	case "error":
		if p.err == nil || !strings.Contains(p.err.Error(), text) {
			return fmt.Sprintf("the error is %v", p.err)
		}
		p.err = nil
		return ""
	}
	if wrong := p.rest(); wrong != "" {
		return wrong
	}
	return p.act(word, text)
}

// act does what a line says.
func (p *player) act(word, text string) string {
	switch word {
	case "session":
		subprotocol, path, _ := strings.Cut(text, " ")
		p.session = New(subprotocol, path, Options{})
	case "c>", "c=":
		m, send := p.session.Client(Message{Data: []byte(text)})
		if send {
			p.toServer = append(p.toServer, string(m.Data))
		}
		if word == "c=" {
			return take(&p.toServer, text)
		}
	case "s>", "s=":
		var out []Message
		out, p.done, p.err = p.session.Server(Message{Data: []byte(text)})
		for _, m := range out {
			p.toClient = append(p.toClient, string(m.Data))
		}
		if word == "s=" {
			return take(&p.toClient, text)
		}
	case "switch":
		var out []Message
		out, p.err = p.session.Resume()
		for _, m := range out {
			p.toServer = append(p.toServer, string(m.Data))
		}
	case "idle", "busy":
		if p.session.Idle() != (word == "idle") {
			return "it is not"
		}
	default:
		return "not a line of a transcript"
	}
	return ""
}

// take compares the first of some messages with what is expected.
func take(from *[]string, want string) string {
	if len(*from) == 0 {
		return "there is nothing"
	}
	got := (*from)[0]
	if *from = (*from)[1:]; got != want {
		return "\ngot  " + got + "\nwant " + want
	}
	return ""
}
