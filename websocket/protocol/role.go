package protocol

// Role is one end of a connection: a client masks the frames that it sends, a server does not (RFC 6455 §5.1).
type Role uint8

// The two ends of a connection.
const (
	RoleServer Role = iota
	RoleClient
)

// String returns "server" or "client".
func (r Role) String() string {
	if r == RoleClient {
		return "client"
	}
	return "server"
}
