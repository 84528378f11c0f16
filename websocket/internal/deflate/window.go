package deflate

import "fmt"

// The sizes that RFC 7692 §7.1.2 allows a window to have, as exponents of two.
const (
	MinBits = 8
	MaxBits = 15
)

// Window is what the handshake agreed on for one direction. The zero value is RFC 7692's strongest promise that needs no
// memory: a 32 KiB window within a message, and no context taken over from one message to the next.
type Window struct {
	// Bits bounds how far back a match may reach, 1<<Bits bytes; 8 to 15. 0 means 15.
	Bits uint8
	// Takeover allows matches that reach into the messages before.
	Takeover bool
}

// Size returns the window in bytes. It panics when Bits is out of range: the handshake has checked it.
func (w Window) Size() int {
	if w.Bits == 0 {
		return 1 << MaxBits
	}
	if w.Bits < MinBits || w.Bits > MaxBits {
		panic(fmt.Sprintf("deflate: a window of %d bits", w.Bits))
	}
	return 1 << w.Bits
}
