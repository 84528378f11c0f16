package conformance

import (
	"bytes"
	"fmt"
	"slices"
)

// kind is the kind of an event.
type kind int

const (
	kindMessage kind = iota
	kindPing
	kindPong
	kindClose
	kindEnd   // the tested side closed the TCP connection in order, with FIN
	kindReset // the TCP connection was reset
)

var kindNames = [...]string{"message", "ping", "pong", "close", "end of TCP", "reset of TCP"}

func (k kind) String() string { return kindNames[k] }

// noStatus is the code of an event for a close frame without a code.
const noStatus = 1005

// event is what the peer received: a complete message, a control frame, or the end of the TCP connection.
type event struct {
	kind kind
	op   byte   // type of a message: text or binary
	data []byte // payload; for a close frame, the reason
	code int    // code of a close frame
}

func (e event) String() string {
	data := fmt.Sprintf("%d bytes", len(e.data))
	if len(e.data) <= 40 {
		data = fmt.Sprintf("%q", e.data)
	}
	switch e.kind {
	case kindMessage:
		if e.op == opText {
			return "text message " + data
		}
		return "binary message " + data
	case kindPing, kindPong:
		return e.kind.String() + " " + data
	case kindClose:
		if e.code == noStatus {
			return "close without a code"
		}
		return fmt.Sprintf("close %d %s", e.code, data)
	}
	return e.kind.String()
}

// expectation describes which next events are allowed.
type expectation struct {
	kinds []kind // the allowed kinds
	op    byte
	data  []byte
	codes []int // the allowed codes of a close frame, with any reason
}

func (x expectation) met(e event) bool {
	if !slices.Contains(x.kinds, e.kind) {
		return false
	}
	switch e.kind {
	case kindMessage:
		return x.op == e.op && bytes.Equal(x.data, e.data)
	case kindPing, kindPong:
		return bytes.Equal(x.data, e.data)
	case kindClose:
		return slices.Contains(x.codes, e.code) && (x.data == nil || bytes.Equal(x.data, e.data))
	}
	return true
}

func (x expectation) String() string {
	if x.kinds[0] == kindClose {
		return fmt.Sprintf("close with a code of %v", x.codes)
	}
	if len(x.kinds) > 1 {
		return fmt.Sprintf("one of %v", x.kinds)
	}
	return event{kind: x.kinds[0], op: x.op, data: x.data}.String()
}

func textBack(s string) expectation {
	return expectation{kinds: []kind{kindMessage}, op: opText, data: []byte(s)}
}

func binaryBack(b []byte) expectation {
	return expectation{kinds: []kind{kindMessage}, op: opBinary, data: b}
}

func pongBack(s string) expectation {
	return expectation{kinds: []kind{kindPong}, data: []byte(s)}
}

func closeWith(codes ...int) expectation {
	return expectation{kinds: []kind{kindClose}, codes: codes}
}

func closeFor(code int, reason string) expectation {
	return expectation{kinds: []kind{kindClose}, codes: []int{code}, data: []byte(reason)}
}
