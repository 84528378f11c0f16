// Command feed sends each line of its standard input to every browser that has its page open. It is the smallest example of a server
// that pushes messages. Clients that reconnect receive the messages that they missed.
package main

import (
	"bufio"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/handfast/handfast/channels"
	"github.com/handfast/handfast/channels/wire"
	"github.com/handfast/handfast/examples/internal/site"
	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/websocket"
)

//go:embed page
var page embed.FS

const app = "feed"

func main() { site.Main(example(os.Stdin)) }

func example(news io.Reader) site.Site {
	files, err := fs.Sub(page, "page")
	if err != nil {
		panic(err) // the directory is embedded
	}
	return site.Site{Name: "feed", Listen: "127.0.0.1:9208", Page: files, Register: func(mux *http.ServeMux) func(context.Context) error {
		return register(mux, news)
	}}
}

// register adds the WebSocket endpoint, and starts publishing.
func register(mux *http.ServeMux, news io.Reader) func(context.Context) error {
	h := hub.New(hub.Options{Namespaces: []hub.Namespace{{Prefix: "news", History: 100, HistoryAge: 24 * time.Hour}}})
	speaks := &channels.Server{Hub: h, App: app}
	endpoint := &websocket.Endpoint{
		Accept: websocket.AcceptOptions{Subprotocols: []string{wire.Subprotocol}, Conn: channels.ConnOptions()},
		Open:   speaks.Open(channels.Client{Allow: readOnly}),
	}
	mux.Handle("GET /channels", endpoint)
	go publish(h, news) // returns at the end of the input, or when the process exits
	return func(last context.Context) error {
		return errors.Join(endpoint.Shutdown(last), h.Close())
	}
}

// readOnly lets clients subscribe but not publish.
func readOnly(action, _ string) error {
	if action == hub.ActionPublish {
		return errors.New("only the server publishes news")
	}
	return nil
}

// publish publishes each line of the input. A real application would publish its own messages in the same way.
func publish(h *hub.Hub, news io.Reader) {
	lines := bufio.NewScanner(news)
	for lines.Scan() {
		data, err := json.Marshal(lines.Text())
		if err == nil {
			_, err = h.Publish(context.Background(), app, "news", &hub.Publication{Data: data}, nil)
		}
		if err != nil {
			log.Print("not published: ", err)
		}
	}
	if err := lines.Err(); err != nil {
		log.Print("the input ended: ", err)
	}
}
