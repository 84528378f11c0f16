package observe

// The events of the log: the msg of a line. The attributes have the names below. docs/metrics.md is generated from the comments here.
const (
	EventStarting    = "starting"                                              // the server has read its configuration, and is about to check its parts and to listen
	EventStopping    = "stopping"                                              // the server closes its connections and exits
	EventStopped     = "stopped"                                               // the last line of the log, before the server exits
	EventOpened      = "opened"                                                // a WebSocket was opened
	EventClosed      = "closed"                                                // a WebSocket ended
	EventRefused     = "handshake refused"                                     // an opening handshake was refused; the field hint, if present, has the next step
	EventRefusedMore = "more handshakes refused"                               // the number of further refused handshakes like the previous one, which were not logged individually
	EventDenied      = "action denied"                                         // a rule denied a connected client an action
	EventDeniedMore  = "more actions denied"                                   // the number of further denied actions like the previous one, which were not logged individually
	EventFull        = "the limit on connections is reached"                   // the server has as many connections as allowed, and refuses new clients until some connections end
	EventCut         = "handshake cut"                                         // the server closed the connection of a slow handshake to make room for another handshake
	EventReloaded    = "configuration reloaded"                                // a new configuration is in force
	EventUnchanged   = "configuration unchanged"                               // the configuration was read again, and has not changed
	EventNotLoaded   = "configuration not loaded"                              // the new configuration has the error in this line, and is not used
	EventKept        = "the old configuration stays in force"                  // the line after the errors in a new configuration: the server continues to use the old one
	EventChanged     = "configuration changed"                                 // one changed setting, which takes effect now or at the next start
	EventListening   = "listening"                                             // an address accepts connections
	EventUnlistened  = "no longer listening"                                   // an address no longer accepts connections
	EventCert        = "certificate"                                           // a certificate was loaded, was loaded again, or could not be loaded
	EventRevoked     = "revoked"                                               // connections whose credential was revoked are closed
	EventRemoved     = "endpoint removed"                                      // a reload removed an endpoint, and the connections to this endpoint are closed
	EventAdmin       = "admin closed connections"                              // connections were closed by a request to the admin listener, or by a revocation that the store could not record
	EventPanic       = "a target panicked"                                     // the panic ended the connection of one client
	EventCluster     = "cluster listens"                                       // the node accepts connections from other nodes at this address
	EventTarget      = "a target did not close properly"                       // the target's Close method returned an error
	EventEngine      = "trouble with the engine of channels"                   // the engine has reported a problem; the line says whether channels still work
	EventEngineReady = "the engine of channels is ready"                       // channels work again
	EventEngineGone  = "the engine of channels did not answer during shutdown" // the data that the engine stores for this node remains until the lease of the node expires
	EventSecret      = "the secret of the application dev cannot be stored"    // the generated secret is lost when the server exits, and the next start generates another one
	EventWebhook     = "a webhook failed"                                      // the receiver does not answer, or refuses events
	EventCallFailed  = "a client's call to the application failed"             // a request for a ticket or a logout, or a call by a client, was rejected
	EventServer      = "a server's state changed"                              // the state of a server behind the balancer changed: ready, draining, down and so on
	EventServerEmpty = "a server has no connection left"                       // a draining server can now be stopped
	EventServers     = "servers cannot be found"                               // the source of server names does not answer
	EventPage        = "a server has failed a request"                         // a server of the balancer could not answer a request other than a handshake
	EventPageMore    = "more requests failed"                                  // the number of further failed requests like the previous one, which were not logged individually
	EventAuthFault   = "authentication trouble"                                // a problem with a key set, a service or a file that authentication needs
	EventAuditFault  = "audit log cannot be written"                           // audit lines are lost
	EventLibrary     = "message of the Go library"                             // a message that net/http or another library has logged
	EventPublished   = "published"                                             // a message with a trace ID was published
	EventDelivered   = "delivered"                                             // a message with a trace ID was sent to the subscribers of this node
)

