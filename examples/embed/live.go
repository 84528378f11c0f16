package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"strconv"
	"time"

	"github.com/handfast/handfast/channels"
	"github.com/handfast/handfast/channels/wire"
	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/websocket"
)

// app is the application's name in the hub. A hub can contain several applications.
const app = "shop"

// live publishes each customer's orders in a channel of the customer.
type live struct {
	hub      *hub.Hub
	endpoint *websocket.Endpoint
}

func newLive() *live {
	l := &live{hub: hub.New(hub.Options{Namespaces: []hub.Namespace{{Prefix: "orders-", History: 100, HistoryAge: time.Hour}}})}
	speaks := &channels.Server{Hub: l.hub, App: app}
	l.endpoint = &websocket.Endpoint{
		Accept: websocket.AcceptOptions{Subprotocols: []string{wire.Subprotocol}, Conn: channels.ConnOptions()},
		// Admit runs before the 101 response, and identifies the client by the shop's own session.
		Admit: func(r *http.Request) (*websocket.Admission, error) {
			who := customer(r)
			if who == "" {
				return nil, &websocket.Reject{Status: http.StatusUnauthorized, Reason: "log in first"}
			}
			return &websocket.Admission{Open: speaks.Open(channels.Client{User: who, Allow: func(action, channel string) error {
				if action != hub.ActionPublish && channel == "orders-"+who {
					return nil
				}
				return errors.New("a customer may only read the customer's own orders")
			}})}, nil
		},
	}
	return l
}

// changed publishes an order. Its key is the order's number, so that a snapshot of the channel contains the latest state of each order.
func (l *live) changed(ctx context.Context, o order) {
	data, err := json.Marshal(o)
	if err == nil {
		p := &hub.Publication{Data: data, Key: strconv.Itoa(o.Number)}
		_, err = l.hub.Publish(ctx, app, "orders-"+o.Customer, p, nil)
	}
	if err != nil {
		log.Printf("order %d was not published: %v", o.Number, err)
	}
}

// shutdown closes the connections and then the hub. Clients reconnect when another process serves the shop.
func (l *live) shutdown(ctx context.Context) error {
	return errors.Join(l.endpoint.Shutdown(ctx), l.hub.Close())
}
