package pusher

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Signatures agree with the test vectors of the protocol's documentation, and altered signatures are not valid.
func TestSignatures(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{channelText("1234.1234", "private-foobar", ""), "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4"},
		{channelText("1234.1234", "presence-foobar", `{"user_id":10,"user_info":{"name":"Mr. Channels"}}`),
			"31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80"},
		{userText("1234.1234", `{"id":"12345"}`), "4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba"},
		{"POST\n/apps/3/events\nauth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0" +
			"&body_md5=ec365a775a4cd0599faeb73354201b6f", "da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c"},
	} {
		if got := app.sign(tt.text); got != tt.want {
			t.Errorf("%q: %s, want %s", tt.text, got, tt.want)
		}
		if !app.authorized(app.Key+":"+tt.want, tt.text) {
			t.Errorf("%q is not authorized", tt.text)
		}
		for _, bad := range []string{tt.want, ":" + tt.want, "other:" + tt.want, app.Key + ":", app.Key, "", app.Key + ":" + tt.want + "0", app.Key + ":" + strings.ToUpper(tt.want)} {
			if app.authorized(bad, tt.text) {
				t.Errorf("%q is authorized", bad)
			}
		}
	}
	if none := (&App{Key: "k"}); none.authorized("k:"+none.sign("x"), "x") {
		t.Error("an application without a secret accepts signatures")
	}
}

// signedCall waits until at, and returns the response of a server that authenticates a call.
func signedCall(at time.Time, method, target, body string) (status int, text string) {
	synctestUntil(at)
	s := &Server{Apps: testApps()}
	mux := http.NewServeMux()
	mux.HandleFunc("/apps/{app}/", func(w http.ResponseWriter, r *http.Request) {
		_, err := s.authenticate(w, r)
		respond(w, "authenticated", err)
	})
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(method, target, strings.NewReader(body)))
	return w.Code, w.Body.String()
}

func synctestUntil(at time.Time) { advance(time.Until(at)) }

// An API call is authenticated by the parameters of its query. The cases are the documentation's test vector and deviations from it.
func TestAuthenticate(t *testing.T) {
	const (
		body = `{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}`
		path = "/apps/3/events"
		q    = "auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0&body_md5=ec365a775a4cd0599faeb73354201b6f"
		sig  = "&auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c"
	)
	at := time.Unix(1353088179, 0)
	signed := func(path, params string) string {
		return path + "?" + signedQuery(app, "GET", path, params, "", at)
	}
	for _, tt := range []struct {
		name, method, target, body string
		after                      time.Duration
		status                     int
		text                       string
	}{
		{"vector", "POST", path + "?" + q + sig, body, 0, 200, "authenticated"},
		{"parameters in another order", "POST", path + "?" + strings.TrimPrefix(sig, "&") + "&" + q, body, 0, 200, "authenticated"},
		{"names in capitals", "POST", path + "?" + strings.Replace(q, "auth_key", "Auth_Key", 1) + sig, body, 0, 200, "authenticated"},
		{"early", "POST", path + "?" + q + sig, body, -599 * time.Second, 200, "authenticated"},
		{"late", "POST", path + "?" + q + sig, body, 599 * time.Second, 200, "authenticated"},
		{"too early", "POST", path + "?" + q + sig, body, -601 * time.Second, 401, "auth_timestamp is not within 600 s"},
		{"too late", "POST", path + "?" + q + sig, body, 601 * time.Second, 401, "auth_timestamp is not within 600 s"},
		{"another body", "POST", path + "?" + q + sig, body + " ", 0, 401, "body_md5"},
		{"no body_md5", "POST", path + "?" + signedQuery(app, "POST", path, "", "", at), body, 0, 401, "body_md5"},
		{"no body_md5 of one byte", "POST", path + "?" + signedQuery(app, "POST", path, "", "", at), "1", 0, 401, "body_md5"},
		{"another method", "PUT", path + "?" + q + sig, body, 0, 401, "auth_signature is not valid"},
		{"another path", "POST", "/apps/3/batch_events?" + q + sig, body, 0, 401, "auth_signature is not valid"},
		{"one more parameter", "POST", path + "?" + q + "&info=x" + sig, body, 0, 401, "auth_signature is not valid"},
		{"no query", "POST", path, body, 0, 401, "auth_key is missing"},
		{"no signature", "POST", path + "?" + q, body, 0, 401, "auth_signature is missing"},
		{"another version", "POST", path + "?" + strings.Replace(q, "1.0", "2.0", 1) + sig, body, 0, 401, "auth_version"},
		{"another key", "POST", "/apps/other/events?" + q + sig, body, 0, 401, "auth_key does not belong"},
		{"unknown application", "POST", "/apps/4/events?" + q + sig, body, 0, 404, "no application"},
		{"disabled", "GET", "/apps/off/x?" + signedQuery(testApps()[1], "GET", "/apps/off/x", "", "", at), "", 0, 403, "disabled"},
		{"long query", "GET", path + "?" + strings.Repeat("a", 5000), "", 0, 400, "longer than"},
		{"huge body", "POST", path + "?" + q + sig, strings.Repeat("x", 1<<20), 0, 413, "larger than"},
		{"value with escapes", "GET", signed("/apps/3/channels", "filter_by_prefix=presence%2Da%3Db%40"), "", 0, 200, "authenticated"},
		{"value without escapes", "GET", signed("/apps/3/channels", "filter_by_prefix=a=b@,.;&info=user_count"), "", 0, 200, "authenticated"},
		{"not a time", "GET", "/apps/3/x?auth_key=" + app.Key + "&auth_timestamp=x&auth_version=1.0&auth_signature=" +
			app.sign("GET\n/apps/3/x\nauth_key="+app.Key+"&auth_timestamp=x&auth_version=1.0"), "", 0, 401, "not a number"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				status, text := signedCall(at.Add(tt.after), tt.method, tt.target, tt.body)
				if status != tt.status || !strings.Contains(text, tt.text) {
					t.Errorf("%d %s, want %d %s", status, text, tt.status, tt.text)
				}
				if strings.Contains(text, app.Secret) {
					t.Error("the response contains the secret")
				}
			})
		})
	}
}
