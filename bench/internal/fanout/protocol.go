//go:build linux

package fanout

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
)

// Protocol is the protocol between clients and a server. Its messages are text.
type Protocol struct {
	Path        string
	Subprotocol string

	// First contains the messages that a client sends after it has connected; the server's last reply to them contains Hello.
	First []string
	Hello string

	// Subscribe returns the command to subscribe to a channel, or, with a position, to everything after that position. The reply
	// contains Subscribed.
	Subscribe  func(channel, position string) string
	Subscribed string

	// Sign returns the signature of a subscription to a channel, given the server's greeting; Subscribe gets it in place of a position.
	// A publisher then has to subscribe, too, and does not receive its own publications. A nil function means that there are no signatures.
	Sign func(greeting []byte, channel string) string

	// Position returns the position that a reply or a message contains, for use with Subscribe, or "". A nil function means that
	// the protocol has no recovery.
	Position func(before string, message []byte) string

	// Publish returns the command to publish JSON in a channel. Each id is used once. The reply contains Published, which is "" if
	// the server does not reply.
	Publish   func(id int, channel, data string) string
	Published string

	// Pong returns the reply to a ping message, and nil for any other message.
	Pong func(message []byte) []byte
}

// mark is the beginning of a message's data, before the time of its publication and its number.
const mark = `"t":"`

// stamped returns JSON of about size bytes with a time and a number.
func stamped(nanoseconds int64, number, size int) string {
	s := fmt.Sprintf(`{%s%d-%d"`, mark, nanoseconds, number)
	if pad := size - len(s) - len(`,"pad":""}`); pad > 0 {
		s += `,"pad":"` + string(bytes.Repeat([]byte("x"), pad)) + `"`
	}
	return s + "}"
}

// stamps yields the time and the number of each publication in a message, because a server may send several publications in one message.
func stamps(message []byte, yield func(nanoseconds int64, number int)) {
	for {
		_, rest, ok := bytes.Cut(message, []byte(mark))
		if !ok {
			return
		}
		text, rest, _ := bytes.Cut(rest, []byte(`"`))
		at, number, _ := bytes.Cut(text, []byte("-"))
		t, err := strconv.ParseInt(string(at), 10, 64)
		n, err2 := strconv.Atoi(string(number))
		if err == nil && err2 == nil {
			yield(t, n)
		}
		message = rest
	}
}

// position is a position in a channel's stream.
type position struct {
	Epoch  string `json:"epoch"`
	Offset uint64 `json:"offset"`
}

// String returns the position as JSON.
func (p position) String() string { return fmt.Sprintf(`{"epoch":%q,"offset":%d}`, p.Epoch, p.Offset) }

// moved returns a position with a new offset, unless that is 0.
func moved(before string, offset uint64) string {
	var p position
	if offset == 0 || json.Unmarshal([]byte(before), &p) != nil {
		return before
	}
	p.Offset = offset
	return p.String()
}

// Handfast is the protocol handfast.v1.json.
var Handfast = Protocol{
	Path: "/channels", Subprotocol: "handfast.v1.json", Hello: `"welcome"`,
	Subscribe: func(channel, position string) string {
		if position != "" {
			position = `,"since":` + position
		}
		return fmt.Sprintf(`{"type":"subscribe","id":1,"channel":%q%s}`, channel, position)
	},
	Subscribed: `"type":"subscribed"`,
	Position: func(before string, message []byte) string {
		var m struct {
			Position *position
			Offset   uint64
		}
		if json.Unmarshal(message, &m) != nil {
			return before
		}
		if m.Position != nil {
			return m.Position.String()
		}
		return moved(before, m.Offset)
	},
	Publish: func(id int, channel, data string) string {
		return fmt.Sprintf(`{"type":"publish","id":%d,"channel":%q,"data":%s}`, id, channel, data)
	},
	Published: `"type":"published"`,
}

// Centrifugo is the client protocol of Centrifugo, version 2, JSON.
var Centrifugo = Protocol{
	Path: "/connection/websocket", First: []string{`{"id":1,"connect":{}}`}, Hello: `"connect"`,
	Subscribe: func(channel, at string) string {
		if at == "" {
			return fmt.Sprintf(`{"id":2,"subscribe":{"channel":%q}}`, channel)
		}
		var p position
		if json.Unmarshal([]byte(at), &p) != nil {
			return ""
		}
		return fmt.Sprintf(`{"id":2,"subscribe":{"channel":%q,"recover":true,"epoch":%q,"offset":%d}}`, channel, p.Epoch, p.Offset)
	},
	Subscribed: `"subscribe":{`,
	Position: func(before string, message []byte) string {
		for line := range bytes.Lines(message) {
			var m struct {
				Subscribe *position
				Push      *struct{ Pub *position }
			}
			if json.Unmarshal(line, &m) != nil {
				continue
			}
			if m.Subscribe != nil {
				before = m.Subscribe.String()
			} else if m.Push != nil && m.Push.Pub != nil {
				before = moved(before, m.Push.Pub.Offset)
			}
		}
		return before
	},
	Publish: func(id int, channel, data string) string {
		return fmt.Sprintf(`{"id":%d,"publish":{"channel":%q,"data":%s}}`, id+10, channel, data)
	},
	Published: `"publish":{`,
	Pong: func(message []byte) []byte {
		if bytes.Equal(bytes.TrimSpace(message), []byte("{}")) {
			return []byte("{}")
		}
		return nil
	},
}

// SocketIO is the protocol of socket.io 4 over a WebSocket. Its server is the program socketIO.
var SocketIO = Protocol{
	Path: "/socket.io/?EIO=4&transport=websocket", First: []string{"40"}, Hello: `40{"sid"`,
	Subscribe:  func(channel, _ string) string { return fmt.Sprintf(`42["subscribe",%q]`, channel) },
	Subscribed: `42["subscribed"`,
	Publish: func(_ int, channel, data string) string {
		return fmt.Sprintf(`42["publish",%q,%s]`, channel, data)
	},
	Pong: func(message []byte) []byte {
		if string(message) == "2" {
			return []byte("3")
		}
		return nil
	},
}

// The application of the server that speaks the Pusher protocol.
const pusherKey, pusherSecret = "k", "s"

// Pusher is the Pusher Channels protocol, version 7. Publications are client events in private channels.
var Pusher = Protocol{
	Path: "/app/" + pusherKey + "?protocol=7", Hello: `"pusher:connection_established"`,
	Sign: func(greeting []byte, channel string) string {
		_, after, _ := bytes.Cut(greeting, []byte(`\"socket_id\":\"`))
		id, _, _ := bytes.Cut(after, []byte(`\"`))
		h := hmac.New(sha256.New, []byte(pusherSecret))
		fmt.Fprintf(h, "%s:private-%s", id, channel)
		return pusherKey + ":" + hex.EncodeToString(h.Sum(nil))
	},
	Subscribe: func(channel, signature string) string {
		return fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":"private-%s","auth":%q}}`, channel, signature)
	},
	Subscribed: `"pusher_internal:subscription_succeeded"`,
	Publish: func(_ int, channel, data string) string {
		return fmt.Sprintf(`{"event":"client-m","channel":"private-%s","data":%s}`, channel, data)
	},
}
