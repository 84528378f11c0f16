package handshake_test

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/handfast/handfast/websocket/handshake"
)

// A server performs its part of the handshake for a request that net/http has parsed.
func ExampleOpening_Check() {
	r := &http.Request{
		Method: http.MethodGet, RequestURI: "/chat", ProtoMajor: 1, ProtoMinor: 1, Host: "server.example.com",
		Header: http.Header{
			"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Version": {"13"},
			"Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}, "Sec-Websocket-Protocol": {"chat, superchat"},
			"Origin": {"http://server.example.com"},
		},
	}
	o := handshake.OpeningOf(r)
	v := o.Check()
	if v == nil {
		v = o.CheckOrigin(handshake.OriginPolicy{})
	}
	if v != nil {
		fmt.Println(v.Status, v.Detail, v.Section)
		return
	}
	answer := handshake.Answer{Key: o.Key[0], Subprotocol: o.Choose([]string{"superchat"})}
	fmt.Println(strings.ReplaceAll(string(answer.AppendHead(nil)), "\r\n", "\n"))
	// Output:
	// HTTP/1.1 101 Switching Protocols
	// Upgrade: websocket
	// Connection: Upgrade
	// Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=
	// Sec-WebSocket-Protocol: superchat
}

// A client lists each rule for a response with its verdict.
func ExampleVerifyAll() {
	request := &handshake.Request{Target: "/chat", Host: "server.example.com", Key: "dGhlIHNhbXBsZSBub25jZQ=="}
	var head handshake.Head // parses the response as its bytes arrive
	response, rest, v := head.Feed([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x05Hello"))
	if v != nil {
		fmt.Println(v)
		return
	}
	for _, d := range handshake.VerifyAll(response, request) {
		if d.Violation != nil {
			fmt.Printf("%s: %v\n", d.Section, d.Violation)
		}
	}
	fmt.Println(len(rest), "bytes after the header")
	// Output:
	// RFC 6455 §4.1 (3): the Connection header of the response does not contain the token Upgrade
	// 7 bytes after the header
}
