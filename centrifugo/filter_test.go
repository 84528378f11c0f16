package centrifugo

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/centrifugal/protocol"

	"github.com/handfast/handfast/hub"
)

func TestFilters(t *testing.T) {
	nested := func(depth int) string {
		return strings.Repeat(`{"op":"not","nodes":[`, depth-1) + `{"key":"a","cmp":"ex"}` + strings.Repeat(`]}`, depth-1)
	}
	for _, c := range []struct {
		filter, passes, fails string // tags; "" is skipped
	}{
		{`{"key":"a","cmp":"eq","val":"1"}`, `{"a":"1"}`, `{"a":"2"}`},
		{`{"key":"a","cmp":"eq"}`, `{"a":""}`, `{}`},
		{`{"key":"a","cmp":"neq","val":"1"}`, `{}`, `{"a":"1"}`},
		{`{"key":"a","cmp":"in","vals":["1","2"]}`, `{"a":"2"}`, `{"a":"3"}`},
		{`{"key":"a","cmp":"in","vals":["1",""]}`, `{}`, `{"a":"3"}`},
		{`{"key":"a","cmp":"nin","vals":["1","2"]}`, `{}`, `{"a":"1"}`},
		{`{"key":"a","cmp":"ex"}`, `{"a":""}`, `{"b":""}`},
		{`{"key":"a","cmp":"nex"}`, `{"b":""}`, `{"a":""}`},
		{`{"key":"a","cmp":"sw","val":"ab"}`, `{"a":"abc"}`, `{"a":"bab"}`},
		{`{"key":"a","cmp":"ew","val":"bc"}`, `{"a":"abc"}`, `{"a":"bcd"}`},
		{`{"key":"a","cmp":"ct","val":"b"}`, `{"a":"abc"}`, `{"a":"ac"}`},
		{`{"key":"a","cmp":"ct"}`, `{"a":"abc"}`, `{}`},
		{`{"key":"a","cmp":"lt","val":"10"}`, `{"a":"9.5"}`, `{"a":"10"}`},
		{`{"key":"a","cmp":"lte","val":"10"}`, `{"a":"10.0"}`, `{"a":"10.1"}`},
		{`{"key":"a","cmp":"gt","val":"-1"}`, `{"a":"0"}`, `{"a":"-1"}`},
		{`{"key":"a","cmp":"gte","val":"1e2"}`, `{"a":"100"}`, `{"a":"99"}`},
		{`{"key":"a","cmp":"gt","val":"1"}`, ``, `{"a":"inf"}`},
		{`{"key":"a","cmp":"gt","val":"1"}`, ``, `{"a":"0x10"}`},
		{`{"key":"a","cmp":"gt","val":"1"}`, ``, `{}`},
		{`{"key":"a","cmp":"lt","val":"x"}`, ``, `{"a":"1"}`},
		{`{"op":"and","nodes":[{"key":"a","cmp":"ex"},{"key":"b","cmp":"ex"}]}`, `{"a":"","b":""}`, `{"a":""}`},
		{`{"op":"or","nodes":[{"key":"a","cmp":"ex"},{"key":"b","cmp":"ex"}]}`, `{"b":""}`, `{"c":""}`},
		{`{"op":"not","nodes":[{"key":"a","cmp":"ex"}]}`, `{}`, `{"a":""}`},
		{nested(maxFilterDepth - 1), `{"a":""}`, `{}`},
		{nested(maxFilterDepth + 1), ``, ``},
		{`{}`, ``, ``},
		{`{"cmp":"eq","val":"1"}`, ``, ``},
		{`{"key":"a","cmp":"like","val":"1"}`, ``, ``},
		{`{"op":"and"}`, ``, ``},
		{`{"op":"or"}`, ``, ``},
		{`{"op":"xor","nodes":[{"key":"a","cmp":"ex"}]}`, ``, ``},
		{`{"op":"not","nodes":[{"key":"a","cmp":"ex"},{"key":"b","cmp":"ex"}]}`, ``, ``},
		{`{"op":"and","nodes":[{"key":"a","cmp":"bad"}]}`, ``, ``},
		{`{"key":"a","cmp":"in","vals":["1"` + strings.Repeat(`,"1"`, maxFilter) + `]}`, ``, ``},
		{`{"op":"and","nodes":[{"key":"a","cmp":"ex"}` + strings.Repeat(`,{"key":"a","cmp":"ex"}`, maxFilter) + `]}`, ``, ``},
		{`{"key":"a","cmp":"sw","val":"` + strings.Repeat("b", maxFilterSize-1) + `"}`, `{"a":"` + strings.Repeat("b", maxFilterSize) + `"}`, `{}`},
		{`{"key":"a","cmp":"sw","val":"` + strings.Repeat("b", maxFilterSize) + `"}`, ``, ``},
		{`{"key":"` + strings.Repeat("b", maxFilterSize+1) + `","cmp":"ex"}`, ``, ``},
		{`{"key":"a","cmp":"in","vals":["1","` + strings.Repeat("b", maxFilterSize) + `"]}`, ``, ``},
		{`{"op":"or","nodes":[{"key":"a","cmp":"ex"},{"key":"a","cmp":"sw","val":"` + strings.Repeat("b", maxFilterSize-1) + `"}]}`, ``, ``},
	} {
		n := new(protocol.FilterNode)
		if err := json.Unmarshal([]byte(c.filter), n); err != nil {
			t.Fatal(c.filter, err)
		}
		f, err := filterOf(n, false)
		if valid := c.passes+c.fails != ""; valid != (err == nil) {
			t.Errorf("%s: %v", c.filter, err)
			continue
		}
		for text, want := range map[string]bool{c.passes: true, c.fails: false} {
			if text == "" {
				continue
			}
			p := new(hub.Publication)
			if err := json.Unmarshal([]byte(text), &p.Tags); err != nil {
				t.Fatal(err)
			}
			if f(p) != want {
				t.Errorf("%s with %s: %v", c.filter, text, !want)
			}
		}
	}
}

