// Package clients holds the tests of protected endpoints with clients that other people wrote, as their users run them:
// Chromium with a session cookie, a ticket, a token among the subprotocols and a client certificate, and as a page of another
// site; C#; curl; openssl s_client.
//
// C# is compiled and run by Mono, which stands in for .NET: the program is the one of docs/wss.md, taken from there, and uses
// nothing that the two do not share.
//
// The page's script is the guide's, too. A missing program fails the tests.
package clients
