package protocol_test

import (
	"fmt"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/protocol"
)

// noKey is the masking key of a server, which does not mask.
func noKey() [4]byte { return [4]byte{} }

// A server passes the received bytes to its Machine, handles the events, and sends the output.
func ExampleMachine() {
	m := protocol.Machine{Limits: &protocol.Limits{MaxMessage: 1 << 20, Fragments: protocol.MaxFragments}}

	key := [4]byte{1, 2, 3, 4}
	var arrived []byte // masked, as a client sends it
	for _, f := range []struct {
		opcode  frame.Opcode
		payload string
	}{{frame.Text, "Hello"}, {frame.Ping, "p"}, {frame.Close, "\x03\xe8bye"}} {
		h := frame.Header{Fin: true, Opcode: f.opcode, Masked: true, Key: key, Length: int64(len(f.payload))}
		arrived = frame.Append(arrived, h)
		arrived = append(arrived, f.payload...)
		frame.Mask(arrived[len(arrived)-len(f.payload):], key)
	}

	var out []byte
	for len(arrived) > 0 {
		ev, n, err := m.Step(arrived)
		if err != nil {
			fmt.Println(err) // the output contains the close frame
			break
		}
		switch ev.Kind {
		case protocol.Data: // a part of a message: First and Last mark its beginning and end
			fmt.Printf("message %q\n", ev.Payload)
			out, err = m.AppendMessage(out, ev.Text, ev.Payload, nil)
			if err != nil {
				fmt.Println(err)
			}
		case protocol.Close:
			fmt.Printf("close %d %q\n", ev.Code, ev.Payload)
		}
		arrived = arrived[n:]
	}
	out = m.AppendOutput(out, protocol.PongRoom, noKey)
	fmt.Printf("% x\n", out)
	// Output:
	// message "Hello"
	// close 1000 "bye"
	// 81 05 48 65 6c 6c 6f 8a 01 70 88 05 03 e8 62 79 65
}

// A proxy that passes messages on leaves pings and close frames to the two ends.
func ExampleMachine_relay() {
	fromServer := protocol.Machine{Client: true, Relay: true}
	toClient := protocol.Machine{Relay: true}

	var out []byte
	for arrived := []byte("\x89\x01p\x88\x05\x03\xe9bye"); len(arrived) > 0; {
		ev, n, err := fromServer.Step(arrived)
		switch {
		case err != nil:
			fmt.Println(err)
			return
		case ev.Kind == protocol.Ping:
			out, err = toClient.AppendPing(out, ev.Payload, noKey)
		case ev.Kind == protocol.Close:
			out, err = toClient.AppendClose(out, ev.Code, string(ev.Payload), noKey)
		}
		if err != nil {
			fmt.Println(err)
		}
		arrived = arrived[n:]
	}
	fmt.Println("answers to the server:", fromServer.Pending())
	fmt.Printf("% x\n", out)
	// Output:
	// answers to the server: false
	// 89 01 70 88 05 03 e9 62 79 65
}
