//go:build e2e

package examples

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/handfast/handfast/e2e/internal/harness"
)

// Two members of a room see each other's presence, earlier messages, typing indicators and read receipts.
func TestChat(t *testing.T) {
	u := harness.NewUser(t)
	p := open(t, start(t, u, "chat"))
	p.Eval(`submit(window, "enter", {name: "ann", room: "lobby"})`)
	p.want("ann is there", `$("members").textContent === "ann" && $("state").textContent === "open"`)
	p.Eval(`submit(window, "say", {text: "first"})`)
	p.want("what ann has said", `$("log").textContent.includes("ann first")`)
	p.Eval(`const other = open(location.href); true`)
	p.want("the other window", `other.document.readyState === "complete" && $("enter", other)?.onsubmit != null`)
	p.Eval(`submit(other, "enter", {name: "bob", room: "lobby"})`)
	p.want("bob sees what was said before", `$("log", other).textContent.includes("ann first")`)
	p.want("both are there", `$("members").children.length === 2 && $("members", other).children.length === 2`)
	p.want("bob has read it", `$("log").textContent.includes("read by bob")`)
	p.Eval(`$("text", other).value = "s"; $("text", other).oninput()`)
	p.want("bob is typing", `$("members").querySelector(".typing")?.textContent === "bob"`)
	p.Eval(`submit(other, "say", {text: "second <i>"})`)
	p.want("bob says something", `$("log").textContent.includes("bob second <i>")`)
	p.want("bob is not typing", `$("members").querySelector(".typing") === null`)
	p.Eval(`other.close()`)
	p.want("bob has left", `$("members").textContent === "ann"`)
}

// The chart of every stock is updated.
func TestLive(t *testing.T) {
	u := harness.NewUser(t)
	p := open(t, start(t, u, "live"))
	p.want("all stocks", `document.querySelectorAll("#stocks figure").length === 20`)
	p.want("updates", `Number($("rate").textContent) > 100`)
	p.Eval(`const before = document.querySelector("figcaption b").textContent`)
	p.want("a price changes", `document.querySelector("figcaption b").textContent !== before`)
}

// The page shows the lines of the program's standard input from before and after the page was loaded.
func TestFeed(t *testing.T) {
	u := harness.NewUser(t)
	fifo := filepath.Join(u.Home, "news")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	news, err := os.OpenFile(fifo, os.O_RDWR, 0) // O_RDWR does not wait for a reader
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { news.Close() })
	program, address := build(t, u, "feed"), "127.0.0.1:"+harness.FreePort(t)
	u.Start(address, "bash", "-c", "exec "+program+" -listen "+address+" <"+fifo)
	fmt.Fprintln(news, "before <b>")
	p := open(t, "http://"+address+"/")
	p.want("what was published before", `$("news").textContent.includes("before <b>") && $("state").textContent === "open"`)
	fmt.Fprintln(news, "after")
	p.want("what is published now", `$("news").firstChild.textContent.endsWith(" after")`)
}

// A customer places an order, and sees its state change.
func TestEmbed(t *testing.T) {
	u := harness.NewUser(t)
	p := open(t, start(t, u, "embed"))
	p.Eval(`submit(window, "login", {name: "ann"})`)
	p.want("the connection", `$("state").textContent === "open"`)
	p.Eval(`submit(window, "order", {item: "tea"})`)
	p.want("the order", `$("orders").textContent.includes("tea") && $("orders").textContent.includes("ordered")`)
	p.Eval(`$("orders").querySelector("button").click()`)
	p.want("the order was sent", `$("orders").textContent.includes("sent")`)
}

// Two browsers edit one text. A third browser joins when most of the updates have been discarded, and receives the whole text.
func TestCollab(t *testing.T) {
	u := harness.NewUser(t)
	url := start(t, u, "collab") + "#minutes"
	ann, bob := open(t, url), open(t, url)
	for _, p := range []page{ann, bob} {
		p.want("both are there", `!$("text").disabled && $("members").textContent.split(",").length === 2`)
		p.Eval(`const text = () => $("text").value;
			const type = (what, at) => {
				$("text").setRangeText(what, at, at, "end");
				$("text").dispatchEvent(new Event("input"));
			};`)
	}
	ann.Eval(`type("middle", 0)`)
	bob.want("what ann has typed", `text() === "middle"`)
	bob.Eval(`type(" end", 6); $("text").setSelectionRange(6, 6)`)
	ann.want("what bob has typed", `text() === "middle end"`)
	ann.Eval(`type("start ", 0)`)
	bob.want("what ann has typed", `text() === "start middle end"`)
	bob.want("the cursor moved with the text", `$("text").selectionStart === "start middle".length`)

	ann.Eval(`for (let i = 0; i < 700; i++) type("a", text().length)`)
	bob.Eval(`for (let i = 0; i < 100; i++) type("b", 0)`)
	whole := `text().length === 816 && text().startsWith("b".repeat(100) + "start middle end") && text().endsWith("a".repeat(700))`
	ann.want("the whole", whole)
	bob.want("the whole", whole)
	late := open(t, url)
	late.Eval(`const text = () => $("text").value;`)
	late.want("the whole", `!$("text").disabled && `+whole)
}
