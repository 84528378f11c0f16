package gateway

import (
	"context"
	"testing"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/internal/bounded"
)

// The paths of endpoints and those of requests are the same when their segments are, decoded (RFC 3986 §6.2.2.2, §2.2): an encoded
// slash is a character of a segment.
func TestEncodedPaths(t *testing.T) {
	opened := make(chan [2]string, 1)
	r := runTargets(t, parse(t, `endpoints:
	- {name: umlaut, path: /räume, target: echo, auth: [anonymous]}
	- {name: encoded, path: /caf%%C3%%A9, target: echo, auth: [anonymous]}
	- {name: chat, path: /chat, target: echo, auth: [anonymous]}
	- {name: room, path: "/rooms/{room}", target: echo, auth: [anonymous]}
	- {name: rest, path: "/all/{room...}", target: echo, auth: [anonymous]}
`), map[string]newTarget{"echo": func(cfg *config.Config, i int) (Target, error) {
		return &double{open: func(ctx context.Context, r *Request) (*Opened, error) {
			opened <- [2]string{cfg.Endpoints[i].Name, r.PathValue("room")}
			return echo{}.Open(ctx, r)
		}}, nil
	}})
	for _, tt := range []struct{ path, endpoint, room string }{
		{"/r%C3%A4ume", "umlaut", ""},
		{"/r%c3%a4ume", "umlaut", ""},
		{"/räume", "umlaut", ""}, // the client encodes it
		{"/r%E4ume", "", ""},     // Latin-1
		{"/caf%C3%A9", "encoded", ""},
		{"/c%61f%C3%A9", "encoded", ""},
		{"/chat", "chat", ""},
		{"/ch%61t", "chat", ""},
		{"/%63%68%61%74", "chat", ""},
		{"/chat%2F", "", ""},
		{"/chat%3Fa", "", ""},
		{"/chat%00", "", ""},
		{"/CHAT", "", ""},
		{"/rooms/a%2Fb", "room", "a/b"},
		{"/rooms/%C3%A4%20%3F", "room", "ä ?"},
		{"/rooms/a%252Fb", "room", "a%2Fb"},
		{"/rooms%2Fa", "", ""},
		{"/rooms/a/b", "", ""},
		{"/all/a%2Fb/c", "rest", "a/b/c"},
	} {
		if tt.endpoint == "" {
			if e := r.refuse(t, tt.path, nil); e.Status != 404 {
				t.Errorf("%s: %v", tt.path, e)
			}
			continue
		}
		c := r.open(t, tt.path, nil)
		if at := bounded.Receive(t, opened); at != [2]string{tt.endpoint, tt.room} {
			t.Errorf("%s: endpoint and room are %q", tt.path, at)
		}
		c.CloseNow()
	}
}
