// Package gateway turns settings into running endpoints: it binds addresses, sets up TLS, answers requests, and knows
// every open WebSocket, so that it can end them properly.
//
// [Open] binds, [Server.Serve] runs until its context ends, and then drains: nobody new gets in, every connection is
// closed with 1001 (RFC 6455 §7.4.1: the server is going down), and what has not answered in time is cut.
package gateway
