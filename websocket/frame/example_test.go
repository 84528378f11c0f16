package frame_test

import (
	"fmt"

	"github.com/handfast/handfast/websocket/frame"
)

// A tunnel copies bytes without parsing messages; between two frames it can insert a close frame.
func ExampleCursor() {
	var c frame.Cursor
	passed := []byte("\x81\x05Hel") // bytes that the tunnel has already copied
	if err := c.Pass(passed); err != nil {
		fmt.Println(err)
	}
	next := []byte("lo\x81\x05there")
	n, err := c.Boundary(next)
	if err != nil {
		fmt.Println(err)
	}
	out := append(next[:n:n], 0x88, 2, 0x03, 0xe9) // close 1001, and nothing after it
	fmt.Printf("%q\n", out)
	// Output: "lo\x88\x02\x03\xe9"
}

func ExampleAppend() {
	h := frame.Header{Fin: true, Opcode: frame.Text, Masked: true, Key: [4]byte{0x37, 0xfa, 0x21, 0x3d}, Length: 5}
	b := append(frame.Append(nil, h), "Hello"...)
	frame.Mask(b[len(b)-5:], h.Key)
	fmt.Printf("% x\n", b)
	// Output: 81 85 37 fa 21 3d 7f 9f 4d 51 58
}
