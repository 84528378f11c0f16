package websocket

import (
	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/prepared"
)

// Prepared is a message made ready to be sent on many connections: framed once, and compressed once for each window size
// that a connection agreed on. It may be sent any number of times, from any number of goroutines. Prepare makes one; its
// zero value is none.
type Prepared struct{ message prepared.Frames }

// Prepare makes m ready for SendPrepared. m.Data is copied: it stays the caller's.
func Prepare(m Message) (*Prepared, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	return newPrepared(m), nil
}

func newPrepared(m Message) *Prepared {
	p := new(Prepared)
	p.frames().Init(frame.Opcode(m.Type), m.Data)
	return p
}

// frames returns what p is made of.
func (p *Prepared) frames() *prepared.Frames { return &p.message }

// Len returns the length of the message.
func (p *Prepared) Len() int { return len(p.frames().Payload()) }
