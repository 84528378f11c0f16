package gateway

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/handfast/handfast/websocket"
)

// A request is served by the endpoint that names its host, ignoring case and port, or else by the endpoint for all hosts.
func TestHosts(t *testing.T) {
	a, b := newBackend(t, "a"), newBackend(t, "b")
	to := func(name, hosts string, server *backend) string {
		return "\n\t- {name: " + name + ", path: /, hosts: [" + hosts + "], auth: [anonymous], target: {balance: {to: ['" + server.id() + "'], health: off}}}"
	}
	r := run(t, parse(t, "apps: [{id: dev}]\nendpoints:"+to("a", "a.example, www.a.example", a)+to("b", "b.example", b)+
		"\n\t- {name: echo, path: /echo, target: echo, auth: [anonymous]}"+
		"\n\t- {name: streams, path: /streams/, hosts: [b.example], target: streams, auth: [anonymous], rules: [{do: allow}]}"))
	port := ":" + r.port(t)
	for host, want := range map[string]string{"a.example": "a", "WWW.A.example": "a", "b.example" + port: "b", "B.example": "b"} {
		if _, text := r.greeting(t, "/", &websocket.DialOptions{Header: http.Header{"Host": {host}}}); text[:1] != want {
			t.Errorf("%s: %q", host, text)
		}
		if resp, body := requestPage(t, "GET", r.URLs()[0]+"/x", http.Header{"Host": {host}}); resp.StatusCode != 200 || !strings.HasPrefix(body, "GET "+want) {
			t.Errorf("%s: %s %q", host, resp.Status, body)
		}
	}
	for _, host := range []string{"c.example", "a.example.evil", "127.0.0.1" + port} {
		if e := r.refuse(t, "/", &websocket.DialOptions{Header: http.Header{"Host": {host}}}); e.Status != 404 {
			t.Errorf("%s: %v", host, e)
		}
		if resp, _ := requestPage(t, "PUT", r.URLs()[0]+"/streams/s", http.Header{"Host": {host}}); resp.StatusCode != 404 {
			t.Errorf("%s: %s", host, resp.Status)
		}
		wantEcho(t, r.open(t, "/echo", &websocket.DialOptions{Header: http.Header{"Host": {host}}}))
	}
	if resp, _ := requestPage(t, "PUT", r.URLs()[0]+"/streams/s", http.Header{"Host": {"b.example"}}); resp.StatusCode != 201 {
		t.Error(resp.Status)
	}
	if resp, body := requestPage(t, "PUT", r.URLs()[0]+"/streams/s", http.Header{"Host": {"a.example"}}); !strings.HasPrefix(body, "PUT a") {
		t.Errorf("%s %q", resp.Status, body)
	}
}

// port returns the port of the first listener.
func (r *running) port(t *testing.T) string {
	t.Helper()
	u, err := url.Parse(r.URLs()[0])
	if err != nil {
		t.Fatal(err)
	}
	return u.Port()
}
