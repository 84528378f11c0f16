package centrifugo

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/centrifugal/protocol"
)

// connected dials, and also returns the ID of the connection.
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

// When the connections of a user are closed, those in the whitelist stay open.
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
	if !matchesPattern(got, `{"error":{"code":106,"message":"limit exceeded"}}`) {
		t.Error(got)
	}
	call(t, url, "disconnect", "secret", `{"user":"ann","whitelist":["`+firstID+`"]}`)
	second.wantClose(3503)
}

// Invalid calls are rejected, and change nothing.
func TestRefusedCalls(t *testing.T) {
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	url := serve(t, newServer(t), Client{User: "ann"}, false)
	connected(t, url)
	names := strings.Repeat(`"x",`, maxChannels) + `"x"`
	for _, c := range []struct {
		method, body string
		code         string
	}{
		{"publish", `{"data":1}`, "107"}, {"publish", `{"channel":"a"}`, "107"}, {"publish", `{"channel":"a","b64data":""}`, "107"},
		{"broadcast", `{"channels":[],"data":1}`, "107"}, {"broadcast", `{"channels":[` + names + `],"data":1}`, "107"}, {"broadcast", `{"channels":["a"]}`, "107"},
		{"map_publish", `{"channel":"a","data":1}`, "107"}, {"map_publish", `{"channel":"a","key":"k"}`, "107"}, {"map_remove", `{"channel":"a"}`, "107"},
		{"subscribe", `{"channel":"a"}`, "107"}, {"subscribe", `{"user":"ann"}`, "107"}, {"subscribe", `{"client":"c"}`, "107"},
		{"subscribe", `{"user":"ann","channel":"a","b64info":"eA=="}`, "107"}, {"subscribe", `{"user":"ann","channel":"a","b64data":"eA=="}`, "107"},
		{"unsubscribe", `{"channel":"a"}`, "107"}, {"unsubscribe", `{"user":"ann"}`, "107"}, {"disconnect", `{}`, "107"}, {"refresh", `{}`, "107"},
		{"disconnect", `{"user":"ann","disconnect":{"code":2999,"reason":"x"}}`, "107"}, {"disconnect", `{"user":"ann","disconnect":{"code":5000,"reason":"x"}}`, "107"},
		{"disconnect", `{"user":"ann","disconnect":{"code":3000,"reason":"` + strings.Repeat("x", 124) + `"}}`, "107"},
		{"disconnect", `{"user":"ann","whitelist":[` + names + `]}`, "106"},
		{"history", `{"channel":"a","reverse":true,"since":{"epoch":"e"}}`, "107"}, {"channels", `{"pattern":"["}`, "107"},
	} {
		if status, got := call(t, url, c.method, "secret", c.body); status != 200 || !strings.HasPrefix(got, `{"error":{"code":`+c.code+",") {
			t.Errorf("%s %.100s: %d %s", c.method, c.body, status, got)
		}
	}
	if status, got := call(t, url, "history", "secret", `{"channel":"a","limit":10}`); status != 200 || !matchesPattern(got, `{"result":{"publications":[],"epoch":"*","offset":0}}`) {
		t.Errorf("%d %s", status, got)
	}
}

// Data and info may be JSON or, in base64, anything that the format allows.
func TestPayloads(t *testing.T) {
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	url := serve(t, newServer(t), Client{User: "ann"}, false)
	p, _ := connected(t, url)
	for channel, c := range map[string]struct{ more, data, info string }{
		"a": {`"info":{"i":1},"data":{"d":1}`, `,"data":{"d":1}`, `"conn_info":{"i":1},`}, "b": {`"b64info":"MQ==","b64data":"Mg=="`, `,"data":2`, `"conn_info":1,`},
		"c": {`"info":1,"b64info":"Mg==","data":1,"b64data":"Mg=="`, `,"data":2`, `"conn_info":2,`}, "d": {`"x":1`, "", ""},
	} {
		if _, got := call(t, url, "subscribe", "secret", `{"user":"ann","channel":"`+channel+`",`+c.more+`}`); strings.TrimSpace(got) != `{"result":{}}` {
			t.Fatal(got)
		}
		p.want(`{"push":{"channel":"` + channel + `","subscribe":{"recoverable":true,"positioned":true,"epoch":"*"` + c.data + `}}}`)
		_, got := call(t, url, "presence", "secret", `{"channel":"`+channel+`"}`)
		if c.info != "" && !strings.Contains(got, strings.TrimSuffix(c.info, ",")) || c.info == "" && strings.Contains(got, "info") {
			t.Errorf("%s: %s", channel, got)
		}
	}
	for body, want := range map[string]string{`"data":{"a":1}`: `{"a":1}`, `"b64data":"eyJhIjoxfQ=="`: `{"a":1}`, `"b64data":"/w=="`: `"/w=="`, `"b64data":"eA=="`: `"eA=="`} {
		if _, got := call(t, url, "publish", "secret", `{"channel":"d",`+body+`}`); !strings.Contains(got, `"offset"`) {
			t.Error(got)
		}
		if got := p.read(); !strings.Contains(got, `"data":`+want) {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
	if _, got := call(t, url, "publish", "secret", `{"channel":"d","data":1,"skip_history":true}`); strings.TrimSpace(got) != `{"result":{}}` {
		t.Error(got)
	}
	p.read()
	if _, got := call(t, url, "map_publish", "secret", `{"channel":"d","data":1,"key":"k","tags":{"t":"1"},"idempotency_key":"i"}`); !strings.Contains(got, `"offset":5`) {
		t.Error(got)
	}
	if got := p.read(); !strings.Contains(got, `"key":"k"`) || !strings.Contains(got, `"tags":{"t":"1"}`) {
		t.Error(got)
	}
	if _, got := call(t, url, "map_publish", "secret", `{"channel":"d","data":1,"key":"k","idempotency_key":"i"}`); !strings.Contains(got, `"offset":5`) {
		t.Error(got)
	}
	if _, got := call(t, url, "map_remove", "secret", `{"channel":"d","key":"k","idempotency_key":"j"}`); !strings.Contains(got, `"offset":6`) {
		t.Error(got)
	}
	if got := p.read(); !strings.Contains(got, `"removed":true`) {
		t.Error(got)
	}
}
