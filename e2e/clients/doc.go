// Package clients tests protected endpoints with third-party clients, used as their users do: Chromium with a session cookie, a
// ticket, a token among the subprotocols, a client certificate, and a page of another site; C#; curl; openssl s_client.
//
// The C# program is the one in docs/wss.md. It is compiled and run by Mono as a substitute for .NET, and uses only features that
// both support.
//
// The page's script is taken from the guide, too. A missing program fails the tests.
package clients
