//go:build e2e

package balance

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/handfast/handfast/e2e/internal/chromium"
	"github.com/handfast/handfast/e2e/internal/harness"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// adminPage is the page of the balancer's admin listener in a browser.
type adminPage struct {
	*chromium.Browser
	t *testing.T
	f *farm
}

// openPage opens the admin page.
func openPage(t *testing.T, f *farm) *adminPage {
	t.Helper()
	p := &adminPage{chromium.Start(t, chromium.Options{Dir: f.u.Home, Env: f.u.Environ()}), t, f}
	p.Open("http://" + f.admin + "/")
	return p
}

// shows waits until the page shows the server in row i with a state and a number of connections.
func (p *adminPage) shows(what string, i int, state, connections string) {
	p.t.Helper()
	cells := fmt.Sprintf(`[...document.querySelectorAll("#servers tbody tr")].filter(r => r.cells[0].scope === "row" && r.cells[0].textContent === "ws://%s").flatMap(r => [...r.cells]).map(c => c.innerText).join("|")`, p.f.id(i))
	harness.Until(p.t, "the page shows "+what, func() bool {
		row := strings.Split(p.Eval(cells), "|")
		return len(row) > 2 && strings.Contains(strings.Join(strings.Fields(row[1]), " "), state) && strings.TrimSpace(row[2]) == connections
	})
}

// connect opens n connections of clients that answer close frames.
func (f *farm) connect(t *testing.T, n int) {
	t.Helper()
	for range n {
		c, err := websocket.Dial(bounded.Context(t), f.url(), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.CloseNow() })
		go func() {
			for {
				if _, err := c.Read(bounded.Context(t)); err != nil {
					return
				}
			}
		}()
	}
}

// operate sends a POST request to the admin listener.
func (f *farm) operate(t *testing.T, path string) {
	t.Helper()
	resp, err := http.Post("http://"+f.admin+path, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("POST %s: got %s, want 200", path, resp.Status)
	}
}

// The admin page shows the servers, their connections and a drain, and updates itself without being reloaded.
func TestPageOfServers(t *testing.T) {
	f := start(t, farmOptions{kinds: []string{"", ""}, balance: ", policy: round_robin, drain: {per_second: 1000}"})
	f.connect(t, 8)
	live := []int{f.live(f.id(0)), f.live(f.id(1))}
	b := openPage(t, f)
	b.Eval(`window.loaded = "once"`)
	for i := range f.servers {
		b.shows("a server with its connections", i, "ready", fmt.Sprint(live[i]))
	}
	harness.Until(t, "the page shows the admission", func() bool {
		return strings.Contains(b.Eval(`document.querySelector(".handshakes").innerText`), "All are admitted; 0 were refused.")
	})

	f.do("drain", f.id(0), "--wait")
	b.shows("the end of a drain", 0, "draining by the operator; empty", "0")
	harness.Until(t, "the page says what has happened", func() bool {
		return strings.Contains(b.Eval(`document.querySelector("#happened[role=status]").innerText`), f.id(0))
	})
	f.do("undrain", f.id(0))
	b.shows("that the server is back", 0, "ready", "0")
	f.operate(t, "/balance/drain?pace=0.001&server="+f.id(1))
	b.shows("a drain in progress", 1, fmt.Sprintf("draining by the operator; 1 of %d connections have left", live[1]), fmt.Sprint(live[1]-1))
	if got := b.Eval(`window.loaded`); got != "once" {
		t.Error("the page was loaded again")
	}
	if strings.Contains(strings.Join(b.Log, "\n"), "Content Security Policy") {
		t.Errorf("%s", b.Log)
	}
}

// The page shows servers in different states. This test creates the picture in docs/.
func TestPageOfServersInDifferentStates(t *testing.T) {
	const each, capacity = 6, 3
	f := start(t, farmOptions{kinds: []string{"", "", "", "", ""}, proxied: 4, balance: ", policy: round_robin, slow_start: 0s, ejection: {failures: 0}"})
	f.connect(t, 4*each)
	f.operate(t, fmt.Sprintf("/balance/servers?server=%s&capacity=%d", f.id(4), capacity))
	f.connect(t, 5*capacity+5) // round robin over five servers, until the new server is full
	live := f.live(f.id(1))
	f.operate(t, "/balance/drain?pace=0.001&server="+f.id(1))
	f.kill(f.servers[2])
	b := openPage(t, f)
	b.shows("a ready server", 0, "ready", fmt.Sprint(f.live(f.id(0))))
	b.shows("a drain in progress", 1, fmt.Sprintf("draining by the operator; 1 of %d connections have left", live), fmt.Sprint(live-1))
	b.shows("a server that is down", 2, "down", "0")
	b.shows("a full server", 4, "full", fmt.Sprintf("%d of at most %d", capacity, capacity))
	b.View(1280, 660, false)
	b.Picture("page-servers.png")
}
