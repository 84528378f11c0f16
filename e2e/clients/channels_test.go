//go:build e2e

package clients

import (
	"strings"
	"syscall"
	"testing"

	"github.com/handfast/handfast/e2e/internal/chromium"
	"github.com/handfast/handfast/e2e/internal/harness"
)

// until is a JavaScript function with which a page waits until a given function returns a value.
const until = `const until = f => new Promise(done => {
	const look = setInterval(() => { const v = f(); if (v) { clearInterval(look); done(String(v)); } }, 20);
});
const text = (w, id) => w.document.getElementById(id)?.textContent ?? "";
const say = (w, message) => {
	w.document.getElementById("chat-text").value = message;
	w.document.getElementById("chat-form").requestSubmit();
};
`

// Without a configuration file, the server's page is a chat. Two tabs and a shell exchange messages, also after a restart of the server.
func TestChromiumChat(t *testing.T) {
	u := harness.NewUser(t)
	port := harness.FreePort(t)
	s := u.Serve("--tls", "off", "--listen", "localhost:"+port)
	b := chromium.Start(t, chromium.Options{Flags: []string{"--disable-popup-blocking"}})
	b.Open(s.First("page"))
	b.Eval(until + `const other = open(location.href);`)
	want := func(what, expression string) {
		t.Helper()
		if got := b.Eval(expression); got != "true" {
			t.Fatalf("%s: %s", what, got)
		}
	}
	want("both are there", `until(() => text(window, "chat-state") === "connected" && document.querySelectorAll("#members li").length === 2 &&
		text(other, "chat-state") === "connected" && other.document.querySelectorAll("#members li").length === 2)`)
	b.Eval(`say(window, "from the first")`)
	want("the second tab", `until(() => text(other, "chat-log").includes("from the first"))`)
	b.Eval(`say(other, "from the second <b>")`)
	want("the first tab", `until(() => text(window, "chat-log").includes("from the second <b>"))`)

	channels := s.First("channels")
	if got := u.Handfast("", "publish", "--url", channels, "chat", "from a shell"); got.Code != 0 {
		t.Errorf("%+v", got)
	}
	want("the shell", `until(() => text(window, "chat-log").includes("from a shell") && text(other, "chat-log").includes("from a shell"))`)
	got := u.Handfast("", "subscribe", "--url", channels, "--history", "3", "-n", "3", "chat")
	if !strings.Contains(got.Stdout, `"text":"from the first"`) || !strings.Contains(got.Stdout, "from a shell\n") {
		t.Errorf("%+v", got)
	}
	want("a third one sees what was said", `(async () => {
		const late = open(location.href);
		const v = await until(() => late.document && text(late, "chat-log").includes("from the second <b>"));
		late.close();
		return v;
	})()`)

	if code := s.Stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit %d", code)
	}
	want("connecting", `until(() => text(window, "chat-state").startsWith("connecting"))`)
	u.Serve("--tls", "off", "--listen", "localhost:"+port)
	want("reconnected", `until(() => text(window, "chat-state") === "connected" && text(other, "chat-state") === "connected" &&
		document.querySelectorAll("#members li").length === 2)`)
	want("the gap is shown", `until(() => text(window, "chat-log").includes("messages may be missing"))`)
	b.Eval(`say(other, "after the restart")`)
	want("the first tab", `until(() => text(window, "chat-log").includes("after the restart"))`)
	b.Eval(`document.getElementById("toggle").click()`)
	want("the WebSocket", `until(() => text(window, "log").includes("Connected to"))`)
}
