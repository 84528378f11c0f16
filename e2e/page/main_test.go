//go:build e2e

package page

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/e2e/internal/chromium"
	"github.com/handfast/handfast/e2e/internal/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// secret signs the tokens of these tests.
const secret = "this key signs the tokens of the tests of the page"

// visit is a server and a browser that has opened the server's page.
type visit struct {
	*chromium.Browser
	t   *testing.T
	u   *harness.User
	s   *harness.Server
	url string
}

// open starts a server without TLS on a free port, and opens the server's page in a browser.
func open(t *testing.T, config string) *visit {
	t.Helper()
	u := harness.NewUser(t)
	u.Write("secret", secret)
	u.Write("handfast.yaml", "listen: [{address: \"localhost:"+harness.FreePort(t)+"\", tls: off}]\n"+config)
	s := u.Serve("--config", "handfast.yaml")
	v := &visit{t: t, u: u, s: s, url: s.First("page")}
	v.Browser = chromium.Start(t, chromium.Options{Dir: u.Home, Env: u.Environ()})
	v.Open(v.url)
	v.Until("the endpoints are there", `document.querySelector("#endpoint").length > 1`)
	return v
}

// set sets the value of a field as a user does.
func (v *visit) set(id, value string) {
	v.t.Helper()
	v.Eval(`(() => { const f = document.getElementById("` + id + `"); f.value = ` + quote(value) + `;
		f.dispatchEvent(new Event("input", { bubbles: true })); f.dispatchEvent(new Event("change", { bubbles: true })); })()`)
}

// format selects the format of messages.
func (v *visit) format(name string) {
	v.t.Helper()
	v.Eval(`document.querySelector("input[name=format][value=` + name + `]").click()`)
}

func (v *visit) click(id string) {
	v.t.Helper()
	v.Eval(`document.getElementById("` + id + `").click()`)
}

// shows waits until an element contains the given text.
func (v *visit) shows(id, text string) {
	v.t.Helper()
	v.Until("#"+id+" shows "+text, `document.getElementById("`+id+`").innerText.includes(`+quote(text)+`)`)
}

// connect connects, and waits until the page is connected.
func (v *visit) connect() {
	v.t.Helper()
	v.click("toggle")
	v.Until("it is connected", `document.querySelector("#state").dataset.state === "open"`)
}

// disconnect closes the connection.
func (v *visit) disconnect() {
	v.t.Helper()
	v.click("toggle")
	v.Until("it is closed", `document.querySelector("#state").dataset.state === "closed"`)
}

// fails attempts to connect, and waits until the page displays the expected failure.
func (v *visit) fails(title, text, next string) {
	v.t.Helper()
	v.click("toggle")
	v.Until("the page says why", `!document.querySelector("#failure").hidden && document.querySelector("#failure-title").innerText === `+quote(title))
	v.shows("failure-text", text)
	v.shows("failure-next", next)
	if got := v.Eval(`document.body.innerText`); strings.Contains(got, "1006") {
		v.t.Errorf("the page shows 1006, which does not help the user:\n%s", got)
	}
}

// token returns a token for alice that is valid for the given time.
func token(lasts time.Duration, roles ...string) string {
	payload, err := json.Marshal(map[string]any{"sub": "alice", "exp": time.Now().Add(lasts).Unix(), "roles": roles})
	if err != nil {
		panic(err) // strings and numbers can always be encoded
	}
	signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// noSecret checks that a secret is neither on the page nor in the server's log.
func (v *visit) noSecret(secrets ...string) {
	v.t.Helper()
	page := v.Eval(`document.body.innerText`)
	for _, s := range secrets {
		if strings.Contains(page, s) || strings.Contains(v.s.Log.String(), s) {
			v.t.Errorf("%q is shown on the page or logged", s)
		}
	}
}

// quiet checks that the browser has reported no problem with the page.
func (v *visit) quiet() {
	v.t.Helper()
	if log := strings.Join(v.Log, "\n"); strings.Contains(log, "Content Security Policy") || strings.Contains(log, "Refused to") {
		v.t.Error(log)
	}
}
