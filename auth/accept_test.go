package auth

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/internal/redact"
	"github.com/handfast/handfast/websocket"
)

// refusals collects the errors of a server's failed handshakes.
type refusals chan error

// guarded starts a server with the subprotocols chat and news, which sends every client its identity, and then waits until the
// connection ends.
func guarded(t *testing.T, g *Guard) (url string, failed refusals) {
	t.Helper()
	failed = make(refusals, 10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, id, err := g.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"chat", "news"}, Origins: []string{origin}})
		if err != nil {
			failed <- err
			return
		}
		defer c.CloseNow()
		c.Write(r.Context(), websocket.Message{Type: websocket.Text, Data: []byte(id.Subject + " by " + id.Method)})
		c.Read(r.Context())
	}))
	t.Cleanup(s.Close)
	return s.URL, failed
}

// dialAndRead opens a connection with the given subprotocols and header fields, and returns the server's first message.
func dialAndRead(t *testing.T, url string, protocols []string, fields ...string) (*websocket.Conn, string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	h := http.Header{}
	for i := 0; i < len(fields); i += 2 {
		h.Add(fields[i], fields[i+1])
	}
	c, err := websocket.Dial(ctx, url, &websocket.DialOptions{Header: h, Subprotocols: protocols})
	if err != nil {
		return nil, "", err
	}
	t.Cleanup(func() { c.CloseNow() })
	m, err := c.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return c, string(m.Data), nil
}

// Tokens of a real issuer are accepted in every supported place, in real handshakes.
func TestGuardEndToEnd(t *testing.T) {
	k := testKeys()
	i := newIssuer(t, jwksOf(t, jwkOf(t, &k.p256.PublicKey, "kid", "1")))
	keys, err := OIDC(i.URL, i.options())
	if err != nil {
		t.Fatal(err)
	}
	j := newJWT(t, JWTOptions{Keys: keys, Audience: []string{"chat"},
		Sources: []Source{Bearer(), Subprotocol("handfast.token."), KubernetesSubprotocol(), Query("t"), newCookie(t)}})
	defer j.Close()
	rules, err := NewRules(allow(`"chat" in claims.may`))
	if err != nil {
		t.Fatal(err)
	}
	url, failed := guarded(t, &Guard{Authenticator: Chain(j), Rules: rules, Endpoint: "chat"})
	token := func(c claims) string {
		all := claims{"iss": i.URL, "aud": "chat", "may": []string{"chat"}}
		for name, v := range c {
			all[name] = v
		}
		return signed(t, "ES256", k.p256, "1", all)
	}
	good, expired := token(nil), token(claims{"exp": 1})
	for _, tt := range []struct {
		name, query string
		protocols   []string
		fields      []string
		status      int
		chosen      string
	}{
		{"header", "", nil, []string{"Authorization", "Bearer " + good}, 101, ""},
		{"subprotocol", "", []string{"handfast.token." + good, "chat"}, nil, 101, "chat"},
		{"subprotocol, after a real one", "", []string{"news", "handfast.token." + good}, nil, 101, "news"},
		{"subprotocol alone is not echoed", "", []string{"handfast.token." + good}, nil, 101, ""},
		{"Kubernetes", "", []string{redact.KubernetesPrefix + b64([]byte(good)), "chat"}, nil, 101, "chat"},
		{"Kubernetes alone is not echoed", "", []string{redact.KubernetesPrefix + b64([]byte(good))}, nil, 101, ""},
		{"query", "?t=" + good, nil, nil, 101, ""},
		{"cookie", "", nil, []string{"Cookie", "__Host-sid=" + good, "Origin", origin}, 101, ""},
		{"cookie from no page", "", nil, []string{"Cookie", "__Host-sid=" + good}, 403, ""},
		{"cookie from a page of this host", "", nil, []string{"Cookie", "__Host-sid=" + good, "Origin", url}, 403, ""},
		{"nothing", "", []string{"chat"}, nil, 401, ""},
		{"expired", "", nil, []string{"Authorization", "Bearer " + expired}, 401, ""},
		{"expired, in the subprotocol", "", []string{"handfast.token." + expired, "chat"}, nil, 401, ""},
		{"not allowed", "", nil, []string{"Authorization", "Bearer " + token(claims{"may": nil})}, 403, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, body, err := dialAndRead(t, url+tt.query, tt.protocols, tt.fields...)
			if tt.status == 101 {
				if err != nil || body != "alice by jwt" {
					t.Fatalf("%q, %v", body, err)
				}
				h := c.Handshake()
				if h.Subprotocol != tt.chosen || (len(h.Header["Sec-Websocket-Protocol"]) > 0) != (tt.chosen != "") {
					t.Errorf("chosen %q, response %v; want %q", h.Subprotocol, h.Header, tt.chosen)
				}
				return
			}
			e, ok := errors.AsType[*websocket.HandshakeError](err)
			if !ok || e.Status != tt.status {
				t.Fatalf("%v, want %d", err, tt.status)
			}
			if (tt.status == 401) != (e.Header.Get("WWW-Authenticate") != "") {
				t.Errorf("%d with %v", e.Status, e.Header)
			}
			log := bounded.Receive(t, failed).Error()
			for _, secret := range []string{good, expired, strings.Split(good, ".")[2], strings.Split(expired, ".")[2]} {
				if strings.Contains(log, secret) || strings.Contains(string(e.Body), secret) {
					t.Errorf("a token in the log or the reply: %s\n%s", log, e.Body)
				}
			}
			if strings.Contains(string(e.Body), "expired") || strings.Contains(string(e.Body), "rule") {
				t.Errorf("the reply reveals what was wrong: %s", e.Body)
			}
		})
	}
}

