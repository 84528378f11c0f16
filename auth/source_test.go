package auth

import (
	"encoding/base64"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/redact"
)

const origin = "https://app.example.com"

// newCookie returns the cookie source for the tests.
func newCookie(t testing.TB) Source {
	t.Helper()
	s, err := Cookie("__Host-sid", origin, "https://admin.example.com:8443")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSources(t *testing.T) {
	cookie, long := newCookie(t), strings.Repeat("a", maxToken)
	encoded := base64.RawURLEncoding.EncodeToString([]byte("a/b+c=,d"))
	for _, tt := range []struct {
		name   string
		s      Source
		fields []string // name, value, ...
		want   string   // the token; "-" for ErrNoCredentials, or a status
	}{
		{"bearer", Bearer(), []string{"Authorization", "Bearer abc.def-_~+/=="}, "abc.def-_~+/=="},
		{"bearer in any case", Bearer(), []string{"Authorization", "bEARER  abc"}, "abc"},
		{"no field", Bearer(), nil, "-"},
		{"another scheme", Bearer(), []string{"Authorization", "Basic abc"}, "-"},
		{"a scheme that begins alike", Bearer(), []string{"Authorization", "Bearerabc"}, "-"},
		{"bearer alone", Bearer(), []string{"Authorization", "Bearer"}, "401"},
		{"bearer without a token", Bearer(), []string{"Authorization", "Bearer   "}, "401"},
		{"two words", Bearer(), []string{"Authorization", "Bearer a b"}, "401"},
		{"parameters", Bearer(), []string{"Authorization", `Bearer a="b"`}, "401"},
		{"equals in the middle", Bearer(), []string{"Authorization", "Bearer a=b"}, "401"},
		{"a tab", Bearer(), []string{"Authorization", "Bearer\tabc"}, "-"},
		{"two fields", Bearer(), []string{"Authorization", "Bearer a", "Authorization", "Bearer b"}, "401"},
		{"as long as may be", Bearer(), []string{"Authorization", "Bearer " + long}, long},
		{"longer", Bearer(), []string{"Authorization", "Bearer " + long + "a"}, "401"},

		{"cookie", cookie, []string{"Cookie", "a=b; __Host-sid=abc", "Origin", origin}, "abc"},
		{"cookie from the other page", cookie, []string{"Cookie", "__Host-sid=abc", "Origin", "https://admin.example.com:8443"}, "abc"},
		{"no cookie", cookie, []string{"Origin", "https://evil.example"}, "-"},
		{"another cookie", cookie, []string{"Cookie", "__Host-sid2=abc", "Origin", "https://evil.example"}, "-"},
		{"CWE-1385: a foreign page", cookie, []string{"Cookie", "__Host-sid=abc", "Origin", "https://evil.example"}, "403"},
		{"no page", cookie, []string{"Cookie", "__Host-sid=abc"}, "403"},
		{"another port", cookie, []string{"Cookie", "__Host-sid=abc", "Origin", origin + ":8443"}, "403"},
		{"another scheme than https", cookie, []string{"Cookie", "__Host-sid=abc", "Origin", "http://app.example.com"}, "403"},
		{"a longer host", cookie, []string{"Cookie", "__Host-sid=abc", "Origin", origin + ".evil.example"}, "403"},
		{"a subdomain", cookie, []string{"Cookie", "__Host-sid=abc", "Origin", "https://x.app.example.com"}, "403"},
		{"a sandboxed page", cookie, []string{"Cookie", "__Host-sid=abc", "Origin", "null"}, "403"},
		{"two origins", cookie, []string{"Cookie", "__Host-sid=abc", "Origin", origin, "Origin", "https://evil.example"}, "403"},
		{"two cookies", cookie, []string{"Cookie", "__Host-sid=abc; __Host-sid=def", "Origin", origin}, "401"},
		{"an empty cookie", cookie, []string{"Cookie", "__Host-sid=", "Origin", origin}, "401"},

		{"subprotocol", Subprotocol("token."), []string{"Sec-WebSocket-Protocol", "chat, token.abc"}, "abc"},
		{"on its own line", Subprotocol("token."), []string{"Sec-WebSocket-Protocol", "token.abc", "Sec-WebSocket-Protocol", "chat"}, "abc"},
		{"protocols alone", Subprotocol("token."), []string{"Sec-WebSocket-Protocol", "chat, tokens"}, "-"},
		{"case counts", Subprotocol("token."), []string{"Sec-WebSocket-Protocol", "Token.abc"}, "-"},
		{"two tokens", Subprotocol("token."), []string{"Sec-WebSocket-Protocol", "token.a, token.b"}, "401"},
		{"the token is empty", Subprotocol("token."), []string{"Sec-WebSocket-Protocol", "token., chat"}, "401"},
		{"a long token", Subprotocol("token."), []string{"Sec-WebSocket-Protocol", "token." + long + "a"}, "401"},
		{"no prefix", Subprotocol(""), []string{"Sec-WebSocket-Protocol", "chat"}, "-"},
		{"Kubernetes", KubernetesSubprotocol(), []string{"Sec-WebSocket-Protocol", "v5.channel.k8s.io, " + redact.KubernetesPrefix + encoded}, "a/b+c=,d"},
		{"Kubernetes, padded", KubernetesSubprotocol(), []string{"Sec-WebSocket-Protocol", redact.KubernetesPrefix + "YQ=="}, "401"},
		{"Kubernetes, no text", KubernetesSubprotocol(), []string{"Sec-WebSocket-Protocol", redact.KubernetesPrefix + "_w"}, "401"},
		{"Kubernetes, the plain form", KubernetesSubprotocol(), []string{"Sec-WebSocket-Protocol", "token.abc"}, "-"},
		{"Kubernetes, long", KubernetesSubprotocol(), []string{"Sec-WebSocket-Protocol", redact.KubernetesPrefix + b64([]byte(long+"a"))}, "401"},
		{"a field of its own", Header("x-id"), []string{"X-Id", "abc.def"}, "abc.def"},
		{"without that field", Header("X-Id"), []string{"Authorization", "Bearer a"}, "-"},
		{"that field twice", Header("X-Id"), []string{"X-Id", "a", "X-Id", "b"}, "401"},
		{"that field is empty", Header("X-Id"), []string{"X-Id", ""}, "401"},
		{"that field with a scheme", Header("X-Id"), []string{"X-Id", "Bearer a"}, "401"},
		{"that field, longer", Header("X-Id"), []string{"X-Id", long + "a"}, "401"},
		{"nowhere", Source{}, []string{"Authorization", "Bearer abc"}, "-"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			for i := 0; i < len(tt.fields); i += 2 {
				r.Header.Add(tt.fields[i], tt.fields[i+1])
			}
			checkToken(t, tt.want)(tt.s.Token(r))
		})
	}
	for target, want := range map[string]string{"/?t=abc": "abc", "/?x=1&t=a%2Eb": "a.b", "/": "-", "/?tt=abc": "-", "/?t=": "401",
		"/?t=a&t=b": "401", "/?t=" + long + "a": "401"} {
		checkToken(t, want)(Query("t").Token(httptest.NewRequest("GET", target, nil)))
	}
}

