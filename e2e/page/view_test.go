//go:build e2e

package page

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A user can choose an endpoint, connect, send and close with the keyboard alone. The tab order follows the layout, and each focused
// element has a visible outline.
func TestKeyboard(t *testing.T) {
	v := open(t, protected)
	var order []string
	for range 30 {
		v.Press("Tab")
		at := v.Eval(`document.activeElement.id || document.activeElement.name || document.activeElement.tagName`)
		if at == "BODY" || len(order) > 0 && at == order[0] {
			break
		}
		order = append(order, at)
		if got := v.Eval(`getComputedStyle(document.activeElement).outlineStyle`); got == "none" {
			t.Errorf("%s has the focus, but no visible outline", at)
		}
	}
	const want = "endpoint url toggle SUMMARY filter kinds indent save clear log format text"
	if got := strings.Join(order, " "); !strings.HasPrefix(got, want) {
		t.Errorf("the order is %s, want %s", got, want)
	}
	v.Eval(`document.activeElement.blur(), document.querySelector("#url").focus()`)
	v.Press("Enter")
	v.shows("state", "connected")
	v.Eval(`document.querySelector("#text").focus()`)
	v.Type("typed")
	v.Press("Enter")
	v.Until("the echo comes", `document.querySelectorAll("#log .received").length === 1`)
	if got := v.Eval(`document.querySelector("#text").value`); got != "" {
		t.Errorf("left in the field: %q", got)
	}
	for range 3 { // back to the formats; the log may contain focusable elements
		v.Press("Shift+Tab")
		if v.Eval(`document.activeElement.name`) == "format" {
			break
		}
	}
	v.Press("ArrowRight")
	if got := v.Eval(`document.querySelector("input[name=format]:checked").value`); got != "json" {
		t.Errorf("the format is %s", got)
	}
	v.Eval(`document.querySelector("#toggle").focus()`)
	v.Press("Space")
	v.shows("state", "closed: 1000 normal closure")
}

// loadAxe loads axe-core into the page.
func (v *visit) loadAxe() {
	v.t.Helper()
	axe, err := os.ReadFile("node_modules/axe-core/axe.min.js")
	if err != nil {
		v.t.Fatalf("axe-core is missing (make setup installs it): %v", err)
	}
	v.Eval(string(axe) + "; 'loaded'")
}

// accessible checks that axe-core finds no serious problem in light and dark colors on a wide and a narrow screen, and that no
// element is wider than the window.
func (v *visit) accessible(name string) {
	v.t.Helper()
	for _, width := range []int{320, 768, 1280} {
		for _, dark := range []bool{false, true} {
			v.View(width, 820, dark)
			if got := v.Eval(`document.documentElement.scrollWidth + " " + document.documentElement.clientWidth`); strings.Fields(got)[0] != strings.Fields(got)[1] {
				v.t.Errorf("%s at %d: the page is as wide as %s", name, width, got)
			}
			const run = `axe.run().then(r => r.violations.filter(v => v.impact === "serious" || v.impact === "critical")
				.map(v => v.id + ": " + v.help + ": " + v.nodes.map(n => n.html + " " + n.failureSummary).join("; ")).join("\n"))`
			if got := v.Eval(run); got != "" {
				v.t.Errorf("%s, %d wide, dark %t:\n%s", name, width, dark, got)
			}
		}
	}
}

// The page is accessible at the start, after a failed connection, and with messages. This test creates the pictures in docs/.
func TestViews(t *testing.T) {
	v := open(t, protected)
	v.loadAxe()
	v.shows("chat-state", "connected")
	v.accessible("at the start")
	v.set("endpoint", "/chat")
	v.set("token", token(-time.Hour, "chat"))
	v.fails("Rejected with 401", "The token expired at ", "use a new token")
	v.accessible("with a failure")
	v.View(1280, 900, true)
	v.Picture("page-refused.png")

	v.set("token", token(time.Hour, "chat"))
	v.connect()
	v.format("json")
	for _, text := range []string{`{"type":"order","id":12345678901234567890,"items":["tea","rice"]}`, `{"type":"cancel","id":7}`} {
		v.set("text", text)
		v.click("send")
	}
	v.Until("the echoes come", `document.querySelectorAll("#log .received").length === 2`)
	v.format("hex")
	v.set("text", "48 65 6c 6c 6f 2c 20 77 6f 72 6c 64")
	v.click("send")
	v.click("ping")
	v.shows("log", "Round trip")
	v.set("text", "48 65 6c")
	v.Eval(`document.querySelector("#name").value = "ann", document.querySelector("#name").dispatchEvent(new Event("change"))`)
	v.Eval(`document.querySelector("#chat-text").value = "Shall we ship it?", document.querySelector("#chat-form").requestSubmit()`)
	v.shows("chat-log", "Shall we ship it?")
	v.shows("members", "ann")
	v.shows("publish", "handfast publish --url ws://localhost:")
	v.accessible("with messages")
	v.View(1280, 900, false)
	v.Picture("page-connected.png")
	v.View(320, 820, false)
	v.Eval(`scrollTo(0, 0)`)
	v.Picture("page-narrow.png")
	v.quiet()
}

// The page that explain creates for a ticket is accessible, and the browser reports no problem with it.
func TestTicket(t *testing.T) {
	v := open(t, protected)
	at := "ws" + strings.TrimPrefix(v.url, "http")
	for name, urls := range map[string][]string{"one": {at + "chat"}, "two": {at + "chat", at + "echo"}} {
		file := filepath.Join(v.u.Home, name+".html")
		if got := v.u.Handfast("", append([]string{"explain", "--report", file}, urls...)...); got.Code != 1 {
			t.Fatalf("exit %d: %s", got.Code, got.Stderr)
		}
		v.Open("file://" + file)
		v.loadAxe()
		v.accessible(name)
		if got := v.Eval(`document.querySelectorAll("h2").length + " " + document.querySelectorAll("script").length`); got != fmt.Sprint(len(urls))+" 0" {
			t.Errorf("headings of reports, scripts: %s", got)
		}
	}
	v.quiet()
}