func TestGuardUnavailable(t *testing.T) {
	i := newIssuer(t, nil)
	i.down(true)
	keys, err := OIDC(i.URL, i.options())
	if err != nil {
		t.Fatal(err)
	}
	j := newJWT(t, JWTOptions{Keys: keys})
	defer j.Close()
	url, failed := guarded(t, &Guard{Authenticator: j})
	_, _, err = dialAndRead(t, url, nil, "Authorization", "Bearer "+signed(t, "EdDSA", testKeys().ed, "1", claims{"iss": i.URL}))
	e, ok := errors.AsType[*websocket.HandshakeError](err)
	if !ok || e.Status != 503 || e.Header.Get("Retry-After") == "" || strings.Contains(string(e.Body), "500") {
		t.Errorf("%v, %v, %s", err, e.Header, e.Body)
	}
	if err := bounded.Receive(t, failed); !strings.Contains(err.Error(), "answered with 500") {
		t.Errorf("the log contains %v", err)
	}
}

// shortLived is an Authenticator whose identities expire after one second. It sends each expiry time to ends.
type shortLived struct{ ends chan time.Time }

func (b shortLived) Authenticate(*http.Request) (*Identity, error) {
	end := time.Now().Add(time.Second)
	b.ends <- end
	return &Identity{Subject: "alice", Method: "test", Expires: end}, nil
}

func (shortLived) Challenge() string { return "" }

