package gateway

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// The error for a rule contains its position in the file, whatever precedes the condition.
func TestRuleErrorsNameTheirPlace(t *testing.T) {
	for _, tt := range []struct{ rule, want string }{
		{`{when: 'user == ===', do: allow}`, ":9:25:"},
		{`{when: 'user = "a"', do: allow}`, ":9:22: endpoints[0].rules[0].when: the rule cannot be used: unexpected token Operator(\"=\"); did you mean ==?"},
		{`{when: 'user == ===', do: allow, actions: [connect]}`, ":9:25:"},
		{`{when: 'user == ===', do: allow, channels: [a]}`, ":9:25:"},
		{"\n\t\t\t\twhen: |\n\t\t\t\t\tuser == \"a\" or\n\t\t\t\t\tuser == ===\n\t\t\t\tdo: allow\n\t\t\t\tactions: [connect]", ":12:19:"},
		{"\n\t\t\t\twhen: |\n\t\t\t\t\tuser == \"a\" or\n\t\t\t\t\tuser == ===\n\t\t\t\tdo: allow", ":12:19:"},
	} {
		cfg := parse(t, "endpoints:\n\t- name: chat\n\t\tpath: /chat\n\t\ttarget: echo\n\t\tauth: [anonymous]\n\t\trules:\n\t\t\t- "+tt.rule+"\n")
		_, err := Rules(cfg, 0)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.rule, err, tt.want)
		}
	}
}

