package explain_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/handfast/handfast/explain"
	"github.com/handfast/handfast/websocket"
)

// explainURL explains the WebSocket at a path of an HTTP server, and ignores the environment's proxy settings.
func explainURL(t *testing.T, server, path string) *explain.Report {
	t.Helper()
	return explain.Explain(t.Context(), "ws"+strings.TrimPrefix(server, "http")+path, &explain.Options{
		Proxy:       func(*http.Request) (*url.URL, error) { return nil, nil }, // for a Proxy function, a nil URL means no proxy
		NoProbes:    true,
		Credentials: explain.Credentials{Bearer: "secret-of-this-run"},
	})
}

// A report about a server is compared with a report about the same server behind a proxy that changes the response.
func TestCompareWithAndWithoutAProxy(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/open", "/stripped":
			conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Origins: []string{"*"}})
			if err != nil {
				return
			}
			defer conn.CloseNow()
			for _, err := range conn.Messages(r.Context()) {
				if err != nil {
					return
				}
			}
		case "/moved":
			w.Header().Set("Location", "https://one.example/ws")
			w.WriteHeader(http.StatusTemporaryRedirect)
		case "/challenge":
			w.Header().Set("WWW-Authenticate", `Bearer realm="one"`)
			w.WriteHeader(http.StatusUnauthorized)
		case "/version":
			w.Header().Set("Sec-WebSocket-Version", "8")
			w.WriteHeader(http.StatusBadRequest)
		default: // the body repeats a part of the request
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, "%sthe user of %s is not a member", strings.Repeat("ä", 300), r.Header.Get("Authorization"))
		}
	}))
	t.Cleanup(server.Close)
	target, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(target)
			p.Out.Host = p.In.Host
			if p.In.URL.Path == "/stripped" {
				p.Out.Header.Del("Upgrade")
			}
		},
		ModifyResponse: func(a *http.Response) error {
			for name, value := range map[string]string{
				"Location": "https://two.example/ws", "Www-Authenticate": `Basic realm="two"`, "Sec-Websocket-Version": "7",
			} {
				if a.Header.Get(name) != "" && a.StatusCode != http.StatusUpgradeRequired {
					a.Header.Set(name, value)
				}
			}
			return nil
		},
	}
	proxy := httptest.NewServer(forward)
	t.Cleanup(proxy.Close)
	for _, c := range []struct {
		path        string
		differences []explain.Difference // differences that must be reported; nil means that there must be none
		same        []string
	}{
		{"/open", nil, []string{"outcome", "answer", "reason", "headers", "body"}},
		{"/moved", []explain.Difference{{"location", "https://one.example/ws", "https://two.example/ws"}}, []string{"answer", "challenges"}},
		{"/challenge", []explain.Difference{{"challenges", `Bearer realm="one"`, `Basic realm="two"`}}, []string{"answer", "location"}},
		{"/version", []explain.Difference{{"versions", "8", "7"}}, []string{"answer", "location"}},
		{"/stripped", []explain.Difference{
			{"outcome", "opened", "did not open"}, {"answer", "101", "426"}, {"reason", "Switching Protocols", "Upgrade Required"},
		}, []string{"tls", "location"}},
		{"/member", nil, []string{"answer", "body"}},
	} {
		got := explain.Compare(explainURL(t, server.URL, c.path), explainURL(t, proxy.URL, c.path))
		for _, want := range c.differences {
			if !slices.Contains(got.Differences, want) {
				t.Errorf("%s: %+v is not in %+v", c.path, want, got.Differences)
			}
		}
		for _, name := range c.same {
			if !slices.Contains(got.Same, name) {
				t.Errorf("%s: %s is not in %q", c.path, name, got.Same)
			}
		}
		if c.differences == nil && len(got.Differences) > 0 {
			t.Errorf("%s: %+v", c.path, got.Differences)
		}
	}
}

// Compare finds a difference only in the reason phrase, and a difference only in the body. The quotes of the bodies begin shortly before
// the difference, and are redacted and truncated.
func TestCompareReasonAndBody(t *testing.T) {
	report := func(reason, body string) *explain.Report {
		return &explain.Report{Response: &explain.Response{Status: 403, Reason: reason, Body: body}}
	}
	for _, c := range []struct {
		a, b *explain.Report
		want []explain.Difference
	}{
		{report("Forbidden", "no\n"), report("Forbidden", "no"), nil},
		{report("Forbidden", "no"), report("Not You", "no"), []explain.Difference{{"reason", "Forbidden", "Not You"}}},
		{report("", "no"), report("", ""), []explain.Difference{{"body", "no", ""}}},
		{report("", "no\nmember"), report("", "no\nuser"), []explain.Difference{{"body", `no\nmember`, `no\nuser`}}},
		{report("", strings.Repeat("ä", 40)+"x"), report("", strings.Repeat("ä", 40)+"y"),
			[]explain.Difference{{"body", "…" + strings.Repeat("ä", 12) + "x", "…" + strings.Repeat("ä", 12) + "y"}}},
		{report("", "x"+strings.Repeat("ä", 40)), report("", "x"+strings.Repeat("ä", 40)+"!"),
			[]explain.Difference{{"body", "…" + strings.Repeat("ä", 12), "…" + strings.Repeat("ä", 12) + "!"}}},
		{&explain.Report{}, report("", "no"), []explain.Difference{{"answer", "", "403"}, {"body", "", "no"}}},
	} {
		if got := explain.Compare(c.a, c.b); !slices.Equal(got.Differences, c.want) {
			t.Errorf("%+v, want %+v", got.Differences, c.want)
		}
	}
	long := explain.Compare(report("", "a"+strings.Repeat("x", 4000)), report("", "b"+strings.Repeat("x", 4000)))
	if d := long.Differences; len(d) != 1 || len(d[0].A) > 200 || len(d[0].B) > 200 {
		t.Errorf("a long body: %+v", d)
	}

	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, "%s may not use %s", r.Header.Get("Authorization"), r.URL.Path)
	}))
	t.Cleanup(s.Close)
	c := explain.Compare(explainURL(t, s.URL, "/one"), explainURL(t, s.URL, "/two"))
	var text bytes.Buffer
	if err := c.WriteText(&text); err != nil || strings.Contains(text.String(), "secret-of-this-run") || !strings.Contains(text.String(), "may not use /two") {
		t.Errorf("%v\n%s", err, &text)
	}
}