// checkToken compares the results of Token.
func checkToken(t *testing.T, want string) func(token string, err error) {
	return func(token string, err error) {
		t.Helper()
		switch want {
		case "-":
			if token != "" || err != ErrNoCredentials {
				t.Errorf("%q, %v", token, err)
			}
		case "401", "403":
			e, ok := errors.AsType[*Error](err)
			if !ok || token != "" || e.Status != map[string]int{"401": 401, "403": 403}[want] || errors.Is(err, ErrNoCredentials) {
				t.Errorf("%q, %v, want %s", token, err, want)
			} else if strings.Contains(err.Error(), "abc") {
				t.Errorf("the log contains %q", err)
			}
		default:
			if token != want || err != nil {
				t.Errorf("%q, %v, want %q", token, err, want)
			}
		}
	}
}

func TestCookieMistakes(t *testing.T) {
	for _, tt := range []struct {
		name    string
		origins []string
		want    string
	}{
		{"sid", nil, "list of allowed origins"},
		{"a b", []string{origin}, "name of a cookie"},
		{"", []string{origin}, "name of a cookie"},
		{"sid", []string{origin, "*"}, "form"},
		{"sid", []string{"https://*.example.com"}, "wildcards"},
		{"sid", []string{"app.example.com"}, "form"},
		{"sid", []string{origin + "/"}, "browsers write it"},
		{"sid", []string{"https://App.example.com"}, "browsers write it"},
		{"sid", []string{"https://app.example.com:443"}, `"https://app.example.com"`},
		{"sid", []string{"http://app.example.com:80"}, `"http://app.example.com"`},
		{"sid", []string{"null"}, "sandboxed"},
		{"sid", []string{""}, "form"},
		{"sid", []string{"https://\x7f"}, "form"},
	} {
		if _, err := Cookie(tt.name, tt.origins...); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q %q: %v, want %q", tt.name, tt.origins, err, tt.want)
		}
		if _, err := SessionCookie(tt.name, tt.origins, Anonymous()); err == nil {
			t.Errorf("%q %q: a session", tt.name, tt.origins)
		}
	}
}

