package explain

import (
	"strings"
	"testing"
)

// Every code of an early close has an explanation, and every code to which a client can react has a step for the client.
func TestExplainCloseCode(t *testing.T) {
	const none, credential, later = "", "a valid credential", "Reconnect later"
	for _, tt := range []struct {
		code        int
		means, step string
	}{
		{1000, "normal closure", none}, {1001, "going away", later}, {1002, "protocol error", "subprotocol"}, {1009, "too big", "smaller"}, {1003, "type of data", none},
		{1004, "not registered", none}, {1008, "policy", credential}, {1011, "server failed", none}, {1012, "restarting", later},
		{1013, "overloaded", later}, {1014, "gateway", none}, {2999, "not registered", none}, {3000, "unauthorized", credential},
		{3001, "not registered", none}, {3003, "forbidden", credential}, {3008, "timeout", none}, {3999, "not registered", none},
		{4000, "the application's", none}, {4399, "the application's", none}, {4400, "HTTP status 400", none},
		{4401, "HTTP status 401", credential}, {4403, "HTTP status 403", credential}, {4404, "HTTP status 404", none},
		{4406, "subprotocol", "graphql-transport-ws"}, {4429, "HTTP status 429", later}, {4503, "HTTP status 503", later}, {4599, "HTTP status 599", none},
		{4600, "the application's", none}, {4999, "the application's", none}, {5000, "not registered", none},
	} {
		for _, reason := range []string{"", "because"} {
			var d Diagnosis
			explainCloseCode(&Report{Close: &Close{Code: tt.code, Reason: reason}}, Finding{}, &d)
			wantReason := "gave no reason"
			if reason != "" {
				wantReason = `the reason "because"`
			}
			if !strings.Contains(d.Cause, tt.means) || !strings.Contains(d.Cause, wantReason) {
				t.Errorf("%d: %q", tt.code, d.Cause)
			}
			if steps := strings.Join(d.ForClient, "\n"); !strings.Contains(steps, tt.step) || (steps == "") != (tt.step == none) {
				t.Errorf("%d: steps %q, want %q", tt.code, steps, tt.step)
			}
		}
	}
	var d Diagnosis
	explainCloseCode(&Report{}, Finding{}, &d)
	if d.Cause != "" || d.ForClient != nil {
		t.Errorf("without a close frame: %+v", d)
	}
}

// A product is recognized by what only it sends: its name, its Via value, or an error page of its own.
func TestProductOf(t *testing.T) {
	page := func(name string) string { return "<html><h1>400 Bad Request</h1><hr>" + name + "/1.2</html>" }
	for _, tt := range []struct {
		name, server, via, body string
		status                  int
		want                    string
	}{
		{"Server", "nginx/1.22", "", "", 101, "nginx"},
		{"Server begins with it", "my-nginx", "", "", 502, ""},
		{"Via", "app", "1.1 Caddy", "", 200, "Caddy"},
		{"Server before a page", "Apache", "", page("nginx"), 400, "Apache"},
		{"its page", "", "", page("nginx"), 400, "nginx"},
		{"its page, 502", "", "", page("nginx"), 502, "nginx"},
		{"a page that is no error", "", "", page("nginx"), 399, ""},
		{"a page about it", "", "", page("nginx") + strings.Repeat(" more words", 9), 400, ""},
		{"its words", "", "", "<p>No server is available to handle this request.</p>", 503, "HAProxy"},
		{"nothing", "", "", "Bad Gateway", 502, ""},
	} {
		a := &Response{Status: tt.status, Body: tt.body}
		for _, f := range [][2]string{{"Server", tt.server}, {"Via", tt.via}} {
			if f[1] != "" {
				a.Header = append(a.Header, Field{Name: f[0], Value: f[1]})
			}
		}
		got := ""
		if p := productOf(a); p != nil {
			got = p.name
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	if p := productOf(nil); p != nil {
		t.Errorf("without an answer: %s", p.name)
	}
}
