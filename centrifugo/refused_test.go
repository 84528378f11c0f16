package centrifugo

import (
	"testing"
	"testing/synctest"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/websocket"
)

// Commands that are not supported or not valid get an error, and the connection continues.
func TestRefusedCommands(t *testing.T) {
	p := dial(t, serve(t, newServer(t), Client{Anonymous: true}, false), asJSON)
	p.send(`{"id":1,"connect":{}}`)
	p.read()
	const notAvailable, badRequest, denied, unrecoverable = `{"code":108,"message":"not available"}`, `{"code":107,"message":"bad request"}`,
		`{"code":103,"message":"permission denied"}`, `{"code":112,"message":"unrecoverable position"}`
	for _, c := range []struct{ command, want string }{
		{`"subscribe":{"channel":"a","type":4}`, notAvailable}, {`"subscribe":{"channel":"a","type":5}`, notAvailable},
		{`"subscribe":{"channel":"a","type":1,"phase":3}`, badRequest},
		{`"subscribe":{"channel":"a","type":1,"phase":2,"cursor":"x"}`, denied}, // there was no first page
		{`"subscribe":{"channel":"a","type":1,"phase":1}`, denied},
		{`"subscribe":{"channel":"none:a","type":1,"phase":1,"recover":true}`, unrecoverable},
		{`"publish":{"channel":"a","type":2,"data":1}`, badRequest}, {`"publish":{"channel":"a","type":1,"data":1}`, badRequest},
		{`"history":{"channel":"none:a"}`, notAvailable}, {`"history":{"channel":"a","reverse":true,"since":{"epoch":"e"}}`, badRequest},
		{`"history":{"channel":"a","since":{"epoch":"another","offset":1}}`, unrecoverable},
		{`"rpc":{"method":"m"}`, notAvailable},
	} {
		p.send(`{"id":2,` + c.command + `}`)
		if got := p.read(); !matchesPattern(got, `{"id":2,"error":`+c.want+`}`) {
			t.Errorf("%s: %s", c.command, got)
		}
	}
	p.send(`{"id":3,"subscribe":{"channel":"a","type":1,"phase":2}}`)
	p.read()
	p.send(`{"id":4,"subscribe":{"channel":"a","type":1,"phase":2}}`)
	p.want(`{"id":4,"error":{"code":105,"message":"already subscribed"}}`)
}

// No timer remains after the end of a session.
func TestClockEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{})
		defer h.Close()
		s := (&Server{Hub: h, App: "dev"}).Open(Client{Anonymous: true})(new(sink)).(*session)
		if err := s.Message(websocket.Message{Type: websocket.Text, Data: []byte(`{"id":1,"connect":{}}`)}); err != nil {
			t.Fatal(err)
		}
		s.Closed(nil)
		if s.clock.timer.Stop() {
			t.Error("the timer is still set")
		}
	})
}
