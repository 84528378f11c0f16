// Package gateway turns settings into running endpoints: it binds addresses, sets up TLS, finds out who a client is and
// what it may do, answers requests, and knows every open WebSocket, so that it can end them properly.
//
// [Open] binds, [Server.Serve] runs until its context ends, and then drains: no new client is admitted, every connection is
// closed, one after the other in random order, and what has not answered in time is cut. [Server.Reload] takes another
// configuration: what it does not change goes on undisturbed.
//
// What an endpoint does with its clients is a [Target]. The packages that implement one, such as channels or a balancer, do
// not import this package; an adapter here joins the two.
//
// A request goes through a [websocket.Server] (PROXY protocol, TLS, a bound on those that wait there), front (who the client is
// behind proxies, redirects), and the current site, which is one configuration made ready to serve: there is one at a time, a
// reload makes another, and it is never changed.
package gateway
