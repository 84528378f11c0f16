//go:build e2e

package cluster

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// With each engine, a client of the Pusher protocol can recover on another node from its position before a channel's first event, but
// not from a position in another channel.
func TestPusherPositions(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel() // the test mostly waits
			pusherPositions(t, startClusterWith(t, e.start, nil, allProtocols))
		})
	}
}

// pusherClient is a connection that uses the Pusher protocol.
type pusherClient struct {
	t *testing.T
	c *websocket.Conn
}

func dialPusher(t *testing.T, n *node) pusherClient {
	t.Helper()
	c, err := websocket.Dial(bounded.Context(t), "ws://"+n.address+"/app/dev?protocol=7", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	p := pusherClient{t, c}
	p.read("pusher:connection_established")
	return p
}

// read reads the next message, which must contain the given text.
func (p pusherClient) read(want string) string {
	p.t.Helper()
	m, err := p.c.Read(bounded.Context(p.t))
	if err != nil || !strings.Contains(string(m.Data), want) {
		p.t.Fatalf("%s, %v; want %s in it", m.Data, err, want)
	}
	return string(m.Data)
}

// subscribe subscribes to a channel with ask in the data of the command, and returns the position in the reply.
func (p pusherClient) subscribe(channel, ask, want string) (at struct {
	Epoch  string `json:"epoch"`
	Offset uint64 `json:"offset"`
},
) {
	p.t.Helper()
	command := fmt.Appendf(nil, `{"event":"pusher:subscribe","data":{"channel":%q,%s}}`, channel, ask)
	if err := p.c.Write(bounded.Context(p.t), websocket.Message{Type: websocket.Text, Data: command}); err != nil {
		p.t.Fatal(err)
	}
	text := p.read(want)
	var e struct{ Data string }
	d := struct{ Position any }{&at}
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		p.t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(e.Data), &d); err != nil {
		p.t.Fatal(err)
	}
	return at
}

func pusherPositions(t *testing.T, c *cluster) {
	const again, lost = `\"recovered\":true`, `\"recovered\":false`
	first := dialPusher(t, c.nodes[0])
	begin := first.subscribe("x", `"recover":true`, `\"position\":`)
	publisher := newClient(t, []*node{c.nodes[1]}, nil)
	for n := range 3 {
		if _, err := publisher.Publish(bounded.Context(t), "x", fmt.Appendf(nil, "%d", n), nil); err != nil {
			t.Fatal(err)
		}
		first.read(fmt.Sprintf(`"data":"%d"`, n))
	}
	since, err := json.Marshal(begin)
	if err != nil {
		t.Fatal(err)
	}
	second := dialPusher(t, c.nodes[2])
	second.subscribe("x", `"since":`+string(since), again)
	for n := range 3 {
		second.read(fmt.Sprintf(`"data":"%d"`, n))
	}
	second.read("pusher_internal:position")
	top := dialPusher(t, c.nodes[1]).subscribe("x", `"recover":true`, `\"position\":`)
	for _, since := range []string{
		fmt.Sprintf(`{"epoch":%q,"offset":%d}`, top.Epoch, top.Offset+1),
		fmt.Sprintf(`{"epoch":%q,"offset":9007199254740993}`, top.Epoch),
		fmt.Sprintf(`{"epoch":%q,"offset":18446744073709551615}`, top.Epoch),
		fmt.Sprintf(`{"epoch":%q,"offset":%d}`, top.Epoch+"0", top.Offset),
		fmt.Sprintf(`{"epoch":"","offset":%d}`, top.Offset),
		`{"epoch":"\u0000 {x}*:>\r\n","offset":1}`,
		`{"epoch":"` + strings.Repeat("e", 5000) + `","offset":0}`,
	} {
		p := dialPusher(t, c.nodes[0])
		if at := p.subscribe("x", `"since":`+since, lost); at != top {
			t.Errorf("%.100s: at %+v, want %+v", since, at, top)
		}
	}
}
