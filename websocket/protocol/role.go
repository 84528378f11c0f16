package protocol

// Role says which end of the connection this is: a client masks what it sends, a server does not (RFC 6455 §5.1).
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
