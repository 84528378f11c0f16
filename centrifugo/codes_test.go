package centrifugo

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/websocket"
)

// failingEngine is an engine that rejects every subscription.
type failingEngine struct{ hub.Engine }

func (failingEngine) Subscribe(context.Context, ...string) error { return errors.New("out of reach") }

// Every action of a client, and every event that affects it, leads to the right code of the protocol.
func TestCodes(t *testing.T) {
	const connect = `{"id":1,"connect":{}}`
	put := func(channels ...string) string {
		return quoted(`{"id":1,"connect":{"token":"TOKEN"}}`, token(t, "secret", jwt.MapClaims{"sub": "ann", "channels": channels}))
	}
	revoked := func(context.Context, *Token) error { return ErrRevoked }
	unknown := func(context.Context, *Token) error { return errors.New("the store does not answer") }
	for name, c := range map[string]struct {
		client Client
		change func(*Server)
		send   string
		code   websocket.Code // the expected close code; 0 means that the client gets a reply
		reply  string         // the reply to the last command
	}{
		"no credential":             {send: connect, code: 3500},
		"expired credential":        {client: Client{User: "ann", Expires: time.Now().Add(-time.Second)}, send: connect, reply: `{"id":1,"error":{"code":110,"message":"expired"}}`},
		"revoked token":             {client: Client{CheckRevoked: revoked}, send: put(), reply: `{"id":1,"error":{"code":109,"message":"token expired"}}`},
		"revoked meanwhile":         {client: Client{Identified: func(*Token) error { return ErrRevoked }}, send: put(), reply: `{"id":1,"error":{"code":109,"message":"token expired"}}`},
		"not known to be revoked":   {client: Client{CheckRevoked: unknown}, send: put(), reply: `{"id":1,"error":{"code":100,"message":"internal server error","temporary":true}}`},
		"user's connections":        {client: Client{Identified: func(*Token) error { return ErrTooMany }}, send: put(), code: 3504},
		"denied user":               {client: Client{Identified: func(*Token) error { return errors.New("no") }}, send: put(), code: 3507},
		"user of another token":     {client: Client{User: "bob"}, send: put(), code: 3500},
		"channels of a token":       {send: put("1", "2", "3", "4", "5"), code: 3505},
		"channel of a token":        {send: put(strings.Repeat("x", hub.MaxChannel+1)), code: 3501},
		"engine":                    {change: func(s *Server) { s.Hub = brokenHub(t) }, send: put("1"), code: 3004},
		"shutdown":                  {change: func(s *Server) { s.Hub.Close() }, send: put(), code: 3001},
		"send":                      {client: Client{Anonymous: true}, send: connect + "\n" + `{"send":{"data":1}}`, code: 3508},
		"sends":                     {client: Client{Anonymous: true}, change: withCommandRate, send: connect + strings.Repeat("\n"+`{"send":{"data":1}}`, 20), code: 3013},
		"commands":                  {client: Client{Anonymous: true}, change: withCommandRate, send: connect + strings.Repeat("\n"+`{"id":2,"rpc":{}}`, 20), reply: `{"id":2,"error":{"code":111,"message":"too many requests","temporary":true}}`},
		"subscription":              {client: Client{Anonymous: true}, send: connect + "\n" + `{"id":2,"subscribe":{"channel":"$a"}}`, reply: `{"id":2,"error":{"code":103,"message":"permission denied"}}`},
		"a frame of another type":   {client: Client{Anonymous: true}, send: "\x00", code: 3501},
		"method":                    {client: Client{Anonymous: true}, send: connect + "\n" + `{"id":2,"ping":{}}`, reply: `{"id":2,"error":{"code":104,"message":"method not found"}}`},
		"subscriptions of a client": {client: Client{Anonymous: true}, send: connect + "\n" + subscribes("1", "2", "3", "4", "5"), reply: `{"id":2,"error":{"code":106,"message":"limit exceeded"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			if c.change != nil {
				c.change(s)
			}
			p := dial(t, serve(t, s, c.client, true), asJSON)
			p.send(c.send)
			if c.code != 0 {
				p.wantClose(c.code)
				return
			}
			for range strings.Count(c.send, "\n") {
				p.read()
			}
			p.want(c.reply)
		})
	}
}

// brokenHub returns a hub whose engine fails.
func brokenHub(t *testing.T) *hub.Hub {
	h := hub.New(hub.Options{Engine: failingEngine{hub.NewMemory().Node()}})
	t.Cleanup(func() { h.Close() })
	return h
}

// withCommandRate allows two commands in a burst, and one per second.
func withCommandRate(s *Server) {
	s.CommandsPerSecond = 1
	s.Message = func(context.Context, Caller, []byte) {}
}

func subscribes(channels ...string) string {
	return `{"id":2,"subscribe":{"channel":"` + strings.Join(channels, `"}}`+"\n"+`{"id":2,"subscribe":{"channel":"`) + `"}}`
}
