//go:build e2e

package interop_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/handfast/handfast/websocket"
)

// A variant is a configuration. Every pair of client and server runs once with each variant.
type variant struct {
	name      string
	secure    bool
	conn      websocket.ConnOptions // options of our client or server
	extension string                // the negotiated extension that both sides must report; "" means none
}

var variants = []variant{
	{name: "ws"},
	{name: "wss", secure: true},
	{name: "ws compressed", conn: compressed(0, 0), extension: deflate},
	{name: "wss compressed", secure: true, conn: compressed(9, 9), extension: deflate},
}

const deflate = "permessage-deflate"

// compressed returns options that compress messages of every size, with the sizes of both windows in bits; 0 means the default.
func compressed(server, client int) websocket.ConnOptions {
	return websocket.ConnOptions{Compression: &websocket.Compression{
		ServerWindowBits: server, ClientWindowBits: client, Threshold: -1}}
}

// scheme returns "http" or "https".
func (v variant) scheme() string {
	if v.secure {
		return "https"
	}
	return "http"
}

// limit is the time limit for the run of a pair. It only stops a test that hangs.
const limit = 3 * time.Minute

// checks.mjs and checks.py contain the same values for the peers.
const (
	unicode    = "ascii é κόσμε 日本語 🤝 \x00 \uffff \U0010ffff"
	burst      = 100
	pingData   = "are you there?"
	peerCode   = 4001
	peerReason = "the peer's reason 🤝"
	ourCode    = 4002
	ourReason  = "our reason 🤝"
	doneReason = "done"
)

var (
	sizes        = []int{0, 1, 125, 126, 65535, 65536, 1048576}
	pieces       = []string{"hand", "fast ", "\U0001f91d in pieces"}
	offered      = []string{"handfast.v0", "handfast.v1", "handfast.v2"}
	subprotocols = []string{"handfast.v2", "handfast.v1"} // in the server's order of preference, which is not that of the offer
)

// A line is one report of a peer: about a check that it ran as a client, or about a connection that it served.
type line struct {
	Check       string  `json:"check"`
	Type        string  `json:"type,omitempty"`
	Size        int     `json:"size,omitempty"`
	Sum         string  `json:"sum,omitempty"`
	Text        string  `json:"text,omitempty"`
	Subprotocol string  `json:"subprotocol,omitempty"`
	Extensions  string  `json:"extensions,omitempty"`
	Code        int     `json:"code,omitempty"`
	Reason      string  `json:"reason,omitempty"`
	Clean       bool    `json:"clean,omitempty"`
	RTT         float64 `json:"rtt,omitempty"` // in milliseconds
	Port        int     `json:"port,omitempty"`
	Error       string  `json:"error,omitempty"`
}

// String formats the line as a peer prints it, truncated to 400 bytes.
func (l line) String() string {
	j, err := json.Marshal(l)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%.400s", j)
}

// extensionName returns an extension without its parameters, which only some peers report.
func extensionName(s string) string {
	name, _, _ := strings.Cut(s, ";")
	return name
}

// repeat is the period of a binary pattern, which the peers use, too. Repetitions are farther apart than a window of 12 bits, so a
// compressor that ignores the negotiated window refers to data outside the window.
const repeat = 8209

// pattern returns the payload of a message for an echo check.
func pattern(t websocket.Type, size int) []byte {
	data := make([]byte, size)
	for i := range data {
		if t == websocket.Text {
			data[i] = byte('a' + i%26)
		} else {
			data[i] = byte((i % repeat * (i % repeat) >> 3) % 251)
		}
	}
	return data
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// burstText returns the text of the messages in a burst, in order.
func burstText() string {
	var all []string
	for i := range burst {
		all = append(all, fmt.Sprintf("message %d", i))
	}
	return strings.Join(all, "\n")
}

// abilities describes what the API of a peer's client can do. Browsers can do neither.
type abilities struct {
	fragments bool // whether the API can send a message in fragments
	pings     bool // whether the API can send a ping
}

// clientLines returns the lines that a client must report, in order.
func clientLines(v variant, can abilities) []line {
	lines := []line{{Check: "open", Extensions: v.extension}}
	for _, t := range []websocket.Type{websocket.Text, websocket.Binary} {
		for _, size := range sizes {
			lines = append(lines, line{Check: "echo", Type: t.String(), Size: size, Sum: sum(pattern(t, size))})
		}
	}
	lines = append(lines, line{Check: "unicode", Text: unicode})
	if can.fragments {
		lines = append(lines, line{Check: "fragments-to-us", Text: strings.Join(pieces, "")})
	}
	lines = append(lines,
		line{Check: "fragments-to-peer", Text: strings.Join(pieces, "")},
		line{Check: "subprotocol", Subprotocol: subprotocols[0]},
		line{Check: "burst", Size: burst, Text: burstText()},
	)
	if can.pings {
		lines = append(lines, line{Check: "ping-by-peer"})
	}
	return append(lines,
		line{Check: "ping-by-us", Text: "pong"},
		// Code and Reason are those of our echo of the peer's close frame.
		line{Check: "close-by-peer", Code: peerCode, Reason: peerReason, Clean: true},
		line{Check: "close-without-code", Code: int(websocket.CodeNoStatus), Clean: true},
		line{Check: "close-by-us", Code: ourCode, Reason: ourReason, Clean: true},
		line{Check: "end"},
	)
}
