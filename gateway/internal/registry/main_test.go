package registry

import (
	"net/netip"
	"os"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/wstest"
)

func TestMain(m *testing.M) { os.Exit(bounded.Main(m)) }

func admit(t *testing.T, g *Registry, e *Entry) {
	t.Helper()
	if err := g.Admit(e); err != nil {
		t.Fatal(err)
	}
}

// member is a connection in a registry, with its client.
type member struct {
	*Entry
	client *websocket.Conn
	ended  chan error // the final error of the client's Read
	got    chan string
}

// join opens a connection in g and serves it until it is closed.
func join(t *testing.T, g *Registry, e *Entry) *member {
	t.Helper()
	if !e.Addr.IsValid() {
		e.Addr = netip.MustParseAddr("192.0.2.1")
	}
	if err := g.Enter(e, Bounds{}); err != nil {
		t.Fatal(err)
	}
	client, server := wstest.Pipe(t, nil)
	m := &member{Entry: e, client: client, ended: make(chan error, 1), got: make(chan string, 10)}
	go func() {
		for {
			msg, err := client.Read(bounded.Context(t))
			if err != nil {
				m.ended <- err
				return
			}
			m.got <- string(msg.Data)
		}
	}()
	admit(t, g, e)
	if !g.Open(e, server) {
		g.Leave(e)
		return m
	}
	go func() {
		for {
			if _, err := server.Read(bounded.Context(t)); err != nil {
				break
			}
		}
		g.Leave(e)
	}()
	return m
}

// code waits for the end of a connection, and returns the close code that its client received.
func (m *member) code() websocket.Code { return websocket.CloseCode(<-m.ended) }
