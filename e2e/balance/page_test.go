//go:build e2e

package balance

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/handfast/handfast/e2e/internal/chromium"
	"github.com/handfast/handfast/e2e/internal/house"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// The admin page shows the servers, their connections and a drain, and updates itself without being reloaded.
func TestPageOfServers(t *testing.T) {
	const users = 8
	f := start(t, farmOptions{kinds: []string{"", ""}, balance: ", policy: round_robin, drain: {per_second: 1000}"})
	for range users {
		c, err := websocket.Dial(bounded.Context(t), f.url(), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.CloseNow() })
		go func() { // it answers the close frame
			for {
				if _, err := c.Read(bounded.Context(t)); err != nil {
					return
				}
			}
		}()
	}
	live := []int{f.live(f.id(0)), f.live(f.id(1))}
	b := chromium.Start(t, chromium.Options{Dir: f.u.Home, Env: f.u.Environ()})
	b.Open("http://" + f.admin + "/")
	b.Eval(`window.loaded = "once"`)
	// row returns the texts of the cells in a server's row.
	row := func(i int) []string {
		return strings.Split(b.Eval(fmt.Sprintf(`[...document.querySelectorAll("#servers tbody tr")].filter(r => r.cells[0].scope === "row" && r.cells[0].textContent === "ws://%s").flatMap(r => [...r.cells]).map(c => c.innerText).join("|")`, f.id(i))), "|")
	}
	shows := func(what string, i int, state string, connections int) {
		t.Helper()
		house.Until(t, "the page shows "+what, func() bool {
			cells := row(i)
			return len(cells) > 2 && strings.Contains(strings.Join(strings.Fields(cells[1]), " "), state) && strings.TrimSpace(cells[2]) == fmt.Sprint(connections)
		})
	}
	for i := range f.servers {
		shows("a server with its connections", i, "ready", live[i])
	}
	house.Until(t, "the page shows the admission", func() bool {
		return strings.Contains(b.Eval(`document.querySelector(".handshakes").innerText`), "All are admitted; 0 were refused.")
	})

	f.do("drain", f.id(0), "--wait")
	shows("the end of a drain", 0, "draining by the operator; empty", 0)
	house.Until(t, "the page says what has happened", func() bool {
		return strings.Contains(b.Eval(`document.querySelector("#happened[role=status]").innerText`), f.id(0))
	})
	f.do("undrain", f.id(0))
	shows("that the server is back", 0, "ready", 0)
	resp, err := http.Post("http://"+f.admin+"/balance/drain?pace=0.001&server="+f.id(1), "", nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
	shows("a drain that goes on", 1, fmt.Sprintf("draining by the operator; 1 of %d connections have left", live[1]), live[1]-1)
	if got := b.Eval(`window.loaded`); got != "once" {
		t.Errorf("the page was loaded again: %s", got)
	}
	if strings.Contains(strings.Join(b.Log, "\n"), "Content Security Policy") {
		t.Errorf("%s", b.Log)
	}
}
