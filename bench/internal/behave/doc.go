// Package behave observes what load balancers do with live WebSockets while servers and configurations come and go: which
// connections are kept, closed with a code, or cut, and when. It runs each balancer as an operator would, with some servers behind it
// and a crowd of clients in front, which use no library. Every cell of its table is made of what those clients have seen.
package behave

// What an upstream server of the table answers a handshake with, its flag -answer.
const (
	AnswerUpgrade     = "101" // as RFC 6455 has it
	AnswerWrongKey    = "key" // 101 with the wrong Sec-WebSocket-Accept
	AnswerPage        = "200" // a page, as if the request were not handshake
	AnswerUnavailable = "503"
)

// The header fields of such a server's answer.
const (
	ServerField     = "X-Server"     // its address
	GenerationField = "X-Generation" // the same field of the request, which the balancer's configuration sets
)
