package proxy

import (
	"cmp"
	"fmt"
	"time"

	"github.com/handfast/handfast/internal/limit"
	"github.com/handfast/handfast/websocket"
)

// Messages are the rules for connections that are carried message by message. The zero value allows any message.
type Messages struct {
	// PerSecond is how many messages a client may send in a second on average, and Burst how many at a time; one that sends more
	// is closed with 1008. PerSecond 0 means that there is no limit, Burst 0 as many as in one second.
	PerSecond float64
	Burst     int

	// Only is the type of message that a client may send; another one closes it with 1003. 0 means both types.
	Only websocket.Type

	// MaxFromServer is the largest message of a server; a larger one ends the connection. 0 means 16 MiB. What a client may send is
	// bounded by the [websocket.ConnOptions] of its connection, which close it with 1009.
	MaxFromServer int64

	// Ping is how long a server may be silent, as [websocket.ConnOptions].PingInterval; 0 means 25 seconds.
	Ping time.Duration
}

const defaultMaxFromServer = 16 << 20

// filled returns m with the defaults.
func (m Messages) filled() *Messages {
	m.MaxFromServer = cmp.Or(m.MaxFromServer, defaultMaxFromServer)
	m.Burst = cmp.Or(m.Burst, max(1, int(m.PerSecond)))
	return &m
}

// rules are the rules for one client.
type rules struct {
	*Messages
	bucket limit.Bucket
}

// check returns the close frame for a client that has sent m, with the code 0 if it may.
func (r *rules) check(m websocket.Message, now time.Time) goodbye {
	if r.Only != 0 && m.Type != r.Only {
		return goodbye{websocket.CodeUnsupportedData, fmt.Sprintf("a %v message: only %v messages are accepted", m.Type, r.Only)}
	}
	if r.PerSecond > 0 {
		if ok, _ := r.bucket.Allow(now, r.PerSecond, r.Burst); !ok {
			return goodbye{websocket.CodePolicy, "too many messages"}
		}
	}
	return goodbye{}
}
