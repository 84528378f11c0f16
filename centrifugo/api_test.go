package centrifugo

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/centrifugal/protocol"
)

// connected dials and returns the ID of the connection, too.
func connected(t *testing.T, url string) (*peer, string) {
	t.Helper()
	p := dial(t, url, asJSON)
	p.send(`{"id":1,"connect":{}}`)
	var r protocol.Reply
	if err := json.Unmarshal([]byte(p.read()), &r); err != nil || r.Connect == nil {
		t.Fatalf("%+v, %v", &r, err)
	}
	return p, r.Connect.Client
}

// The connections of a whitelist stay when all others of their user are closed.
func TestDisconnectWhitelist(t *testing.T) {
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	url := serve(t, newServer(t), Client{User: "ann"}, false)
	first, firstID := connected(t, url)
	second, secondID := connected(t, url)
	third, _ := connected(t, url)
	fourth, _ := connected(t, url)
	_, got := call(t, url, "disconnect", "secret", `{"user":"ann","whitelist":["`+firstID+`","`+secondID+`"]}`)
	if got != `{"result":{}}`+"\n" {
		t.Error(got)
	}
	third.wantClose(3503)
	fourth.wantClose(3503)
	for _, p := range []*peer{first, second} {
		p.send(`{"id":2,"presence_stats":{"channel":"a"}}`)
		p.want(`{"id":2,"presence_stats":{"num_clients":0,"num_users":0}}`)
	}
	_, got = call(t, url, "disconnect", "secret", `{"user":"ann","whitelist":["x"`+strings.Repeat(`,"x"`, maxChannels)+`]}`)
	if !fits(got, `{"error":{"code":106,"message":"limit exceeded"}}`) {
		t.Error(got)
	}
	call(t, url, "disconnect", "secret", `{"user":"ann","whitelist":["`+firstID+`"]}`)
	second.wantClose(3503)
}
