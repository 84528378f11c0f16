package resume

import (
	"fmt"
	"strings"
	"testing"

	"github.com/centrifugal/protocol"

	"github.com/handfast/handfast/internal/transcript"
)

// A transcript has the messages of a client and its servers. Its first line is "session SUBPROTOCOL PATH"; the transcripts of
// centrifuge-json are also run in Protobuf. A message may have several parts, separated by " | ". Then
//
//	c> is sent by the client,
//	s< is what the server gets,
//	s> is sent by the server,
//	c< is what the client gets,
//	c= is sent by the client, and the server gets it as it is,
//	s= is sent by the server, and the client gets it as it is.
//
// "switch" begins to resume on another server, "done" means that the last message has completed the resume, and "error WORDS" that
// the last message, or the switch, had this error. "idle" and "busy" are the results of Idle. Nothing else may be sent.
func TestTranscripts(t *testing.T) {
	transcript.Each(t, func(t *testing.T, f transcript.File) {
		for _, binary := range []bool{false, true} {
			p := &player{t: t, binary: binary}
			f.Play(t, p.line)
			if wrong := p.rest(); wrong != "" {
				t.Error(wrong)
			}
		}
	})
}

// player is the state of a running transcript.
type player struct {
	t                  *testing.T
	binary             bool // run centrifuge-json in Protobuf; other transcripts are skipped
	session            Session
	surplus            int      // of the session
	toServer, toClient []string // not compared yet
	done               bool
	err                error
}

// rest returns what was sent but not expected.
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
	if p.binary && word == "session" {
		p.binary = strings.HasPrefix(text, "centrifuge-json")
	}
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
	wrong := p.act(word, text)
	if n := surplus(p.session); wrong == "" && n != p.surplus && n != 0 {
		if p.surplus != 0 || n < 0 {
			return fmt.Sprintf("the session counts %d bytes in addition to what it stores, after %d", n, p.surplus)
		}
		p.surplus = n // the request to connect
	}
	return wrong
}

// act executes a line.
func (p *player) act(word, text string) string {
	switch word {
	case "session":
		subprotocol, path, _ := strings.Cut(text, " ")
		p.session, p.surplus = New(subprotocol, path, Options{}), 0
	case "c>", "c=":
		m, send := p.session.Client(p.message(text, true))
		if send {
			p.toServer = append(p.toServer, p.text(m, true))
		}
		if word == "c=" {
			return take(&p.toServer, text)
		}
	case "s>", "s=":
		var out []Message
		out, p.done, p.err = p.session.Server(p.message(text, false))
		for _, m := range out {
			p.toClient = append(p.toClient, p.text(m, false))
		}
		if word == "s=" {
			return take(&p.toClient, text)
		}
	case "switch":
		var out []Message
		out, p.err = p.session.Resume()
		for _, m := range out {
			p.toServer = append(p.toServer, p.text(m, true))
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

// take compares the first of some messages with the expected one.
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

// message returns a message in the format in which it is sent.
func (p *player) message(text string, command bool) Message {
	if !p.binary {
		return Message{Data: []byte(strings.ReplaceAll(text, " | ", "\n"))}
	}
	m := Message{Binary: true}
	for part := range strings.SplitSeq(text, " | ") {
		m.Data = format{binary: true}.join(m.Data, p.convert([]byte(part), command, format{}, format{binary: true}))
	}
	return m
}

// text formats a message for the transcript.
func (p *player) text(m Message, command bool) string {
	if !p.binary {
		return strings.ReplaceAll(string(m.Data), "\n", " | ")
	}
	var parts []string
	for rest := m.Data; len(rest) > 0; {
		part, more, ok := format{binary: true}.cut(rest)
		if !ok || !m.Binary {
			p.t.Fatalf("got %q, want a message of the format", m.Data)
		}
		parts, rest = append(parts, string(p.convert(part, command, format{binary: true}, format{}))), more
	}
	return strings.Join(parts, " | ")
}

// convert converts a command or reply to another format.
func (p *player) convert(part []byte, command bool, from, to format) []byte {
	var out []byte
	err := error(nil)
	ok := false
	if command {
		var c *protocol.Command
		if c, ok = from.command(part); ok {
			out, err = to.encodeCommand(c)
		}
	} else {
		var r *protocol.Reply
		if r, ok = from.reply(part); ok {
			out, err = to.encodeReply(r)
		}
	}
	if !ok || err != nil {
		p.t.Fatalf("%s: got %v, %v, want it converted", part, ok, err)
	}
	return out
}
