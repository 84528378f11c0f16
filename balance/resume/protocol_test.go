package resume

import "testing"

// The protocol of a connection is determined in one place, for its session and for its close frames.
func TestSpeaksCentrifugo(t *testing.T) {
	for _, tt := range []struct {
		subprotocol, path string
		want              bool
	}{
		{"", "/connection/websocket", true}, {"", "/app/connection/websocket", true}, {"centrifuge-json", "/", true}, {"centrifuge-protobuf", "/ws", true},
		{"", "/", false}, {"", "/connection/websocket/x", false}, {"chat", "/connection/websocket", false}, {"handfast.v1.json", "/channels", false},
	} {
		_, session := New(tt.subprotocol, tt.path, Options{}).(*centrifugo)
		if got := SpeaksCentrifugo(tt.subprotocol, tt.path); got != tt.want || session != tt.want {
			t.Errorf("%q at %s: got %v and a session for it %v, want %v", tt.subprotocol, tt.path, got, session, tt.want)
		}
	}
}
