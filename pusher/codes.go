package pusher

import "github.com/handfast/handfast/websocket"

// The codes of pusher:error and of close frames. After 4000 to 4099 clients do not reconnect, after 4100 to 4199 they pause and
// then reconnect, and after 4200 to 4299 they reconnect immediately.
const (
	CodeNoApp         websocket.Code = 4001 // no application has this key
	CodeDisabled      websocket.Code = 4003 // the application is disabled
	CodeOverQuota     websocket.Code = 4004 // the application has too many connections
	CodeBadPath       websocket.Code = 4005 // the path contains no key
	CodeBadVersion    websocket.Code = 4006 // the client's version is malformed
	CodeBadProtocol   websocket.Code = 4007 // this version of the protocol is not supported
	CodeNoProtocol    websocket.Code = 4008 // the version of the protocol is missing
	CodeUnauthorized  websocket.Code = 4009 // a sign-in has failed, or the application has ended the connection
	CodeOverCapacity  websocket.Code = 4100 // the client reconnects after a pause
	CodeReconnect     websocket.Code = 4200 // the client reconnects immediately
	CodeNoPong        websocket.Code = 4201 // the client did not answer a ping
	CodeIdle          websocket.Code = 4202 // the client was silent, and could not be pinged
	CodeTooManyEvents websocket.Code = 4301 // too many client events; the connection continues
	CodeLongWatchlist websocket.Code = 4302 // too many users in a watchlist; the connection continues
)
