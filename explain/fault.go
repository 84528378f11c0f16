package explain

// Fault identifies a fault. The values are stable: programs may compare them.
type Fault string

// Faults before the request is sent.
const (
	FaultURL               Fault = "url-invalid"          // the URL is not that of a WebSocket
	FaultMixedContent      Fault = "mixed-content"        // warning: an https page uses ws, which browsers refuse
	FaultBlockedPort       Fault = "blocked-port"         // warning: browsers do not connect to this port
	FaultRequest           Fault = "request-invalid"      // an option contains something that a request must not contain
	FaultNameNotFound      Fault = "name-not-found"       // the name has no address
	FaultNameServer        Fault = "name-server-failed"   // the name server failed or did not respond
	FaultRefused           Fault = "connection-refused"   // nothing listens on the port
	FaultConnectTimeout    Fault = "connect-timeout"      // no address responds in time
	FaultUnreachable       Fault = "network-unreachable"  // there is no route to any address
	FaultIPv6              Fault = "ipv6-unreachable"     // warning: IPv6 fails while IPv4 works
	FaultProxyUnreachable  Fault = "proxy-unreachable"    // the proxy itself cannot be reached, or is not a proxy
	FaultProxyAuth         Fault = "status-407"           // the proxy requires credentials
	FaultProxyRefused      Fault = "proxy-refused"        // the proxy refuses the tunnel
	FaultInterrupted       Fault = "interrupted"          // the caller's context ended
	FaultTimeout           Fault = "timeout"              // the overall time limit was reached
	FaultTLSToPlain        Fault = "tls-to-plain-port"    // wss:// to a port without TLS
	FaultPlainToTLS        Fault = "plain-to-tls-port"    // ws:// to a port that expects TLS
	FaultTLSTimeout        Fault = "tls-timeout"          // the TLS handshake was not complete in time
	FaultTLSVersion        Fault = "tls-version-too-old"  // the server supports only TLS 1.1 or older
	FaultTLSCipher         Fault = "tls-no-common-cipher" // client and server have no common cipher suite or group
	FaultTLSName           Fault = "tls-unknown-name"     // the server has no certificate for the name (unrecognized_name)
	FaultTLS               Fault = "tls-failed"           // the TLS handshake fails for another reason
	FaultALPN              Fault = "alpn-without-http11"  // the server accepts neither http/1.1 nor h2 in ALPN
	FaultHTTP2Only         Fault = "http2-only"           // the port supports HTTP/2 but not HTTP/1.1
	FaultCertExpired       Fault = "cert-expired"
	FaultCertNotYet        Fault = "cert-not-yet-valid"
	FaultCertName          Fault = "cert-wrong-name"
	FaultCertUnknown       Fault = "cert-unknown-issuer"
	FaultCertSelfSigned    Fault = "cert-self-signed"
	FaultCertIntermediate  Fault = "cert-missing-intermediate"
	FaultCertOther         Fault = "cert-invalid"         // wrong purpose, violated constraint or weak signature
	FaultClientCert        Fault = "client-cert-required" // the server requires a client certificate
	FaultClientCertRefused Fault = "client-cert-refused"  // the server does not accept the client certificate
)

// Faults in place of a response.
const (
	FaultReset            Fault = "connection-reset"       // the server reset the connection (RST)
	FaultClosedUnanswered Fault = "closed-before-response" // the server closed the connection (FIN)
	FaultNoResponse       Fault = "response-timeout"       // nothing was received in time
	FaultNotHTTP          Fault = "not-http"               // the server speaks another protocol, such as SSH or SMTP
	FaultHeadBroken       Fault = "head-broken"            // the received data is not an HTTP/1 header
	FaultHeadTooLarge     Fault = "head-too-large"
	FaultHeadEndless      Fault = "head-never-ends" // the header did not end in time, or the connection ended in the header
)

// Responses other than 101.
const (
	FaultStatus200       Fault = "status-200" // any 2xx
	FaultStatus301       Fault = "status-301"
	FaultStatus302       Fault = "status-302" // 302 or 303
	FaultStatus307       Fault = "status-307"
	FaultStatus308       Fault = "status-308"
	FaultStatus400       Fault = "status-400"
	FaultStatus401       Fault = "status-401"
	FaultOrigin          Fault = "origin-refused" // the same request with another origin, or without one, is accepted
	FaultStatus403       Fault = "status-403"     // 403, and the origin is not the known reason
	FaultStatus404       Fault = "status-404"     // 404 or 410
	FaultStatus405       Fault = "status-405"
	FaultStatus407       Fault = "status-407-server" // the server sends 407, which only a proxy should send
	FaultStatus426       Fault = "status-426"
	FaultVersion         Fault = "version-unsupported" // 400 or 426 with a Sec-WebSocket-Version field that does not list 13
	FaultStatus429       Fault = "status-429"
	FaultStatus500       Fault = "status-500" // any 5xx without a separate fault
	FaultStatus502       Fault = "status-502"
	FaultStatus503       Fault = "status-503"
	FaultStatus504       Fault = "status-504"
	FaultStatusOther     Fault = "status-other"
	FaultUpgradeStripped Fault = "upgrade-stripped"      // Upgrade and Connection did not reach the server
	FaultHeaderLost      Fault = "handshake-header-lost" // another header of the handshake did not reach the server
)

