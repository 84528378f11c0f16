//go:build e2e

package pusher

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/handfast/handfast/e2e/internal/chromium"
	"github.com/handfast/handfast/e2e/internal/harness"
)

// site is an application with a single page that authorizes every subscription.
func site(t *testing.T) string {
	t.Helper()
	mux := chromium.Page("node_modules/pusher-js/dist/web/pusher.js")
	mux.HandleFunc("GET /echo.js", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, "node_modules/laravel-echo/dist/echo.iife.js")
	})
	mux.HandleFunc("POST /auth", func(w http.ResponseWriter, r *http.Request) {
		text, answer := r.FormValue("socket_id")+":"+r.FormValue("channel_name"), map[string]string{}
		if user := r.FormValue("user"); user != "" {
			answer["channel_data"] = fmt.Sprintf(`{"user_id":%q}`, user)
			text += ":" + answer["channel_data"]
		}
		h := hmac.New(sha256.New, []byte("s"))
		h.Write([]byte(text))
		answer["auth"] = "k:" + hex.EncodeToString(h.Sum(nil))
		_ = json.NewEncoder(w).Encode(answer) // fails if the page has disconnected
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

// A page in two tabs uses channels of each kind, client events and presence, before and after a restart of the server.
func TestChromium(t *testing.T) {
	if _, err := os.Stat("node_modules/pusher-js"); err != nil {
		t.Fatal(err)
	}
	u, page, port := harness.NewUser(t), site(t), harness.FreePort(t)
	serve := func() *harness.Server {
		return u.Serve("--tls", "off", "--listen", "127.0.0.1:"+port, "--app", "1:k:s", "--origin", page)
	}
	server := serve()
	b := chromium.Start(t, chromium.Options{Dir: u.Home, Env: u.Environ()})
	open := func(user string) {
		t.Helper()
		b.Open(page + "/")
		b.Eval(`(() => {
			` + strings.TrimPrefix(recovering(t), "export ") + `
			const user = "` + user + `", say = text => console.log(user + " " + text);
			window.pusher = recovering(new Pusher("k", {
				wsHost: "127.0.0.1", wsPort: ` + port + `, forceTLS: false, enabledTransports: ["ws"], cluster: "",
				channelAuthorization: { endpoint: "/auth", transport: "ajax", params: { user } },
			}));
			const news = pusher.subscribe("news"), mine = pusher.subscribe("private-room"), room = pusher.subscribe("presence-room");
			news.bind("message", data => say("news " + data));
			news.bind("pusher:missed", () => say("missed"));
			mine.bind("client-hi", data => say("hi " + data.n));
			room.bind("pusher:member_added", m => say("added " + m.id));
			room.bind("pusher:member_removed", m => say("removed " + m.id));
			Promise.all([news, mine, room].map(c => new Promise(done => c.bind("pusher:subscription_succeeded", done))))
				.then(all => say("there " + Object.keys(all[2].members).sort()));
			room.bind("pusher:subscription_succeeded", all => say("count " + all.count));
			return "";
		})()`)
	}
	// prints waits until the pages have printed the wanted lines, in any order.
	prints := func(want ...string) {
		t.Helper()
		missing := map[string]bool{}
		for _, line := range want {
			missing[line] = true
		}
		for len(missing) > 0 {
			delete(missing, b.Printed())
		}
	}
	open("ann")
	prints("ann there ann")
	open("bob")
	prints("bob there ann,bob", "ann added bob")
	publish := "handfast publish --url ws://127.0.0.1:" + port + "/channels news "
	u.Must(publish + "hello")
	prints("ann news hello", "bob news hello")
	b.Eval(`pusher.channel("private-room").trigger("client-hi", { n: 1 })`)
	prints("ann hi 1")
	b.Eval(`pusher.unsubscribe("presence-room")`)
	prints("ann removed bob")
	b.Eval(`(() => { pusher.subscribe("presence-room"); return ""; })()`)
	prints("ann added bob")

	// A tab that was disconnected receives the events that it missed, without duplicates.
	b.Eval(`(() => { pusher.disconnect(); return ""; })()`)
	prints("ann removed bob")
	u.Must(publish + "away")
	b.Eval(`(() => { pusher.connect(); return ""; })()`)
	prints("bob news away")
	u.Must(publish + "here")
	for line := ""; line != "bob news here"; {
		if line = b.Printed(); line == "bob news away" || line == "bob missed" {
			t.Error(line)
		}
	}

	if code := server.Stop(os.Interrupt); code != 0 {
		t.Errorf("the server ended with %d", code)
	}
	serve()
	missed := map[string]bool{} // the in-memory engine has lost its history
	for both := false; !both || len(missed) < 2; {
		line := b.Printed()
		both = both || line == "ann count 2" || line == "ann added bob" // either tab may be the second to reconnect
		if strings.HasSuffix(line, " missed") {
			missed[line] = true
		}
	}
	u.Must(publish + "again")
	prints("ann news again", "bob news again")
}

// A page with Laravel Echo receives events of each kind of channel, exchanges whispers, sees members join and leave, is refused a
// private channel with a forged signature, and receives the events that it has missed after it reconnects.
func TestChromiumEcho(t *testing.T) {
	u, page, port := harness.NewUser(t), site(t), harness.FreePort(t)
	u.Serve("--tls", "off", "--listen", "127.0.0.1:"+port, "--app", "1:k:s", "--origin", page)
	b := chromium.Start(t, chromium.Options{Dir: u.Home, Env: u.Environ()})
	b.Open(page + "/")
	b.Eval(`(async () => {
		` + strings.TrimPrefix(recovering(t), "export ") + `
		const script = document.createElement("script");
		script.src = "/echo.js";
		const loaded = new Promise(done => script.onload = done);
		document.head.append(script);
		await loaded;
		window.echo = (user, authorization = { endpoint: "/auth", transport: "ajax", params: { user } }) => new Echo.default({
			broadcaster: "pusher", namespace: false, client: recovering(new Pusher("k", {
				wsHost: "127.0.0.1", wsPort: ` + port + `, forceTLS: false, enabledTransports: ["ws"], cluster: "", channelAuthorization: authorization,
			})),
		});
		window.inbox = [];
		let wake = () => {};
		window.note = text => { inbox.push(text); wake(); };
		window.until = async (...want) => { while (!want.every(text => inbox.includes(text))) await new Promise(done => wake = done); };
		window.ann = echo("ann");
		window.bob = echo("bob");
		ann.channel("news").listen("message", data => note("news " + data)).subscribed(() => note("news"));
		ann.private("room").listenForWhisper("typing", data => note("typing " + data.n)).subscribed(() => note("ann's room"));
		bob.private("room").subscribed(() => note("bob's room"));
		ann.join("team").here(all => note("here " + all.length)).joining(() => note("joining")).leaving(() => note("leaving"));
		await until("news", "ann's room", "bob's room", "here 1");
		return "";
	})()`)
	run := func(steps string) string {
		t.Helper()
		return b.Eval(`(async () => { ` + steps + ` })()`)
	}
	publish := "handfast publish --url ws://127.0.0.1:" + port + "/channels news "
	u.Must(publish + "hello")
	run(`bob.private("room").whisper("typing", { n: 1 }); await until("news hello", "typing 1"); return "";`)
	run(`bob.join("team").here(all => note("here " + all.length)); await until("here 2", "joining"); return "";`)
	run(`bob.leave("team"); await until("leaving"); return "";`)
	got := run(`const forged = echo("eve", { customHandler: (_, done) => done(null, { auth: "k:" + "0".repeat(64) }) });
		return String(await new Promise(done => forged.private("room").error(e => done(e.status))));`)
	if got != "401" {
		t.Errorf("a forged signature: %s", got)
	}
	run(`ann.connector.pusher.disconnect(); return "";`)
	u.Must(publish + "missed")
	run(`ann.connector.pusher.connect(); await until("news missed"); return "";`)
	u.Must(publish + "live")
	if got := run(`await until("news live"); return inbox.filter(text => text.startsWith("news ")).join();`); got != "news hello,news missed,news live" {
		t.Errorf("received: %s", got)
	}
}
