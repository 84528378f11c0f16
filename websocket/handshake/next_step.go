package handshake

// The next steps that refer to an option of the library. A program whose users know the options by other names, such as flags or the keys
// of a file, can replace them with its own sentences. If the Hint of a [Violation] or a HandshakeError refers to an option, it is one of
// these constants, unchanged.
//
// The steps for a server are about its operator's settings.
const (
	HintServerOrigin       = "the server's operator can add it to the allowed origins"
	HintServerProxy        = "behind a proxy that terminates TLS, add the proxy to the server's trusted proxies, or the origin to its allowed origins"
	HintServerOrigins      = "correct AcceptOptions.Origins"
	HintServerSubprotocols = "correct AcceptOptions.Subprotocols"
	HintServerHeader       = "correct AcceptOptions.Header"
	HintServerCompression  = "correct AcceptOptions.Conn.Compression"
	HintServerAdmit        = "use Endpoint.Admit"
)

// The steps for a client.
const (
	HintClientRootCAs      = "the server's certificate comes from a CA that is not trusted here: add the CA to the roots (TLS.RootCAs)"
	HintClientCertificate  = "the server rejected the connection: often it requires a client certificate (TLS.Certificates), or does not accept the one that was sent"
	HintClientServerName   = "the server's certificate is for another name: use that name, or set TLS.ServerName"
	HintClientHeader       = "correct DialOptions.Header; subprotocols are offered by DialOptions.Subprotocols"
	HintClientSubprotocols = "correct DialOptions.Subprotocols"
	HintClientOffer        = "offer a subprotocol that the server speaks (DialOptions.Subprotocols)"
	HintClientCompression  = "correct DialOptions.Conn.Compression"
	HintClientUncompressed = "the server's response to the offer of compression is not valid: leave DialOptions.Conn.Compression unset"
	HintClientProxy        = "check HTTP_PROXY, HTTPS_PROXY and NO_PROXY, or DialOptions.Proxy"
	HintClientDialContext  = "for SOCKS and other kinds of proxies, set DialOptions.DialContext to their dialer"
	HintClientRedirects    = "the server redirects to another URL: check the URL, or raise DialOptions.MaxRedirects"
)
