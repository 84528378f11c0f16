package channels

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/handfast/handfast/channels/wire"
	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
)

// Even with the largest messages, the size of a page is limited, and the next page continues after it.
func TestLargePages(t *testing.T) {
	h := newHub(t)
	n := 1000
	if testing.Short() {
		n = 100
	}
	data := []byte(`"` + strings.Repeat("x", 65_000) + `"`)
	for i := range n {
		if _, err := h.Publish(bounded.Context(t), "dev", "long:x", &hub.Publication{Data: data, Key: fmt.Sprintf("%04d", i)}, nil); err != nil {
			t.Fatal(err)
		}
	}
	c := dial(t, start(t, "run", &Server{Hub: h, App: "dev"}), nil)
	read(t, c)
	page := func(command string) (p wire.Page) {
		send(t, c, command)
		text := read(t, c)
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			t.Fatal(err)
		}
		if len(text) > hub.PageBytes+4096 || len(p.Messages) > 4 {
			t.Fatalf("a reply of %d bytes with %d messages", len(text), len(p.Messages))
		}
		return p
	}
	for _, reverse := range []bool{false, true} {
		got, since := 0, ""
		for {
			p := page(fmt.Sprintf(`{"type":"history","id":1,"channel":"long:x","limit":1000,"reverse":%v%s}`, reverse, since))
			if len(p.Messages) == 0 {
				break
			}
			got += len(p.Messages)
			since = fmt.Sprintf(`,"since":{"epoch":"%s","offset":%d}`, p.Position.Epoch, p.Messages[len(p.Messages)-1].Offset)
		}
		if got != n {
			t.Errorf("reverse %v: %d messages", reverse, got)
		}
	}
	got := 0
	for after, more := "", true; more; more = after != "" {
		p := page(fmt.Sprintf(`{"type":"snapshot","id":1,"channel":"long:x","limit":1000,"after":"%s"}`, after))
		got += len(p.Messages)
		after = p.Next
	}
	if got != n {
		t.Errorf("%d keys", got)
	}
}