// The events of the audit log.
const (
	AuditConnected    = "connected"     // a client was admitted: id, user, method, addr, origin, endpoint, path, decision, rule
	AuditDisconnected = "disconnected"  // a connection ended: id, user, method, addr, origin, endpoint, server, limit, code, reason, by, duration, messages_in, messages_out, bytes_in, bytes_out
	AuditRefused      = "refused"       // a client was refused: stage, status, reason, addr, via, endpoint, path, origin, user, method, clause, rule, decision
	AuditClosing      = "closing"       // connections were closed by an operator or a revocation: user, endpoint, id, reason, code, connections
	AuditTicket       = "ticket issued" // a ticket was issued: user, method, addr, origin, path, status
	AuditLogout       = "logged out"    // a user logged out: user, method, addr, origin, path, status
	AuditLost         = "lines lost"    // lines before this one could not be written: lost
	AuditRevoked      = "revoked"       // an operator revoked credentials: user, credential
	AuditPage         = "page"          // a target answered a request other than a handshake: addr, origin, endpoint, path, status
	AuditServer       = "server"        // an operator changed the balancing of a server: endpoint, server, decision
)

// The attributes of the log and of the audit log.
const (
	KeyID          = "id"           // the ID of the connection
	KeyUser        = "user"         // the authenticated user
	KeyMethod      = "method"       // the authentication method
	KeyCredential  = "credential"   // the name of the credential: the jti of a token, the ID of a key
	KeyAddr        = "addr"         // the address of the client
	KeyVia         = "via"          // the balancer through which the client connected
	KeyOrigin      = "origin"       // the origin of the page
	KeyEndpoint    = "endpoint"     // the name of the endpoint in the configuration
	KeyServer      = "server"       // the server to which the client is connected
	KeyState       = "state"        // the state of a server
	KeySource      = "source"       // the source of server names
	KeyPath        = "path"         // the path of the request, without the query
	KeyDecision    = "decision"     // allow or deny; for an operator's request, its method and path
	KeyRule        = "rule"         // the rule that made the decision
	KeyAction      = "action"       // what the client tried to do: publish, subscribe and so on
	KeyStage       = "stage"        // the stage of the handshake at which it was rejected
	KeyStatus      = "status"       // the status of the response
	KeyClause      = "clause"       // the clause of the specification that was violated
	KeyLimit       = "limit"        // the setting that the client exceeded
	KeyReason      = "reason"       // the reason in words; for a closed connection, the reason in the close frame
	KeyHint        = "hint"         // the next step
	KeyCode        = "code"         // the code of the close frame
	KeyBy          = "by"           // the side that closed the connection: local or remote
	KeyDuration    = "duration"     // how long the connection was open; in the audit log, a number of seconds
	KeyMessagesIn  = "messages_in"  // the number of messages from the client
	KeyMessagesTo  = "messages_out" // the number of messages to the client
	KeyBytesIn     = "bytes_in"     // the number of bytes in messages from the client
	KeyBytesOut    = "bytes_out"    // the number of bytes in messages to the client
	KeyError       = "error"        // the error
	KeyPanic       = "panic"        // the value of the panic
	KeyStack       = "stack"        // the stack of the goroutine that panicked
	KeyCount       = "connections"  // the number of connections
	KeyMore        = "more"         // the number of events that were not logged individually
	KeyLost        = "lost"         // the number of lines that were lost
	KeyAddress     = "address"      // the address of a listener
	KeyFile        = "file"         // the path of a file or directory
	KeySetting     = "setting"      // a key of the configuration
	KeyWebhook     = "webhook"      // the position of the webhook in the configuration, from 0
	KeyTrace       = "trace_id"     // the trace ID of a message
	KeyApp         = "app"          // the ID of the application
	KeyChannel     = "channel"      // the name of the channel
	KeyClient      = "client"       // the ID of the publishing client, as subscribers see it
	KeyEpoch       = "epoch"        // the epoch of a message's position
	KeyOffset      = "offset"       // the offset of a message's position
	KeySubscribers = "subscribers"  // the number of subscribers on this node
	KeyDuplicate   = "duplicate"    // true if the message had been published before
)

// By returns the value of [KeyBy]: "remote" if the peer has started the close, "local" otherwise.
func By(byPeer bool) string {
	if byPeer {
		return "remote"
	}
	return "local"
}
