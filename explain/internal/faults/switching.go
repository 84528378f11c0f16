package faults

import (
	"io"
	"strings"

	"github.com/handfast/handfast/explain"
)

// All servers in this file respond with an incorrect 101.

// head writes a 101 with the given lines in place of the correct ones. Each line ends in "\n", and ACCEPT in a line stands for the correct
// accept value.
func head(lines string) func(*lab) (*Site, error) {
	return func(l *lab) (*Site, error) {
		return l.site(func(v *exchange) {
			v.writeText("HTTP/1.1 101 Switching Protocols\n" + strings.ReplaceAll(lines, "ACCEPT", v.accept()) + "\n")
		})
	}
}

// The fields of a correct 101, to combine or to omit.
const (
	upgradeField    = "Upgrade: websocket\n"
	connectionField = "Connection: Upgrade\n"
	acceptField     = "Sec-WebSocket-Accept: ACCEPT\n"
	good            = upgradeField + connectionField + acceptField
)

// wrongAccept is the accept value for another key, as in a cached response.
const wrongAccept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\n"

// keyEchoed sends the key back unchanged.
func keyEchoed(l *lab) (*Site, error) {
	return l.site(func(v *exchange) {
		v.writeText("HTTP/1.1 101 Switching Protocols\n" + upgradeField + connectionField +
			"Sec-WebSocket-Accept: " + v.req.Header.Get("Sec-WebSocket-Key") + "\n\n")
	})
}

// noSubprotocol opens correctly, but chooses none of the offered subprotocols.
func noSubprotocol(l *lab) (*Site, error) {
	addr, err := l.handler(l.echo(nil), nil)
	return &Site{URL: "ws://" + addr + "/", Options: explain.Options{Subprotocols: []string{"chat"}}}, err
}

// offering makes the client offer subprotocols to the site of start.
func offering(start func(*lab) (*Site, error), subprotocols ...string) func(*lab) (*Site, error) {
	return func(l *lab) (*Site, error) {
		s, err := start(l)
		if err == nil {
			s.Options.Subprotocols = subprotocols
		}
		return s, err
	}
}

// bodyAfter101 adds a length and a body to the 101, like a handler that does not know WebSocket.
func bodyAfter101(l *lab) (*Site, error) {
	return l.site(func(v *exchange) {
		v.upgrade("Content-Length: 13\nContent-Type: text/plain\n")
		v.writeText("Hello, world!")
	})
}

// lengthAfter101 adds a length to the 101, and continues as a WebSocket.
func lengthAfter101(l *lab) (*Site, error) {
	return l.site(func(v *exchange) {
		v.upgrade("Content-Length: 13\n")
		v.respond("")
	})
}

// script responds with exactly the bytes of text.
func script(text string) func(*lab) (*Site, error) {
	return func(l *lab) (*Site, error) {
		return l.site(func(v *exchange) { v.Write([]byte(text)) }) //nolint:errcheck // the write fails only if the client has disconnected
	}
}

// endlessHead sends fields for as long as the client reads, up to a limit.
func endlessHead(l *lab) (*Site, error) {
	return l.site(func(v *exchange) {
		v.writeText("HTTP/1.1 101 Switching Protocols\n" + upgradeField + connectionField)
		line := []byte("X-Filler: " + strings.Repeat("a", 1000) + "\r\n")
		for range 16 << 10 {
			if _, err := v.Write(line); err != nil {
				return
			}
		}
	})
}

// unendedHead begins a header, does not end it, and keeps the connection open.
func unendedHead(l *lab) (*Site, error) {
	return l.site(func(v *exchange) {
		v.writeText("HTTP/1.1 101 Switching Protocols\n" + upgradeField + connectionField)
		io.Copy(io.Discard, v.in) //nolint:errcheck // Copy returns when the client has disconnected
	})
}