// Violations of rules by a 101.
const (
	FaultHTTP10              Fault = "101-in-http-1.0"
	FaultUpgradeMissing      Fault = "upgrade-header-missing"
	FaultUpgradeWrong        Fault = "upgrade-header-wrong"
	FaultConnectionMissing   Fault = "connection-header-missing"
	FaultConnectionWrong     Fault = "connection-header-wrong"
	FaultAcceptMissing       Fault = "accept-missing"
	FaultAcceptWrong         Fault = "accept-wrong"
	FaultAcceptRepeated      Fault = "accept-repeated"
	FaultSubprotocolUnasked  Fault = "unasked-subprotocol"          // the server chose a subprotocol that was not offered
	FaultSubprotocolNone     Fault = "no-subprotocol"               // the server chose none of the offered subprotocols, so browsers fail
	FaultSubprotocolRepeated Fault = "subprotocol-repeated"         // the server chose more than one subprotocol
	FaultTokenEchoed         Fault = "token-echoed"                 // warning: the server chose a token as the subprotocol
	FaultExtensionUnasked    Fault = "unasked-extension"            // the server accepted an extension that was not offered
	FaultExtensionParams     Fault = "invalid-extension-parameters" // parameters that RFC 7692 forbids, or a malformed header
	FaultBody101             Fault = "101-with-body"                // a 101 with Content-Length or Transfer-Encoding
)

// Faults after the handshake.
const (
	FaultGarbage       Fault = "garbage-after-101"          // the bytes after the header are not frames
	FaultMasked        Fault = "masked-server-frames"       // the server masks its frames (RFC 6455 §5.1)
	FaultFrame         Fault = "frame-invalid"              // a frame violates another rule of RFC 6455 §5
	FaultClosedAtOnce  Fault = "closed-after-101"           // the server sent a close frame soon after the handshake
	FaultNoCloseFrame  Fault = "closed-without-close-frame" // the stream ended; a warning if a close frame was sent before
	FaultNoPong        Fault = "no-pong"                    // warning: a ping was not answered
	FaultNoEcho        Fault = "no-echo"                    // warning: the message was not echoed
	FaultNoCloseAnswer Fault = "close-unanswered"           // warning: the close frame was not answered
	FaultIdle          Fault = "idle-timeout"               // warning: something on the path ends an idle connection
	FaultCrossSite     Fault = "cross-site-origin-accepted" // warning: any web page may connect (CSWSH)
)

// Faults returns all faults, in the order from the URL to the end of the connection. The caller owns the slice.
func Faults() []Fault {
	return []Fault{
		FaultURL, FaultMixedContent, FaultBlockedPort, FaultRequest, FaultNameNotFound, FaultNameServer, FaultRefused, FaultConnectTimeout, FaultUnreachable,
		FaultIPv6, FaultProxyUnreachable, FaultProxyAuth, FaultProxyRefused, FaultInterrupted, FaultTimeout,
		FaultTLSToPlain, FaultPlainToTLS, FaultTLSTimeout, FaultTLSVersion, FaultTLSCipher, FaultTLSName, FaultTLS,
		FaultALPN, FaultHTTP2Only, FaultCertExpired, FaultCertNotYet, FaultCertName, FaultCertUnknown,
		FaultCertSelfSigned, FaultCertIntermediate, FaultCertOther, FaultClientCert, FaultClientCertRefused,
		FaultReset, FaultClosedUnanswered, FaultNoResponse, FaultNotHTTP, FaultHeadBroken, FaultHeadTooLarge, FaultHeadEndless,
		FaultStatus200, FaultStatus301, FaultStatus302, FaultStatus307, FaultStatus308, FaultStatus400, FaultStatus401,
		FaultOrigin, FaultStatus403, FaultStatus404, FaultStatus405, FaultStatus407, FaultStatus426, FaultVersion,
		FaultStatus429, FaultStatus500, FaultStatus502, FaultStatus503, FaultStatus504, FaultStatusOther,
		FaultUpgradeStripped, FaultHeaderLost,
		FaultHTTP10, FaultUpgradeMissing, FaultUpgradeWrong, FaultConnectionMissing, FaultConnectionWrong,
		FaultAcceptMissing, FaultAcceptWrong, FaultAcceptRepeated, FaultSubprotocolUnasked, FaultSubprotocolNone,
		FaultSubprotocolRepeated, FaultTokenEchoed, FaultExtensionUnasked, FaultExtensionParams, FaultBody101,
		FaultGarbage, FaultMasked, FaultFrame, FaultClosedAtOnce, FaultNoCloseFrame, FaultNoPong, FaultNoEcho,
		FaultNoCloseAnswer, FaultIdle, FaultCrossSite,
	}
}
