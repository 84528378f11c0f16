// Package proxy carries WebSocket connections between clients and the servers behind a balancer.
//
// A [Dialer] makes a client's opening handshake with one upstream: [Dialer.Open] returns a [Link] behind a verified 101, what the upstream
// has answered instead ([*Refused]), or which step failed ([*Failure]).
//
//	dialer, err := proxy.NewDialer("wss://10.0.0.5:8443/app", proxy.DialerOptions{Remove: []string{"X-User"}})
//	link, err := dialer.Open(ctx, &proxy.Request{Request: r, Source: source, Identity: http.Header{"X-User": {user}}})
//
// A [Carrier] holds the tunnels. [Carrier.Carry] takes two connections behind their handshake and passes the bytes of each to the
// other, unchanged. It follows the headers of frames, so that it can put a close frame ([Tunnel.Shut]) or a ping ([TunnelOptions].Ping)
// between two of them; of payloads it looks at those of close frames only.
//
//	carrier := proxy.NewCarrier()
//	defer carrier.Close()
//	tunnel, err := carrier.Carry(client, upstream, early, late, proxy.TunnelOptions{Idle: time.Hour}, func(_ *proxy.Tunnel, err error) {
//		log.Print("the tunnel is over: ", err)
//	})
//	...
//	tunnel.Shut(websocket.CodeServiceRestart, "retry-after=3")
//
// A [Balancer] does all of it for the servers of a pool: it chooses one, tries another one when that fails, checks which of them work, and
// moves clients off those that drain. [Balancer.Open] returns a [Conn], which carries bytes ([Conn.Tunnel]) or, where [Settings] ask for
// [Messages] or [Hold], one message after the other ([Conn.Serve]). A connection that is held goes on at another server, by what package
// resume knows of its protocol.
//
// On Linux, sockets are carried on an event loop, with TLS or without: a tunnel that waits costs two descriptors and less than a KiB on top of
// what crypto/tls keeps, and no goroutine. What a side does not take is queued, at most the 64 KiB of one read, and the other side is not
// read from meanwhile. Every other connection has a goroutine for each direction, which waits without a buffer where the system allows that.
package proxy
