// Command chat is a chat with rooms. It shows members, typing indicators, the message history and read receipts.
package main

import (
	"context"
	"embed"
	"errors"
	"io/fs"
	"net/http"
	"regexp"
	"time"

	"github.com/handfast/handfast/channels"
	"github.com/handfast/handfast/channels/wire"
	"github.com/handfast/handfast/examples/internal/site"
	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/websocket"
)

//go:embed page
var page embed.FS

func main() { site.Main(example()) }

func example() site.Site {
	files, err := fs.Sub(page, "page")
	if err != nil {
		panic(err) // the directory is embedded
	}
	return site.Site{Name: "chat", Listen: "127.0.0.1:9202", Page: files, Register: register}
}

// namespaces contains the namespaces of the chat. The channel room-NAME has the members and messages of a room. The channel read-NAME is
// a collection with one key per reader, whose value is the offset of the last message that the reader has seen.
var namespaces = []hub.Namespace{
	{Prefix: "room-", History: 500, HistoryAge: 24 * time.Hour, Presence: true, MaxData: 4 << 10, Rate: 20, Burst: 40},
	{Prefix: "read-", History: 100, HistoryAge: time.Hour, KeyTTL: 24 * time.Hour, MaxData: 64, Rate: 20, Burst: 40},
}

// allowed matches the channels that clients may use: the channels of rooms.
var allowed = regexp.MustCompile(`^(room|read)-[\p{L}\p{N} _-]{1,60}$`)

func register(mux *http.ServeMux) func(context.Context) error {
	h := hub.New(hub.Options{Namespaces: namespaces})
	speaks := &channels.Server{Hub: h, App: "chat"}
	endpoint := &websocket.Endpoint{
		Accept: websocket.AcceptOptions{Subprotocols: []string{wire.Subprotocol}, Conn: channels.ConnOptions()},
		Admit: func(r *http.Request) (*websocket.Admission, error) {
			// A real application uses the user of a session instead of a parameter. Two windows with the same name are one member.
			name := r.URL.Query().Get("name")
			if name == "" || len(name) > 40 {
				return nil, &websocket.Reject{Status: http.StatusBadRequest, Reason: "a name of up to 40 bytes is required in the URL: /channels?name=alice"}
			}
			return &websocket.Admission{Open: speaks.Open(channels.Client{User: name, Allow: allow})}, nil
		},
	}
	mux.Handle("GET /channels", endpoint)
	return func(ctx context.Context) error {
		return errors.Join(endpoint.Shutdown(ctx), h.Close())
	}
}

func allow(_, channel string) error {
	if allowed.MatchString(channel) {
		return nil
	}
	return errors.New("not the channel of a room")
}