// The method behind a session cookie is only called for requests from the right pages.
func TestSession(t *testing.T) {
	var asked int
	var closed bool
	id := &Identity{Subject: "alice", Method: "forward"}
	s, err := SessionCookie("sid", []string{origin}, stubAuthenticator{id: id, calls: &asked, closed: &closed})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		cookie, origin string
		status, asked  int
	}{{"sid=x", origin, 200, 1}, {"sid=x", "https://evil.example", 403, 1}, {"sid=x", "", 403, 1}, {"", origin, 0, 1}, {"sid=x", origin, 200, 2}} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Cookie", tt.cookie)
		if tt.origin != "" {
			r.Header.Set("Origin", tt.origin)
		}
		if _, err := s.Authenticate(r); statusOf(err) != tt.status || asked != tt.asked {
			t.Errorf("%+v: %v, %d calls of the method", tt, err, asked)
		}
	}
	if got := s.Challenge(); got != `Cookie cookie-name="sid"` {
		t.Errorf("Challenge = %q", got)
	}
	if err := s.(interface{ Close() error }).Close(); err != nil || !closed {
		t.Errorf("Close: %v, %t", err, closed)
	}
}

// The challenges of a 401 match the credentials that the method accepts (RFC 9110 §15.5.2).
func TestJWTChallenges(t *testing.T) {
	keys := keysOf(t, pemOf(t, testKeys().ed.Public()))
	for want, sources := range map[string][]Source{
		`Bearer realm="handfast"`:         nil,
		`Bearer realm="handfast" `:        {newCookie(t), Subprotocol("token.")},
		`Cookie cookie-name="__Host-sid"`: {newCookie(t)},
		"":                                {},
	} {
		j := newJWT(t, JWTOptions{Keys: keys, Sources: sources})
		if got := j.Challenge(); got != strings.TrimSpace(want) {
			t.Errorf("%q, want %q", got, want)
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = map[string][]string{"Cookie": {"__Host-sid=a.b.c"}, "Origin": {origin}}
	_, err := newJWT(t, JWTOptions{Keys: keys, Sources: []Source{newCookie(t)}}).Authenticate(r)
	if e, ok := errors.AsType[*Error](err); !ok || e.Header.Get("WWW-Authenticate") != `Cookie cookie-name="__Host-sid"` {
		t.Errorf("%v", err)
	}
}
