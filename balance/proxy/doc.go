// Package proxy carries WebSocket connections between clients and the servers behind a balancer.
//
// A [Dialer] performs a client's opening handshake with one upstream. [Dialer.Open] returns a [Link] after a valid 101, the
// upstream's other response ([*Refused]), or the step that failed ([*Failure]).
//
//	dialer, err := proxy.NewDialer("wss://10.0.0.5:8443/app", proxy.DialerOptions{Remove: []string{"X-User"}})
//	link, err := dialer.Open(ctx, &proxy.Request{Request: r, Source: source, Identity: http.Header{"X-User": {user}}})
//
// A [Carrier] holds the tunnels. [Carrier.Carry] takes two connections after their handshake and passes the bytes of each to the
// other, unchanged. A Carrier follows the frame headers, so that it can insert a close frame ([Tunnel.Shut]) or a ping
// ([TunnelOptions].Ping) between two frames; it reads no payloads except those of close frames.
//
//	carrier := proxy.NewCarrier()
//	defer carrier.Close()
//	tunnel, err := carrier.Carry(client, upstream, early, late, proxy.TunnelOptions{Idle: time.Hour}, func(_ *proxy.Tunnel, err error) {
//		log.Print("the tunnel is over: ", err)
//	})
//	...
//	tunnel.Shut(websocket.CodeServiceRestart, "retry-after=3")
//
// A [Balancer] does all of this for the servers of a pool: it chooses a server, tries another one if that fails, checks the health
// of the servers, and moves clients off draining servers. [Balancer.Open] returns a [Conn], which carries bytes ([Conn.Tunnel]) or,
// if [Settings] contain [Messages] or [Hold], single messages ([Conn.Serve]). A held connection continues on another server, with
// the help of package resume, which knows the protocol.
//
// On Linux, sockets are carried on an event loop, with or without TLS: an idle tunnel takes two descriptors and less than 1 KiB in
// addition to the memory of crypto/tls, and no goroutine. What a side does not accept is queued, at most the 64 KiB of one read,
// and until then nothing is read from the other side. Every other connection has a goroutine for each direction, which waits
// without a buffer if the system allows it.
package proxy
