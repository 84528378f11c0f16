package handshake

// The next steps that name an option of the library. A program whose users see other names, such as flags or the keys of a file,
// can replace them with its own sentences. The Hint of a [Violation] and of a HandshakeError about an option is one of them,
// unchanged.
//
// For a server, about settings of its operator.
const (
	HintServerOrigin       = "the server's operator can add it to the allowed origins"
	HintServerProxy        = "behind a proxy that ends TLS, the server has to have it among its trusted proxies, or the origin among its allowed origins"
	HintServerOrigins      = "correct AcceptOptions.Origins"
	HintServerSubprotocols = "fix AcceptOptions.Subprotocols"
	HintServerHeader       = "fix AcceptOptions.Header"
	HintServerCompression  = "fix AcceptOptions.Conn.Compression"
	HintServerAdmit        = "use Endpoint.Admit"
)

// For a client.
const (
	HintClientRootCAs      = "the server's certificate comes from an authority that is not known here: add it to the roots (TLS.RootCAs)"
	HintClientCertificate  = "the server refused: often it wants a client certificate (TLS.Certificates), or another one"
	HintClientServerName   = "the server's certificate is for another name: use that name, or set TLS.ServerName"
	HintClientHeader       = "correct DialOptions.Header; subprotocols are offered by DialOptions.Subprotocols"
	HintClientSubprotocols = "correct DialOptions.Subprotocols"
	HintClientOffer        = "offer what the server speaks (Subprotocols)"
	HintClientCompression  = "fix DialOptions.Conn.Compression"
	HintClientUncompressed = "the server answers the offer wrongly; without DialOptions.Conn.Compression it is not made"
	HintClientProxy        = "check HTTP_PROXY, HTTPS_PROXY and NO_PROXY, or DialOptions.Proxy"
	HintClientDialContext  = "for SOCKS and the like, put their dialer into DialOptions.DialContext"
	HintClientRedirects    = "the server sends clients elsewhere: check the URL, or allow more redirects (MaxRedirects)"
)
