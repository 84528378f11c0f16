// Package client is the Go client of channels, for the protocol handfast.v1.json: it subscribes and publishes, comes back when
// the connection is lost, and gets what it has missed.
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
//			// it is not known what was missed
//		}
//	}
//
// # What is promised
//
// A subscriber gets each message once and in order, across all connections, as long as the server keeps what it misses
// meanwhile; otherwise it gets an [Event] with a Gap. [Client.Publish] returns when the server has accepted the message; when the
// connection is lost before that, it publishes again with the same message ID, so that the message is published once.
//
// # Slow consumers
//
// Events wait in a queue of 256 for each subscription. When it is full, the client does not read from the connection until there
// is room, which holds up its other subscriptions and replies, too; the server then drops and refills, or reports a gap.
package client
