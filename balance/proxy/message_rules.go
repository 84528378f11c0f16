package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/handfast/handfast/websocket"
)

// Messages are the rules for connections that are carried message by message. The zero value allows any message.
type Messages struct {
	// Only is the type of message that a client may send; a message of the other type closes the connection with 1003. 0 means both
	// types.
	Only websocket.Type

	// MaxFromServer is the size limit of a message of the server; a larger one ends the connection. 0 means 16 MiB. The limit for
	// the client is in the [websocket.ConnOptions] of its connection, which close it with 1009.
	MaxFromServer int64

	// Ping is how long a server may be silent, like PingInterval of [websocket.ConnOptions]; 0 means 25 seconds.
	Ping time.Duration
}

const defaultMaxFromServer = 16 << 20

// withDefaults returns m with the defaults.
func (m Messages) withDefaults() *Messages {
	m.MaxFromServer = cmp.Or(m.MaxFromServer, defaultMaxFromServer)
	return &m
}

// check returns the close frame for a client that has sent m, with the code 0 if m is allowed. received is the argument of
// [Conn.Serve].
func (r *Messages) check(m websocket.Message, received func(bytes int64) error) closeFrame {
	if received != nil {
		if err := received(int64(len(m.Data))); err != nil {
			if e, ok := errors.AsType[*websocket.CloseError](err); ok {
				return closeFrame{e.Code, e.Reason}
			}
			return closeFrame{websocket.CodePolicy, ""}
		}
	}
	if r.Only != 0 && m.Type != r.Only {
		return closeFrame{websocket.CodeUnsupportedData, fmt.Sprintf("a %v message: only %v messages are accepted", m.Type, r.Only)}
	}
	return closeFrame{}
}