// Methods that no endpoint uses must be valid.
func TestUnusedMethodsAreMade(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("nothing that anybody wants\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), Options{Config: parse(t, `
auth:
	a: {jwt: {secret: "%s"}}
	z: {basic: {file: "%s"}}
endpoints:
	- {path: /open, target: echo, auth: [anonymous]}
`, key, broken)})
	if err == nil || !strings.Contains(err.Error(), "auth.z") {
		t.Errorf("%v", err)
	}
}

// A server lists its endpoints, counts the outcomes of authentication, and releases what a reload no longer uses.
func TestEndpointsAndOutcomes(t *testing.T) {
	r := run(t, parse(t, users, key))
	var got []string
	for _, e := range r.Endpoints() {
		got = append(got, e.Name+" "+e.Path)
		if e.Anonymous != (e.Path == "/open") {
			t.Errorf("%+v", e)
		}
	}
	if want := "chat /chat"; !strings.Contains(strings.Join(got, ","), want) || len(got) != len(r.site.Load().endpoints) {
		t.Errorf("%q", got)
	}
	r.refuse(t, "/chat", nil)
	r.refuse(t, "/chat", withToken("no token"))
	r.metric(t, `handfast_auth_duration_seconds_count{method="none",outcome="401"} 2`)
	if err := r.Reload(t.Context(), r.with(t, users, key)); err != nil {
		t.Fatal(err)
	}
	if r.site.Load().methods.old != nil {
		t.Error("every site keeps the previous one in memory")
	}
}

// The channels that work without a credential are those in which every client may do everything.
func TestChannelsOpenToAll(t *testing.T) {
	r := run(t, parse(t, users+`
	- {name: channels, path: /a, target: channels, auth: [anonymous], rules: [{do: allow}]}
	- {name: some rules, path: /b, target: channels, auth: [anonymous], rules: [{do: allow, actions: [connect]}]}
	- {name: two rules, path: /c, target: channels, auth: [anonymous], rules: [{do: allow}, {do: allow}]}
	- {name: no rules, path: /d, target: channels, auth: [anonymous]}
	- {name: users, path: /e, target: channels, auth: [users], rules: [{do: allow}]}
	- {name: users too, path: /f, target: channels, auth: [users, anonymous], rules: [{do: allow}]}
	- {name: echo, path: /g, target: echo, auth: [anonymous], rules: [{do: allow}]}
	- {name: other protocol, path: /h/, target: streams, auth: [anonymous], rules: [{do: allow}]}
apps: [{id: main, secret: a}]
`, key))
	var open []string
	for _, e := range r.Endpoints() {
		if e.Channels {
			open = append(open, e.Name)
		}
		if e.Plain != (e.Name == "other protocol") || e.Keyed {
			t.Errorf("%+v", e)
		}
	}
	if !slices.Equal(open, []string{"channels", "users too"}) {
		t.Errorf("%q", open)
	}
}

// The forward auth options match the configuration; a negative duration disables caching.
func TestForwardOptions(t *testing.T) {
	for _, tt := range []struct{ cache, ttl time.Duration }{{0, -1}, {1, 1}, {time.Minute, time.Minute}} {
		o, err := (&methods{}).forwardOptions(&config.Forward{
			URL: "http://127.0.0.1:1/verify", Headers: []string{"X-Session"}, UserHeader: "X-User", Timeout: config.Duration(3 * time.Second),
			Cache: config.Duration(tt.cache), Concurrency: 7, Claims: []config.ForwardClaim{{Header: "X-Groups", Claim: "groups", List: true}},
		})
		if err != nil || o.Address == nil || o.Transport != nil {
			t.Errorf("%+v, %v", o, err)
		}
		o.Address = nil
		want := auth.ForwardOptions{
			URL: "http://127.0.0.1:1/verify", Credentials: []string{"X-Session"}, SubjectHeaders: []string{"X-User"}, Timeout: 3 * time.Second,
			TTL: tt.ttl, InFlight: 7, Claims: []auth.ForwardClaim{{Header: "X-Groups", Claim: "groups", List: true}},
		}
		if !reflect.DeepEqual(o, want) {
			t.Errorf("%+v, want %+v", o, want)
		}
	}
}

// A compression threshold of 0 in the configuration becomes a negative threshold for the library.
func TestCompressionOptions(t *testing.T) {
	for _, tt := range []struct{ size, threshold int }{{0, -1}, {1, 1}, {512, 512}} {
		for _, takeover := range []bool{false, true} {
			got := compression(config.Compression{Enabled: true, Threshold: config.Bytes(tt.size), Takeover: takeover})
			if want := (websocket.Compression{ServerNoTakeover: !takeover, ClientNoTakeover: !takeover, Threshold: tt.threshold}); *got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		}
	}
}

// Compression is off unless the configuration enables it, even if the client offers it.
func TestCompressionIsOffByDefault(t *testing.T) {
	r := run(t, parse(t, `endpoints:
	- {path: /default, target: echo, auth: [anonymous]}
	- {path: /on, target: echo, auth: [anonymous], compression: true}
`))
	offer := &websocket.DialOptions{Conn: websocket.ConnOptions{Compression: &websocket.Compression{}}}
	for path, want := range map[string]string{"/default": "", "/on": "permessage-deflate; server_no_context_takeover; client_no_context_takeover"} {
		if got := r.open(t, path, offer).Handshake().Extensions; got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// Expired credentials are counted, revoked ones are not.
func TestExpiredIsCounted(t *testing.T) {
	r := run(t, parse(t, users, key))
	readCloseError(t, r.openFor(t, time.Second))
	bob := r.open(t, "/chat", withToken(token("bob", time.Hour, nil)))
	if resp, body := requestPage(t, "POST", r.AdminURL()+"/revocations?user=bob", nil); resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	readCloseError(t, bob)
	bounded.Until(t, func() bool { return r.conns.Len() == 0 })
	r.metric(t, "handfast_connections_expired_total 1")
	r.metric(t, "handfast_connections_revoked_total 1")
}

// An admin address without a host is on loopback.
func TestAdminWithoutHost(t *testing.T) {
	cfg := plainConfig("127.0.0.1:0")
	cfg.Admin.Address = ":0"
	s, err := Open(t.Context(), Options{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if u, err := url.Parse(s.AdminURL()); err != nil || u.Hostname() != "127.0.0.1" {
		t.Errorf("%s: %v", s.AdminURL(), err)
	}
}

// The size of a revocation request is limited.
func TestRevocationIsBounded(t *testing.T) {
	r := run(t, parse(t, users, key))
	for size, want := range map[int]int{4 << 10: 200, 4<<10 + 1: 400} {
		body := "user=nobody&x="
		body += strings.Repeat("x", size-len(body))
		req, err := http.NewRequestWithContext(bounded.Context(t), http.MethodPost, r.AdminURL()+"/revocations", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%d bytes: %d, want %d", size, resp.StatusCode, want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// Only a request that may contain a credential for a blocking method waits for that method.
func TestShownTo(t *testing.T) {
	remote := &config.JWT{JWKSURL: "https://id.example/keys"}
	with := func(name, value string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, "/chat", http.NoBody)
		r.Header.Set(name, value)
		return r
	}
	for _, tt := range []struct {
		name      string
		cfg       config.Method
		shown, no *http.Request
	}{
		{"jwt", config.Method{JWT: remote}, httptest.NewRequest(http.MethodGet, "/chat?t=x", http.NoBody), with("Authorization", "Bearer x")},
		{"basic", config.Method{Basic: &config.Basic{}}, with("Authorization", "Basic YTpi"), with("Authorization", "Bearer x")},
		{"cookie", config.Method{Cookie: &config.Cookie{Name: "s", Forward: &config.Forward{}}}, with("Cookie", "s=1"), with("Cookie", "t=1")},
		{"cookie with a token", config.Method{Cookie: &config.Cookie{Name: "s", JWT: remote}}, with("Cookie", "s=1"), with("Cookie", "t=1")},
		{"forward", config.Method{Forward: &config.Forward{Headers: []string{"X-Session"}}}, with("X-Session", "1"), with("X-Other", "1")},
	} {
		shown := credentialMatcher(&tt.cfg, []auth.Source{auth.Query("t")})
		if shown == nil || !shown(tt.shown) || shown(tt.no) {
			t.Errorf("%s: %v", tt.name, shown != nil)
		}
	}
	if credentialMatcher(&config.Method{JWT: &config.JWT{}}, nil) != nil {
		t.Error("a token that is verified with a local key waits")
	}
}

// A reload keeps the certificates of a listener whose settings have not changed.
func TestCertificatesAreKept(t *testing.T) {
	cfg := config.TLS{Mode: config.TLSFiles, MinVersion: "1.3"}
	same := &certSource{cfg: cfg}
	got, err := (&builder{}).openCerts(cfg, []*certSource{nil, {cfg: config.TLS{Mode: config.TLSFiles}}, same})
	if err != nil || got != same {
		t.Errorf("%v, %v", got, err)
	}
}
