package observe

// The events of the log: the msg of a line. The attributes have the names below.
const (
	EventStarting    = "starting"
	EventStopping    = "stopping"
	EventStopped     = "stopped"
	EventOpened      = "opened"
	EventClosed      = "closed"
	EventRefused     = "handshake refused"
	EventRefusedMore = "more handshakes refused" // like those that were told just now
	EventDenied      = "action denied"           // to an admitted client, by a rule
	EventDeniedMore  = "more actions denied"     // like those that were logged just now
	EventFull        = "the limit on connections is reached"
	EventCut         = "handshake cut" // a slow one, to make room
	EventReloaded    = "configuration reloaded"
	EventUnchanged   = "configuration unchanged"
	EventNotLoaded   = "configuration not loaded"
	EventKept        = "the old configuration stays in force"
	EventChanged     = "configuration changed" // one setting
	EventListening   = "listening"
	EventUnlistened  = "no longer listening"
	EventCert        = "certificate"
	EventRevoked     = "revoked"
	EventRemoved     = "endpoint removed"
	EventAdmin       = "admin closed connections"
	EventPanic       = "a target panicked"
	EventCluster     = "cluster listens" // where other nodes connect
	EventTarget      = "a target did not close properly"
	EventEngine      = "trouble with the engine of channels"
	EventEngineReady = "the engine of channels is ready"
	EventEngineGone  = "the engine of channels did not answer during shutdown"
	EventSecret      = "the secret of the application dev cannot be stored"
	EventWebhook     = "a webhook failed"
	EventCallFailed  = "a client's call of the application failed"
	EventServer      = "a server has another state" // one that clients are carried to
	EventServerEmpty = "a server has no connection left"
	EventServers     = "servers cannot be found"
	EventPage        = "a server has failed a request" // that is no handshake
	EventPageMore    = "more requests failed"          // like those that were logged just now
	EventAuthFault   = "authentication trouble"
	EventAuditFault  = "audit log cannot be written"
	EventLibrary     = "message of the Go library"
	EventPublished   = "published" // a message with a trace ID
	EventDelivered   = "delivered" // it was sent to the subscribers of this node
)

// The events of the audit log.
const (
	AuditConnected    = "connected"    // a client was admitted
	AuditDisconnected = "disconnected" // it has left, or was closed
	AuditRefused      = "refused"      // a client was rejected
	AuditClosing      = "closing"      // connections were asked to leave, by an operator or a revocation
	AuditTicket       = "ticket issued"
	AuditLogout       = "logged out"
	AuditLost         = "lines lost" // before this one
	AuditRevoked      = "revoked"    // by an operator
	AuditPage         = "page"       // a target answered a request
	AuditServer       = "server"     // an operator has changed what a server gets
)

// The attributes of both.
const (
	KeyID          = "id"         // of the connection
	KeyUser        = "user"       // of the identity
	KeyMethod      = "method"     // how the user was found out
	KeyCredential  = "credential" // its name: a token's jti, a key's ID
	KeyAddr        = "addr"       // of the client
	KeyVia         = "via"        // of the balancer
	KeyOrigin      = "origin"     // of the page
	KeyEndpoint    = "endpoint"
	KeyServer      = "server" // that clients are carried to
	KeyState       = "state"  // of that
	KeySource      = "source" // that names servers
	KeyPath        = "path"   // without the query
	KeyDecision    = "decision"
	KeyRule        = "rule" // that decided
	KeyAction      = "action"
	KeyStage       = "stage"
	KeyStatus      = "status"
	KeyClause      = "clause"
	KeyReason      = "reason"
	KeyHint        = "hint"
	KeyCode        = "code"
	KeyBy          = "by" // who closed
	KeyDuration    = "duration"
	KeyMessagesIn  = "messages_in"
	KeyMessagesTo  = "messages_out"
	KeyBytesIn     = "bytes_in"
	KeyBytesOut    = "bytes_out"
	KeyError       = "error"
	KeyPanic       = "panic" // the value
	KeyStack       = "stack"
	KeyCount       = "connections"
	KeyMore        = "more"
	KeyLost        = "lost"    // lines
	KeyAddress     = "address" // of a listener
	KeyFile        = "file"
	KeySetting     = "setting"
	KeyWebhook     = "webhook" // its place in the configuration, from 0
	KeyTrace       = "trace_id"
	KeyApp         = "app"
	KeyChannel     = "channel"
	KeyClient      = "client" // that has published, as subscribers see it
	KeyEpoch       = "epoch"
	KeyOffset      = "offset"
	KeySubscribers = "subscribers" // of this node
	KeyDuplicate   = "duplicate"
)

// By returns the value of [KeyBy]: "remote" when the peer began the close, "local" otherwise.
func By(byPeer bool) string {
	if byPeer {
		return "remote"
	}
	return "local"
}
