package websocket

import "strconv"

// Code is the status code of a close frame (RFC 6455 §7.4, and the IANA registry that it established).
type Code uint16

// The registered codes for servers and clients. 3000 to 3999 belong to libraries and frameworks, 4000 to 4999 to applications.
const (
	CodeNormal          Code = 1000 // the purpose was fulfilled
	CodeGoingAway       Code = 1001 // a server going down, a browser leaving the page
	CodeProtocolError   Code = 1002 // the peer broke the protocol
	CodeUnsupportedData Code = 1003 // a message of an unsupported type
	CodeNoStatus        Code = 1005 // never sent: the close frame held no code
	CodeAbnormal        Code = 1006 // never sent: the connection ended without a close frame
	CodeInvalidData     Code = 1007 // a text message that is not UTF-8
	CodePolicy          Code = 1008 // a policy was violated, and no other code fits
	CodeTooBig          Code = 1009 // a message larger than the receiver accepts
	CodeInternalError   Code = 1011 // the server met an unexpected condition
	CodeServiceRestart  Code = 1012 // the server restarts: reconnect after a random delay
	CodeTryAgainLater   Code = 1013 // the server is overloaded: reconnect later, or elsewhere
)

var codeNames = map[Code]string{
	CodeNormal:          "normal closure",
	CodeGoingAway:       "going away",
	CodeProtocolError:   "protocol error",
	CodeUnsupportedData: "unsupported data",
	CodeNoStatus:        "no status received",
	CodeAbnormal:        "abnormal closure",
	CodeInvalidData:     "invalid payload data",
	CodePolicy:          "policy violation",
	CodeTooBig:          "message too big",
	1010:                "mandatory extension",
	CodeInternalError:   "internal error",
	CodeServiceRestart:  "service restart",
	CodeTryAgainLater:   "try again later",
	1014:                "bad gateway",
	1015:                "TLS handshake failed", // never sent
}

// String returns the number and, for a registered code, its name: "1001 going away".
func (c Code) String() string {
	s := strconv.Itoa(int(c))
	if name := codeNames[c]; name != "" {
		s += " " + name
	}
	return s
}
