package deflate

import "fmt"

// The window sizes that RFC 7692 §7.1.2 allows, as exponents of two.
const (
	MinBits = 8
	MaxBits = 15
)

// Window is the negotiated window of one direction. The zero value requires no memory between messages: it is a 32 KiB window
// within a message, without context takeover.
type Window struct {
	// Bits limits the distance of a match to 1<<Bits bytes. Bits is 8 to 15; 0 means 15.
	Bits uint8
	// Takeover allows matches that reach into previous messages.
	Takeover bool
}

// Size returns the window in bytes. It panics if Bits is out of range, which the handshake has checked.
func (w Window) Size() int {
	if w.Bits == 0 {
		return 1 << MaxBits
	}
	if w.Bits < MinBits || w.Bits > MaxBits {
		panic(fmt.Sprintf("deflate: a window of %d bits", w.Bits))
	}
	return 1 << w.Bits
}
