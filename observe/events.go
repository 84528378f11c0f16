package observe

// The events of the log: the msg of a line. The attributes have the names below. docs/metrics.md is made of the comments here.
const (
	EventStarting    = "starting"                                              // the server has read its configuration and begins to listen
	EventStopping    = "stopping"                                              // it closes its connections and ends
	EventStopped     = "stopped"                                               // the last line
	EventOpened      = "opened"                                                // a WebSocket was opened
	EventClosed      = "closed"                                                // a WebSocket has ended
	EventRefused     = "handshake refused"                                     // an opening handshake was refused, with what to do about it
	EventRefusedMore = "more handshakes refused"                               // as many as those of the line before, which were not logged one by one
	EventDenied      = "action denied"                                         // a rule denied an admitted client an action
	EventDeniedMore  = "more actions denied"                                   // as many as those of the line before, which were not logged one by one
	EventFull        = "the limit on connections is reached"                   // clients are refused until connections end
	EventCut         = "handshake cut"                                         // a slow handshake, to make room for another one
	EventReloaded    = "configuration reloaded"                                // a new configuration is in force
	EventUnchanged   = "configuration unchanged"                               // it was read again and says the same
	EventNotLoaded   = "configuration not loaded"                              // what is wrong with it
	EventKept        = "the old configuration stays in force"                  // after a configuration that could not be loaded
	EventChanged     = "configuration changed"                                 // one setting, in force now or after the next start
	EventListening   = "listening"                                             // an address accepts connections
	EventUnlistened  = "no longer listening"                                   // an address does so no more
	EventCert        = "certificate"                                           // one was loaded, could not be loaded, or is loaded again
	EventRevoked     = "revoked"                                               // connections whose credential was revoked are closed
	EventRemoved     = "endpoint removed"                                      // a reload removed an endpoint, whose connections are closed
	EventAdmin       = "admin closed connections"                              // by a request to the admin listener, or a revocation that the store did not accept
	EventPanic       = "a target panicked"                                     // which costs one client its connection
	EventCluster     = "cluster listens"                                       // where other nodes connect
	EventTarget      = "a target did not close properly"                       // its Close returned an error
	EventEngine      = "trouble with the engine of channels"                   // what the engine reports, and whether channels work
	EventEngineReady = "the engine of channels is ready"                       // channels work again
	EventEngineGone  = "the engine of channels did not answer during shutdown" // what it holds of this node ends with its lease
	EventSecret      = "the secret of the application dev cannot be stored"    // so that it is another one after the next start
	EventWebhook     = "a webhook failed"                                      // its receiver does not answer, or refuses events
	EventCallFailed  = "a client's call of the application failed"             // a request for a ticket or a logout, or a call by a client, was refused
	EventServer      = "a server has another state"                            // a server that clients are carried to: ready, draining, down and so on
	EventServerEmpty = "a server has no connection left"                       // a server that drains can be stopped
	EventServers     = "servers cannot be found"                               // its source of names does not answer
	EventPage        = "a server has failed a request"                         // a request that is not a handshake
	EventPageMore    = "more requests failed"                                  // as many as those of the line before, which were not logged one by one
	EventAuthFault   = "authentication trouble"                                // a key set, a service or a file that authentication needs
	EventAuditFault  = "audit log cannot be written"                           // lines of it are lost
	EventLibrary     = "message of the Go library"                             // a message of net/http or another library
	EventPublished   = "published"                                             // a message with a trace ID
	EventDelivered   = "delivered"                                             // it was sent to the subscribers of this node
)

// The events of the audit log.
const (
	AuditConnected    = "connected"     // a client was admitted: id, user, method, addr, origin, endpoint, path, decision, rule
	AuditDisconnected = "disconnected"  // its connection has ended: id, user, method, addr, origin, endpoint, server, limit, code, reason, by, duration, messages_in, messages_out, bytes_in, bytes_out
	AuditRefused      = "refused"       // a client was refused: stage, status, reason, addr, via, endpoint, path, origin, user, method, clause, rule, decision
	AuditClosing      = "closing"       // connections were closed by an operator or a revocation: user, endpoint, id, reason, code, connections
	AuditTicket       = "ticket issued" // a ticket was issued: user, method, addr, origin, path, status
	AuditLogout       = "logged out"    // a user has logged out: user, method, addr, origin, path, status
	AuditLost         = "lines lost"    // lines before this one could not be written: lost
	AuditRevoked      = "revoked"       // an operator has revoked credentials: user, credential
	AuditPage         = "page"          // a target has answered a request that is not a handshake: addr, origin, endpoint, path, status
	AuditServer       = "server"        // an operator has changed what a server gets: endpoint, server, decision
)

// The attributes of both.
const (
	KeyID          = "id"           // of the connection
	KeyUser        = "user"         // that authentication found
	KeyMethod      = "method"       // of authentication
	KeyCredential  = "credential"   // the name of the credential: the jti of a token, the ID of a key
	KeyAddr        = "addr"         // of the client
	KeyVia         = "via"          // the balancer that the client came through
	KeyOrigin      = "origin"       // of the page
	KeyEndpoint    = "endpoint"     // its name in the configuration
	KeyServer      = "server"       // that the client is carried to
	KeyState       = "state"        // of a server
	KeySource      = "source"       // that names servers
	KeyPath        = "path"         // of the request, without the query
	KeyDecision    = "decision"     // allow or deny; what an operator asked for
	KeyRule        = "rule"         // that decided
	KeyAction      = "action"       // what a client asked for: publish, subscribe and so on
	KeyStage       = "stage"        // of the handshake at which it was refused
	KeyStatus      = "status"       // of the reply
	KeyClause      = "clause"       // of the specification that was broken
	KeyLimit       = "limit"        // the setting of which the client has sent more
	KeyReason      = "reason"       // in words; of a close frame
	KeyHint        = "hint"         // the next step
	KeyCode        = "code"         // of the close frame
	KeyBy          = "by"           // who closed: local or remote
	KeyDuration    = "duration"     // how long the connection was open; in the audit log in seconds
	KeyMessagesIn  = "messages_in"  // from the client
	KeyMessagesTo  = "messages_out" // to the client
	KeyBytesIn     = "bytes_in"     // in messages from the client
	KeyBytesOut    = "bytes_out"    // in messages to the client
	KeyError       = "error"        // what went wrong
	KeyPanic       = "panic"        // its value
	KeyStack       = "stack"        // of the goroutine that panicked
	KeyCount       = "connections"  // how many connections
	KeyMore        = "more"         // how many more
	KeyLost        = "lost"         // how many lines
	KeyAddress     = "address"      // of a listener
	KeyFile        = "file"         // its path
	KeySetting     = "setting"      // a key of the configuration
	KeyWebhook     = "webhook"      // its place in the configuration, from 0
	KeyTrace       = "trace_id"     // of a message
	KeyApp         = "app"          // the application
	KeyChannel     = "channel"      // its name
	KeyClient      = "client"       // that has published, as subscribers see it
	KeyEpoch       = "epoch"        // of the position of a message
	KeyOffset      = "offset"       // of the position of a message
	KeySubscribers = "subscribers"  // how many there are on this node
	KeyDuplicate   = "duplicate"    // true if it was published before
)

// By returns the value of [KeyBy]: "remote" when the peer began the close, "local" otherwise.
func By(byPeer bool) string {
	if byPeer {
		return "remote"
	}
	return "local"
}
