// Package auth says who a client is, and what it may do. An [Authenticator] finds an [Identity] in a request, [Rules]
// say what it may do; a [Guard] puts both before an endpoint, and [Chain] asks several methods in turn.
//
//	keys, err := auth.OIDC("https://id.example.com/realm", auth.FetchOptions{})
//	tokens, err := auth.NewJWT(auth.JWTOptions{Keys: keys, Audience: []string{"chat"}})
//	rules, err := auth.NewRules(auth.Rule{Effect: auth.Allow, If: `"chat" in claims.roles`})
//	guard := &auth.Guard{Authenticator: auth.Chain(tokens), Rules: rules}
//	...
//	c, id, err := guard.Accept(w, r, nil) // instead of websocket.Accept
//
// # Choosing a method
//
// The constructor of WebSocket in a browser takes a URL and a list of subprotocols, and nothing else: no page can set a
// header. What is left to it is a cookie, the subprotocol list, the URL and a client certificate. And a browser tells the
// page nothing about a handshake that fails: neither the status nor the body, only that the connection was closed with 1006.
// A page that wants to know why asks by fetch.
//
//	who connects                                      take
//	a service, a command                              [Bearer] with a [JWT], or an API key
//	a device with a certificate                       the client certificate
//	a page that has a token                           [Subprotocol], with a real protocol beside it
//	a page whose visitor has a session cookie here    [Cookie] with a JWT, or [SessionCookie] before forward auth; both want the
//	                                                  exact origins of the pages
//	a page on another site, or one that cannot        a ticket: the page gets it by fetch, and it is good for one
//	set subprotocols                                  connection within a minute
//	one for whom another service decides              forward auth
//	anybody                                           [Anonymous], last in the chain, and rules about what it may do
//
// A token in the URL ([Query]) is the last resort: URLs are written into logs. A ticket has the same way without the harm.
//
// # Cookies and foreign pages
//
// A browser adds its cookies to every WebSocket, whichever page opens it, and the same-origin policy does not hold for
// WebSockets: without a look at the Origin field, any page could connect as its visitor and read all that comes
// (cross-site WebSocket hijacking, CWE-1385). [Cookie] and [SessionCookie] therefore take a list of origins, compare them whole,
// and answer 403 to a request that has the cookie and comes from elsewhere. Credentials that a page must know in order to
// send them have no such weakness.
//
// # Tokens among the subprotocols
//
// A page that offers ["chat", "handfast.token.<jwt>"] is answered "chat". The entry with the token is never sent back, and
// a page that offers nothing else is answered without a protocol, which a browser takes for a failure: always offer a real
// protocol along. Proxies seldom log this field, but some do.
//
// # Answers
//
// A client that is rejected hears 401 with WWW-Authenticate when it should show another credential, 403 when it would not
// help, 429 with Retry-After when it asks too often, and 503 with Retry-After while its credential cannot be judged. It never
// hears which part of a credential was wrong. The [Error] tells the server's log, and holds no credential.
//
// # The end of a credential
//
// A connection outlives the moment at which its token was checked. A [Live] closes sessions with [CodeExpired] when
// [Identity.Expires] has come, and when what they are on is revoked: a subject, or one credential by [Identity.ID]. It works
// behind a [Guard], or directly, with [Live.Admit] and [Session.Open], on anything that can be shut. [RefuseRevoked] refuses
// what was revoked before, and [Logout] revokes; all of them share a [Store].
//
// # Rules
//
// Rules are expressions that are compiled and checked when they are loaded: an unknown name or a wrong type is an error with
// its line and column. The first rule whose condition is true decides; where none is, the answer is no. What a credential
// does not say makes no condition true by accident, and a condition that fails denies: see [Rule].
package auth
