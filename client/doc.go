// Package client is the Go client of channels, for the protocol handfast.v1.json: it subscribes and publishes, reconnects when the
// connection is lost, and recovers missed messages.
//
//	c := client.New("wss://localhost:8443/channels", nil)
//	defer c.Close()
//	s, err := c.Subscribe(ctx, "chat", nil)
//	if err != nil {
//		return err
//	}
//	for e, err := range s.Events(ctx) {
//		switch {
//		case err != nil:
//			return err
//		case e.Message != nil:
//			fmt.Printf("%s\n", e.Message.Data)
//		case e.Gap != "":
//			// messages may be missing here
//		}
//	}
//
// # Guarantees
//
// A subscriber receives each message once and in order, across all connections, as long as the server keeps the messages that the
// subscriber misses in the meantime; otherwise it receives an [Event] with a Gap. [Client.Publish] returns when the server has accepted the
// message. If the connection is lost before that, the client publishes again with the same message ID, so that the message is published
// only once.
//
// # Slow consumers
//
// Events wait in a queue of 256 for each subscription. When the queue is full, the client does not read from the connection until there is
// room. This also delays other subscriptions and replies. The server then drops messages and sends them again later, or reports a gap.
package client
