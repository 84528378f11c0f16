// Package clients tests protected endpoints with third-party clients: Chromium with a session cookie, a ticket, a token among the
// subprotocols, a client certificate, and a page of another site; C#; curl; openssl s_client.
//
// The C# program is the one in docs/wss.md. It is compiled and run by Mono as a substitute for .NET, and uses only features that
// both support.
//
// The script of the page is also from the guide. The tests fail if a program is missing.
package clients
