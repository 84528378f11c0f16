package channels

import (
	"fmt"
	"strings"
	"testing"

	"github.com/handfast/handfast/hub"
)

// A publication is encoded once, as long as it is among the recent ones, of which there are not too many.
func TestRecent(t *testing.T) {
	var r recent
	p := &hub.Publication{Data: []byte(`{"n":1}`)}
	first, err := r.message("c", p)
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.message("c", p)
	if err != nil || again != first {
		t.Errorf("%p, %p, %v", first, again, err)
	}
	if internal, err := r.message("c", &hub.Publication{Event: hub.InternalPrefix + "x"}); internal != nil || err != nil {
		t.Errorf("%v, %v: a message that clients do not get", internal, err)
	}
	// The clients of 300 channels that come back in turn, each having missed ten publications, find all of them again.
	for i := range 3_000 {
		if _, err := r.message("c", &hub.Publication{Data: fmt.Append(nil, i)}); err != nil {
			t.Fatal(err)
		}
	}
	if again, err := r.message("c", p); again != first || err != nil {
		t.Errorf("it was dropped within the bound: %v", err)
	}
	large := []byte(`"` + strings.Repeat("x", 64<<10) + `"`)
	for range 2 * recentBytes / len(large) {
		if _, err := r.message("c", &hub.Publication{Data: large}); err != nil {
			t.Fatal(err)
		}
	}
	if again, err := r.message("c", p); again == first || err != nil {
		t.Errorf("it was kept beyond the bound: %v", err)
	}
	sum := 0
	for _, m := range r.messages {
		sum += m.Len() + recentEntry
	}
	if sum != r.bytes || sum > recentBytes || len(r.messages) != len(r.order) {
		t.Errorf("%d bytes, %d counted, %d and %d messages", sum, r.bytes, len(r.messages), len(r.order))
	}
}
