// Package gateway turns a configuration into running endpoints: it binds addresses, sets up TLS, authenticates and authorizes
// clients, responds to requests, and keeps a registry of all open WebSockets, so that it can close them properly.
//
// [Open] binds the addresses. [Server.Serve] runs until its context is done, and then drains: no new client is admitted, the connections
// are closed one after the other in random order, and connections whose peers have not replied in time are cut. [Server.Reload] applies
// another configuration; the parts that it does not change continue undisturbed.
//
// A [Target] determines what an endpoint does with its clients. The packages that provide the targets, such as the channels and the
// balancer, do not import this package; adapters in this package connect them.
//
// A request passes through a [websocket.Server] (PROXY protocol, TLS, limits on waiting connections), front (the client's address
// behind proxies, redirects), and the current site. A site is one configuration prepared for serving. It is immutable: a reload
// creates another one.
package gateway
