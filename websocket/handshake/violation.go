package handshake

import "net/http"

// The steps at which a handshake can fail. Their meaning is told at websocket.Stage.
const (
	StageRequest     = "request"
	StageStatus      = "status"
	StageHeader      = "header"
	StageKey         = "key"
	StageSubprotocol = "subprotocol"
	StageExtension   = "extension"
	StageOrigin      = "origin"
)

// Violation is a rule that the peer's half of the handshake breaks.
type Violation struct {
	Stage   string      // one of the Stage constants
	Section string      // the clause: "RFC 6455 §4.2.1"
	Status  int         // on the server: the reply's status
	Header  http.Header // on the server: further fields for the reply; may be nil
	Detail  string      // what is wrong; quotes no value that could be a secret
	Hint    string      // the next step; "" when Detail says it all
}

// Error returns the detail.
func (v *Violation) Error() string { return v.Detail }

// NextStep returns v.Hint.
func (v *Violation) NextStep() string { return v.Hint }

// The two lines that make nginx pass an upgrade on. What they mend is the most frequent cause of a failed handshake.
const proxyHint = "a proxy on the way dropped the upgrade; with nginx: proxy_http_version 1.1; " +
	`proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";`
