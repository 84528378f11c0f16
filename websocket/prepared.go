package websocket

import (
	"errors"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/prepared"
)

// Prepared is a message made ready to be sent on many connections: framed once, and compressed once for each window size
// that a connection agreed on. It may be sent any number of times, from any number of goroutines. Prepare makes one; to send
// its zero value is an error.
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

var errUnprepared = errors.New("websocket: SendPrepared of a message that Prepare has not made")

// unprepared returns an error if one of ps was not made by Prepare.
func unprepared(ps []*Prepared) error {
	for _, p := range ps {
		if !p.message.Made() {
			return errUnprepared
		}
	}
	return nil
}

// frames returns what p is made of.
func (p *Prepared) frames() *prepared.Frames { return &p.message }

// Len returns the length of the message.
func (p *Prepared) Len() int { return len(p.frames().Payload()) }

// Data returns the message, for a [Sender] that carries it in another way than as a frame. It must not be written to.
func (p *Prepared) Data() []byte { return p.frames().Payload() }
