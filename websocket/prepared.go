package websocket

import (
	"errors"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/prepared"
)

// Prepared is a message to be sent on many connections: it is framed once, and compressed once for each negotiated window size. It
// may be sent any number of times, by any number of goroutines. Use [Prepare] to create one; sending the zero value is an error.
type Prepared struct{ message prepared.Frames }

// Prepare prepares m for SendPrepared. It copies m.Data.
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

var errUnprepared = errors.New("websocket: SendPrepared of a message that Prepare did not create")

// unprepared returns an error if one of ps was not made by Prepare.
func unprepared(ps []*Prepared) error {
	for _, p := range ps {
		if !p.message.Made() {
			return errUnprepared
		}
	}
	return nil
}

// frames returns the frames of p.
func (p *Prepared) frames() *prepared.Frames { return &p.message }

// Len returns the length of the message.
func (p *Prepared) Len() int { return len(p.frames().Payload()) }

// Data returns the data of the message, for a [Sender] that does not send it as a frame. It must not be modified.
func (p *Prepared) Data() []byte { return p.frames().Payload() }