// A client gets the publications that pass its filter, live and recovered, without deltas.
func TestFilteredSubscription(t *testing.T) {
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	url := serve(t, newServer(t), Client{Anonymous: true}, true)
	p, _ := connected(t, url)
	const filter = `"tf":{"key":"kind","cmp":"eq","val":"x"}`
	publish := func(n, kind string) {
		call(t, url, "publish", "secret", `{"channel":"a","data":`+n+`,"tags":{"kind":"`+kind+`"}}`)
	}
	p.send(`{"id":2,"subscribe":{"channel":"a","delta":"fossil",` + filter + `}}`)
	p.want(`{"id":2,"subscribe":{"recoverable":true,"positioned":true,"epoch":"*"}}`)
	publish("1", "y")
	publish("2", "x")
	p.want(`{"push":{"channel":"a","pub":{"data":2,"offset":2,"tags":{"kind":"x"}}}}`)
	p.send(`{"id":3,"unsubscribe":{"channel":"a"}}`)
	p.read()
	publish("3", "y")
	publish("4", "x")
	p.send(`{"id":4,"subscribe":{"channel":"a","recover":true,"offset":2,` + filter + `}}`)
	p.want(`{"id":4,"subscribe":{"recoverable":true,"positioned":true,"epoch":"*","offset":4,"recovered":true,"was_recovering":true,` +
		`"publications":[{"data":4,"offset":4,"tags":{"kind":"x"}}]}}`)
	p.send(`{"id":5,"subscribe":{"channel":"b","tf":{"op":"xor"}}}`)
	p.want(`{"id":5,"error":{"code":107,"message":"bad request"}}`)
	p.send(`{"id":6,"subscribe":{"channel":"b","type":4,` + filter + `}}`)
	p.want(`{"id":6,"error":{"code":108,"message":"not available"}}`)
}
