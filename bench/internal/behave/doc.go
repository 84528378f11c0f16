// Package behave observes how load balancers treat live WebSockets while servers and configurations change: which connections are
// kept, closed with a code, or cut, and when. It runs each balancer as an operator would, with some servers behind it and many
// clients, which use no library, in front. Every cell of its table is computed from the observations of those clients.
package behave

// An upstream server's responses to a handshake, as values of its flag -answer.
const (
	AnswerUpgrade     = "101" // as RFC 6455 specifies
	AnswerWrongKey    = "key" // 101 with the wrong Sec-WebSocket-Accept
	AnswerPage        = "200" // a page, as for an ordinary request
	AnswerUnavailable = "503"
)

// The header fields of an upstream server's response.
const (
	ServerField     = "X-Server"     // the server's address
	GenerationField = "X-Generation" // copied from the request, in which the balancer's configuration sets this field
)
