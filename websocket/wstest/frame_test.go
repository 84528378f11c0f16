package wstest_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/protocol"
	"github.com/handfast/handfast/websocket/wstest"
)

// These are the bytes of the examples in RFC 6455 §5.7, and of frames that must not be sent.
func TestFrameOnTheWire(t *testing.T) {
	tests := []struct {
		role  protocol.Role
		frame wstest.Frame
		want  string
	}{
		{protocol.RoleServer, wstest.TextFrame("Hello"), "810548656c6c6f"},
		{protocol.RoleClient, wstest.TextFrame("Hello"), "818537fa213d7f9f4d5158"},
		{protocol.RoleServer, wstest.Frame{Opcode: frame.Text, Payload: []byte("Hel"), More: true}, "010348656c"},
		{protocol.RoleServer, wstest.Frame{Opcode: frame.Continuation, Payload: []byte("lo")}, "80026c6f"},
		{protocol.RoleServer, wstest.Frame{Opcode: frame.Ping, Payload: []byte("Hello")}, "890548656c6c6f"},
		{protocol.RoleServer, wstest.CloseFrame(1000, ""), "880203e8"},
		{protocol.RoleServer, wstest.CloseFrame(websocket.CodeNoStatus, ""), "8800"},
		{protocol.RoleServer, wstest.CloseFrame(websocket.CodeNoStatus, "x"), "880303ed78"},
		{protocol.RoleServer, wstest.Frame{Opcode: frame.Text, WrongMask: true, Payload: []byte("H")}, "818137fa213d7f"},
		{protocol.RoleClient, wstest.Frame{Opcode: frame.Text, WrongMask: true, Payload: []byte("H")}, "810148"},
		{protocol.RoleClient, wstest.Frame{Opcode: frame.Text, Key: [4]byte{1}}, "818001000000"},
		{protocol.RoleServer, wstest.Frame{Opcode: 0xB, RSV: frame.RSV1 | frame.RSV2 | frame.RSV3}, "fb00"},
		{protocol.RoleServer, wstest.Frame{Opcode: 0xF2, RSV: 0x8F, More: true}, "0200"}, // only the valid bits of each field are used
		{protocol.RoleServer, wstest.Frame{Opcode: frame.Continuation, RSV: 0xFF}, "f000"},
		{protocol.RoleServer, wstest.Frame{Opcode: frame.Text, Length: 3}, "8103"},
		{protocol.RoleServer, wstest.Frame{Opcode: frame.Text, Length: 126}, "817e007e"},
		{protocol.RoleServer, wstest.Frame{Opcode: frame.Text, Length: 125}, "817d"},
		{protocol.RoleServer, wstest.Frame{Opcode: frame.Text, Length: 1<<16 - 1}, "817effff"},
		{protocol.RoleServer, wstest.Frame{Opcode: frame.Text, Length: 1 << 16}, "817f0000000000010000"},
		{protocol.RoleServer, wstest.Frame{Opcode: frame.Text, LengthSize: 2}, "817e0000"},
		{protocol.RoleServer, wstest.Frame{Opcode: frame.Text, Length: 1<<63 | 1}, "817f8000000000000001"},
		{protocol.RoleServer, wstest.Frame{Opcode: frame.Text, Payload: []byte("a"), LengthSize: 8}, "817f000000000000000161"},
	}
	near, far := wstest.NetPipe(0)
	defer near.Close()
	defer far.Close()
	for _, tt := range tests {
		got := hex.EncodeToString(wstest.NewPeer(near, tt.role).Append(nil, tt.frame))
		if got != tt.want {
			t.Errorf("%v sends %v as %s, want %s", tt.role, tt.frame, got, tt.want)
		}
	}
}

func TestFrameString(t *testing.T) {
	tests := []struct {
		frame wstest.Frame
		want  string
	}{
		{wstest.TextFrame("hello"), `text "hello"`},
		{wstest.TextFrame(string(make([]byte, 65))), `text, 65 bytes`},
		{wstest.BinaryFrame([]byte{1, 2}), `binary, 2 bytes`},
		{wstest.BinaryFrame([]byte{1}), `binary, 1 bytes`},
		{wstest.BinaryFrame(nil), `binary`},
		{wstest.CloseFrame(1001, "bye"), `close 1001 "bye"`},
		{wstest.CloseFrame(1001, ""), `close 1001 ""`},
		{wstest.TextFrame(string(make([]byte, 64))), "text \"" + strings.Repeat(`\x00`, 64) + "\""},
		{wstest.CloseFrame(websocket.CodeNoStatus, ""), `close`},
		{wstest.Frame{Opcode: 0x3, RSV: frame.RSV1 | frame.RSV3, More: true, WrongMask: true},
			`reserved opcode 3, more follows, RSV1, RSV3, masked incorrectly`},
		{wstest.Frame{Opcode: frame.Ping, Length: 9, LengthSize: 8}, `ping, declared as 9 bytes, length in 8 bytes`},
	}
	for _, tt := range tests {
		if got := tt.frame.String(); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}

func TestFrameCode(t *testing.T) {
	for code, f := range map[websocket.Code]wstest.Frame{
		1000:                   wstest.CloseFrame(1000, "bye"),
		65535:                  wstest.CloseFrame(65535, ""),
		websocket.CodeNoStatus: wstest.CloseFrame(websocket.CodeNoStatus, ""),
		0:                      wstest.TextFrame("\x03\xe8"),
	} {
		if got := f.Code(); got != code {
			t.Errorf("%v has the code %d, want %d", f, got, code)
		}
	}
}

func TestFrameLengthSizeIsChecked(t *testing.T) {
	near, far := wstest.NetPipe(0)
	defer near.Close()
	defer far.Close()
	defer func() {
		if recover() == nil {
			t.Error("a length in 3 bytes was made")
		}
	}()
	wstest.NewPeer(near, protocol.RoleClient).Append(nil, wstest.Frame{LengthSize: 3})
}
