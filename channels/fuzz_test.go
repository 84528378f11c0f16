package channels

import (
	"os"
	"strings"
	"testing"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/websocket"
)

// discardSender is a connection that accepts and discards every message.
type discardSender struct{ websocket.Sender }

func (discardSender) Send(websocket.Message) error              { return nil }
func (discardSender) SendPrepared(...*websocket.Prepared) error { return nil }
func (discardSender) Shut(websocket.Code, string) error         { return nil }

// Arbitrary commands, one per line, close a session only with the code for too many failed commands.
func FuzzSession(f *testing.F) {
	files, err := os.ReadDir("testdata")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		if text, err := os.ReadFile("testdata/" + file.Name()); err == nil {
			var sent strings.Builder
			for line := range strings.Lines(string(text)) {
				if _, command, ok := strings.Cut(line, "> "); ok {
					sent.WriteString(command)
				}
			}
			f.Add(sent.String())
		}
	}
	h := hub.New(hub.Options{Namespaces: []hub.Namespace{{History: 3, Presence: true}}, MaxSubscriptions: 4})
	f.Cleanup(func() { h.Close() })
	s := &Server{Hub: h, App: "dev"}
	f.Fuzz(func(t *testing.T, commands string) {
		r := s.Open(Client{User: "ann"})(discardSender{})
		defer r.Closed(nil)
		for line := range strings.Lines(commands) {
			err := r.Message(websocket.Message{Type: websocket.Text, Data: []byte(line)})
			if err != nil {
				if websocket.CloseCode(err) != websocket.CodePolicy {
					t.Fatal(err)
				}
				return
			}
		}
	})
}