// The connection is closed when the credential expires.
func TestGuardExpiry(t *testing.T) {
	ends := make(chan time.Time, 1)
	url, _ := guarded(t, &Guard{Authenticator: shortLived{ends}})
	c, _, err := dialAndRead(t, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	expires := bounded.Receive(t, ends)
	_, err = c.Read(bounded.Context(t))
	e, ok := errors.AsType[*websocket.CloseError](err)
	if !ok || e.Code != CodeExpired || e.Reason != ReasonExpired || time.Now().Before(expires) {
		t.Errorf("%v", err)
	}
}

// Admit can be used as a hook in any server.
func TestGuardAdmit(t *testing.T) {
	secret, err := Secret(testKeys().secret)
	if err != nil {
		t.Fatal(err)
	}
	j := newJWT(t, JWTOptions{Keys: secret})
	guard := &Guard{Authenticator: j}
	found := make(chan string, 1)
	failed := make(refusals, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Check: func(r *http.Request) error {
			id, err := guard.Admit(r)
			if err == nil {
				found <- id.Subject
			}
			return err
		}})
		if err != nil {
			failed <- err
			return
		}
		c.Write(r.Context(), websocket.Message{Type: websocket.Text, Data: []byte("hello")})
		c.Close(websocket.CodeNormal, "")
	}))
	defer s.Close()
	if _, body, err := dialAndRead(t, s.URL, nil, "Authorization", "Bearer "+signed(t, "HS256", testKeys().secret, "", nil)); err != nil || body != "hello" {
		t.Fatalf("%q, %v", body, err)
	}
	if who := bounded.Receive(t, found); who != "alice" {
		t.Errorf("found %q", who)
	}
	if _, _, err := dialAndRead(t, s.URL, nil); statusOfHandshake(err) != 401 {
		t.Errorf("without a token: %v", err)
	}
	err = bounded.Receive(t, failed)
	e, ok := errors.AsType[*Error](err)
	if _, rejected := errors.AsType[*websocket.Reject](err); !ok || !rejected || e.Status != 401 || len(found) != 0 {
		t.Errorf("%v", err)
	}
}

// A Guard with a wrong configuration, or with an Authenticator that violates its contract, rejects clients.
func TestGuardFailsClosed(t *testing.T) {
	odd := errors.New("odd")
	none, err := NewRules(Rule{Effect: Allow, If: "false"})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		g      *Guard
		status int
	}{
		"no Authenticator":         {&Guard{}, 403},
		"no credentials, no chain": {&Guard{Authenticator: stubAuthenticator{err: ErrNoCredentials, challenge: "Basic"}}, 401},
		"an error of another kind": {&Guard{Authenticator: stubAuthenticator{err: odd}}, 403},
		"rules that never allow":   {&Guard{Authenticator: Anonymous(), Rules: none}, 403},
	} {
		id, err := tt.g.Admit(httptest.NewRequest("GET", "/", nil))
		if id != nil || statusOf(err) != tt.status {
			t.Errorf("%s: %v, %v", name, id, err)
		}
		if reject, ok := errors.AsType[*websocket.Reject](err); !ok || reject.Status != tt.status {
			t.Errorf("%s: %v", name, err)
		}
	}
	if reject, ok := errors.AsType[*websocket.Reject](Refusal(odd)); !ok || reject.Status != 403 {
		t.Errorf("%v", Refusal(odd))
	}
}

// An application's own Check is called first, and can reject clients.
func TestGuardKeepsCheck(t *testing.T) {
	var asked int
	g := &Guard{Authenticator: stubAuthenticator{id: anonymousIdentity, calls: &asked}}
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	r.Header = http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
	c, id, err := g.Accept(w, r, &websocket.AcceptOptions{Check: func(*http.Request) error { return &websocket.Reject{Status: 418} }})
	if c != nil || id != nil || err == nil || w.Code != 418 || asked != 0 {
		t.Errorf("%v, %v, %v: %d, %d calls of the Authenticator", c, id, err, w.Code, asked)
	}
	// The Authenticator is not called for a request that is not a handshake.
	if _, _, err := g.Accept(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), nil); err == nil || asked != 0 {
		t.Errorf("%v, %d calls of the Authenticator", err, asked)
	}
}

// A Decision can be printed as JSON, for example by a test of a configuration.
func TestDecisionAsJSON(t *testing.T) {
	r, err := NewRules(Rule{Name: "admins", Effect: Allow, If: `"admin" in claims.roles`})
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(r.Decide(alice(t, `{"roles":["admin"]}`), connect))
	const want = `{"Allowed":true,"Rule":0,"Name":"admins","Reason":"rule 1 (admins), allow: \"admin\" in claims.roles"}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
}
