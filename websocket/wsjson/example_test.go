package wsjson_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/wsjson"
	"github.com/handfast/handfast/websocket/wstest"
)

type order struct {
	Item  string `json:"item"`
	Count int    `json:"count"`
}

// A server answers each order with a total. In this example, client and server are connected in memory.
func Example() {
	ctx := context.Background()
	client, server := wstest.Pipe(nil, nil)
	defer client.CloseNow()
	go func() {
		defer server.CloseNow()
		total := 0
		for o, err := range wsjson.Messages[order](ctx, server) {
			if err != nil {
				server.Close(websocket.CodeInvalidData, "not an order")
				return
			}
			total += o.Count
			wsjson.Write(ctx, server, map[string]int{"total": total})
		}
	}()

	for _, o := range []order{{"apples", 2}, {"pears", 3}} {
		if err := wsjson.Write(ctx, client, o); err != nil {
			fmt.Println(err)
			return
		}
		var answer struct{ Total int }
		if err := wsjson.Read(ctx, client, &answer); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(o.Item, answer.Total)
	}
	wsjson.Write(ctx, client, "thank you")
	var none struct{}
	err := wsjson.Read(ctx, client, &none)
	fmt.Println(err)
	// Output:
	// apples 2
	// pears 5
	// websocket: closed by the peer with 1007 invalid payload data ("not an order")
}

// An unexpected message is discarded, and the connection stays open.
func ExampleRead() {
	ctx := context.Background()
	client, server := wstest.Pipe(nil, nil)
	defer client.CloseNow()
	defer server.CloseNow()

	client.Write(ctx, websocket.Message{Type: websocket.Text, Data: []byte(`{"item":"figs","count":"many"}`)})
	client.Write(ctx, websocket.Message{Type: websocket.Binary, Data: []byte(`{}`)})
	wsjson.Write(ctx, client, order{"plums", 9})
	for range 3 {
		var o order
		err := wsjson.Read(ctx, server, &o)
		var shape *json.UnmarshalTypeError
		switch {
		case errors.As(err, &shape):
			fmt.Println("not an order:", shape.Field, "is a", shape.Value)
		case err != nil:
			fmt.Println(err)
		default:
			fmt.Println(o)
		}
	}
	// Output:
	// not an order: count is a string
	// wsjson: received a binary message; JSON is expected in a text message
	// {plums 9}
}
