//go:build e2e

package examples

import (
	"testing"

	"github.com/handfast/handfast/e2e/internal/house"
)

// Two people in a room: they see each other, what was said before, who is typing, and who has read what.
func TestChat(t *testing.T) {
	u := house.NewUser(t)
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

// The chart of every stock moves.
func TestLive(t *testing.T) {
	u := house.NewUser(t)
	p := open(t, start(t, u, "live"))
	p.want("all stocks", `document.querySelectorAll("#stocks figure").length === 20`)
	p.want("updates", `Number($("rate").textContent) > 100`)
	p.Eval(`const before = document.querySelector("figcaption b").textContent`)
	p.want("a price changes", `document.querySelector("figcaption b").textContent !== before`)
}

// A customer orders, and sees the order change.
func TestEmbed(t *testing.T) {
	u := house.NewUser(t)
	p := open(t, start(t, u, "embed"))
	p.Eval(`submit(window, "login", {name: "ann"})`)
	p.want("the connection", `$("state").textContent === "open"`)
	p.Eval(`submit(window, "order", {item: "tea"})`)
	p.want("the order", `$("orders").textContent.includes("tea") && $("orders").textContent.includes("ordered")`)
	p.Eval(`$("orders").querySelector("button").click()`)
	p.want("the order was sent", `$("orders").textContent.includes("sent")`)
}