var switchingFaults = []Fault{
	{ID: explain.FaultHTTP10, Name: "101 in HTTP/1.0", start: oldVersion},
	{ID: explain.FaultUpgradeMissing, Name: "no Upgrade in the response", start: head(connectionField + acceptField)},
	{ID: explain.FaultUpgradeWrong, Name: "another protocol in Upgrade",
		start: head("Upgrade: h2c\n" + connectionField + acceptField)},
	{ID: explain.FaultConnectionMissing, Name: "no Connection in the response", start: head(upgradeField + acceptField)},
	{ID: explain.FaultConnectionWrong, Name: "Connection without Upgrade",
		start: head(upgradeField + "Connection: keep-alive\n" + acceptField)},
	{ID: explain.FaultAcceptMissing, Name: "no accept value", start: head(upgradeField + connectionField)},
	{ID: explain.FaultAcceptWrong, Name: "the accept value of another key", start: head(upgradeField + connectionField + wrongAccept)},
	{ID: explain.FaultAcceptWrong, Name: "the key as accept value", start: keyEchoed},
	{ID: explain.FaultAcceptRepeated, Name: "two accept values", start: head(good + acceptField)},
	{ID: explain.FaultSubprotocolUnasked, Name: "a subprotocol that was not requested",
		start: head(good + "Sec-WebSocket-Protocol: chat\n")},
	{ID: explain.FaultSubprotocolUnasked, Name: "a subprotocol other than the one offered",
		start: offering(head(good+"Sec-WebSocket-Protocol: superchat\n"), "chat")},
	{ID: explain.FaultSubprotocolNone, Name: "none of the offered subprotocols", start: noSubprotocol},
	{ID: explain.FaultSubprotocolRepeated, Name: "two subprotocols",
		start: offering(head(good+"Sec-WebSocket-Protocol: a\nSec-WebSocket-Protocol: b\n"), "a", "b")},
	{ID: explain.FaultTokenEchoed, Name: "the token as subprotocol", Warning: true, start: tokenEchoed},
	{ID: explain.FaultExtensionUnasked, Name: "an extension that was not requested",
		start: head(good + "Sec-WebSocket-Extensions: x-snappy\n")},
	{ID: explain.FaultExtensionUnasked, Name: "compression that was not requested", start: uncompressed(
		head(good + "Sec-WebSocket-Extensions: permessage-deflate\n"))},
	{ID: explain.FaultExtensionParams, Name: "a window of 16 bits",
		start: head(good + "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=16\n")},
	{ID: explain.FaultExtensionParams, Name: "an unknown parameter",
		start: head(good + "Sec-WebSocket-Extensions: permessage-deflate; level=9\n")},
	{ID: explain.FaultExtensionParams, Name: "extensions that violate the grammar",
		start: head(good + "Sec-WebSocket-Extensions: permessage-deflate;;\n")},
	{ID: explain.FaultBody101, Name: "a 101 with a length and a body", start: bodyAfter101},
	{ID: explain.FaultBody101, Name: "a 101 with a length, followed by frames", Warning: true, start: lengthAfter101},
}

// oldVersion responds with 101 in HTTP/1.0, which does not define that status.
func oldVersion(l *lab) (*Site, error) {
	return l.site(func(v *exchange) {
		v.writeText("HTTP/1.0 101 Switching Protocols\n" + strings.ReplaceAll(good, "ACCEPT", v.accept()) + "\n")
	})
}

// tokenEchoed chooses the subprotocol that carries the client's token.
func tokenEchoed(l *lab) (*Site, error) {
	s, err := l.site(func(v *exchange) {
		v.upgrade("Sec-WebSocket-Protocol: " + v.req.Header.Get("Sec-WebSocket-Protocol") + "\n")
		v.respond("")
	})
	if err == nil {
		s.Options.Credentials.SubprotocolToken = "c2VjcmV0"
	}
	return s, err
}

// uncompressed makes the client offer no compression.
func uncompressed(start func(*lab) (*Site, error)) func(*lab) (*Site, error) {
	return func(l *lab) (*Site, error) {
		s, err := start(l)
		if err == nil {
			s.Options.NoCompression = true
		}
		return s, err
	}
}
