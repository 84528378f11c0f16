// Command live publishes 1,000 prices a second for 20 stocks. A browser that cannot receive all of them receives fewer prices, but always
// the latest price of each stock.
package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/handfast/handfast/channels"
	"github.com/handfast/handfast/channels/wire"
	"github.com/handfast/handfast/examples/internal/site"
	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/websocket"
)

//go:embed page
var page embed.FS

const (
	app    = "live"
	stocks = 20
	rate   = 1000 // prices a second
)

func main() { site.Main(example()) }

func example() site.Site {
	files, err := fs.Sub(page, "page")
	if err != nil {
		panic(err) // the directory is embedded
	}
	return site.Site{Name: "live", Listen: "127.0.0.1:9201", Page: files, Register: register}
}

func register(mux *http.ServeMux) func(context.Context) error {
	h := hub.New(hub.Options{Namespaces: []hub.Namespace{{
		Prefix: "prices", History: 1000, HistoryAge: time.Minute, Slow: hub.SlowLatest, KeyTTL: time.Minute,
	}}})
	speaks := &channels.Server{Hub: h, App: app}
	endpoint := &websocket.Endpoint{
		Accept: websocket.AcceptOptions{Subprotocols: []string{wire.Subprotocol}, Conn: channels.ConnOptions()},
		Open:   speaks.Open(channels.Client{Allow: readOnly}),
	}
	mux.Handle("GET /channels", endpoint)

	ctx, stop := context.WithCancel(context.Background())
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		trade(ctx, h)
	}()
	return func(last context.Context) error {
		stop()
		<-closed
		return errors.Join(endpoint.Shutdown(last), h.Close())
	}
}

// readOnly lets clients subscribe but not publish.
func readOnly(action, _ string) error {
	if action == hub.ActionPublish {
		return errors.New("only the server publishes prices")
	}
	return nil
}

// Price is a message in the channel prices.
type Price struct {
	Stock string  `json:"stock"`
	Price float64 `json:"price"`
}

// trade publishes prices until ctx is done, in bursts every 10 ms, because shorter timers are not precise. A late burst is larger.
func trade(ctx context.Context, h *hub.Hub) {
	prices := make([]float64, stocks)
	for i := range prices {
		prices[i] = 50 + 10*float64(i)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	begun, published := time.Now(), 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for due := int(time.Since(begun).Seconds() * rate); published < due; published++ {
			i := rand.IntN(stocks)
			prices[i] *= 1 + (rand.Float64()-0.5)/500
			p := Price{Stock: fmt.Sprintf("S%02d", i), Price: prices[i]}
			if err := publish(ctx, h, p); err != nil && ctx.Err() == nil {
				log.Print(err)
			}
		}
	}
}

// publish publishes a price with the stock as the key, so that a later price replaces one that a slow subscriber has not received.
func publish(ctx context.Context, h *hub.Hub, p Price) error {
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	_, err = h.Publish(ctx, app, "prices", &hub.Publication{Data: data, Key: p.Stock}, nil)
	return err
}
