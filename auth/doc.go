// Package auth authenticates and authorizes clients. An [Authenticator] finds an [Identity] in a request, and [Rules] decide
// what the identity may do; a [Guard] puts both in front of an endpoint, and [Chain] tries several methods in turn.
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
// The constructor of WebSocket in a browser takes only a URL and a list of subprotocols: a page cannot set a header. It can only
// use a cookie, the subprotocol list, the URL and a client certificate. The browser gives the page no details of a failed
// handshake, neither the status nor the body, only that the connection was closed with 1006. To find the reason, a page can use
// fetch.
//
//	client                                            method
//	a service, a command                              [Bearer] with a [JWT], or an API key
//	a device with a certificate                       the client certificate
//	a page that has a token                           [Subprotocol], with a real protocol beside it
//	a page whose visitor has a session cookie here    [Cookie] with a JWT, or [SessionCookie] before forward auth; both want the
//	                                                  exact origins of the pages
//	a page on another site, or one that cannot        a ticket: the page gets it by fetch, and it is good for one
//	set subprotocols                                  connection within a minute
//	clients checked by another service                forward auth
//	any client                                        [Anonymous], last in the chain, and rules about its actions
//
// A token in the URL ([Query]) is the last resort, since URLs are written to logs. A ticket is sent in the same way without
// that risk.
//
// # Cookies and foreign pages
//
// A browser adds its cookies to every WebSocket handshake of any page, and the same-origin policy does not apply to WebSockets:
// without a check of the Origin field, any page could connect as its visitor and read all messages (cross-site WebSocket
// hijacking, CWE-1385). [Cookie] and [SessionCookie] therefore require a list of origins, compare them exactly, and answer 403
// to a request with the cookie from any other origin. Credentials that a page must know to send them do not have this weakness.
//
// # Tokens among the subprotocols
//
// A page that offers ["chat", "handfast.token.<jwt>"] gets the subprotocol "chat" in the response. The entry with the token is
// never sent back, and a page that offers no other entry gets a response without a subprotocol, which a browser treats as a
// failure: always offer a real protocol as well. Proxies rarely log this field, but some do.
//
// # Answers
//
// A rejected client gets 401 with WWW-Authenticate if another credential may help, 403 if not, 429 with Retry-After after too many
// requests, and 503 with Retry-After while its credential cannot be checked. The reply never states which part of a credential is
// wrong. The [Error] is for the server's log, and contains no credential.
//
// # Expiry of a credential
//
// A connection outlives the check of its token. A [Live] closes sessions with [CodeExpired] at [Identity.Expires], and when their
// subject, or their credential by [Identity.ID], is revoked. A Live is used by a Guard, or directly, with [Live.Admit] and
// [Session.Open], for any connection that implements [Handle]. [RefuseRevoked] rejects revoked credentials, and [Logout] revokes
// them; all of them share a [Store].
//
// # Rules
//
// Rules are expressions that are compiled and checked when they are loaded: an unknown name or a wrong type is an error with its
// line and column. The first rule whose condition is true decides; if there is none, the action is denied. A missing claim never
// makes a condition true by accident, and a condition that fails denies: see [Rule].
package auth
