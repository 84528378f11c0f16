package explain

// Fault identifies a fault. The values are stable: programs may compare them.
type Fault string

// Before the request is sent.
const (
	FaultURL               Fault = "url-invalid"          // not the URL of a WebSocket
	FaultMixedContent      Fault = "mixed-content"        // warning: an https page uses ws, which browsers refuse
	FaultBlockedPort       Fault = "blocked-port"         // warning: a port that browsers do not connect to
	FaultRequest           Fault = "request-invalid"      // an option contains something that a request must not contain
	FaultNameNotFound      Fault = "name-not-found"       // the name has no address
	FaultNameServer        Fault = "name-server-failed"   // the name server did not respond, or failed
	FaultRefused           Fault = "connection-refused"   // nothing listens on the port
	FaultConnectTimeout    Fault = "connect-timeout"      // no address answers
	FaultUnreachable       Fault = "network-unreachable"  // there is no route to any address
	FaultIPv6              Fault = "ipv6-unreachable"     // warning: IPv6 fails while IPv4 works
	FaultProxyUnreachable  Fault = "proxy-unreachable"    // the proxy itself cannot be reached, or is not a proxy
	FaultProxyAuth         Fault = "status-407"           // the proxy requires credentials
	FaultProxyRefused      Fault = "proxy-refused"        // the proxy refuses the tunnel
	FaultInterrupted       Fault = "interrupted"          // the caller's context ended
	FaultTimeout           Fault = "timeout"              // the overall time limit was reached
	FaultTLSToPlain        Fault = "tls-to-plain-port"    // wss:// to a port without TLS
	FaultPlainToTLS        Fault = "plain-to-tls-port"    // ws:// to a port that expects TLS
	FaultTLSTimeout        Fault = "tls-timeout"          // the port accepts connections, but completes no handshake in time
	FaultTLSVersion        Fault = "tls-version-too-old"  // the server supports only TLS 1.1 or older
	FaultTLSCipher         Fault = "tls-no-common-cipher" // no cipher suite or group in common
	FaultTLSName           Fault = "tls-unknown-name"     // the server has no certificate for the name (unrecognized_name)
	FaultTLS               Fault = "tls-failed"           // any other failure of the TLS handshake
	FaultALPN              Fault = "alpn-without-http11"  // ALPN fails on http/1.1, and the server does not speak h2 either
	FaultHTTP2Only         Fault = "http2-only"           // the port supports HTTP/2 but not HTTP/1.1
	FaultCertExpired       Fault = "cert-expired"
	FaultCertNotYet        Fault = "cert-not-yet-valid"
	FaultCertName          Fault = "cert-wrong-name"
	FaultCertUnknown       Fault = "cert-unknown-issuer"
	FaultCertSelfSigned    Fault = "cert-self-signed"
	FaultCertIntermediate  Fault = "cert-missing-intermediate"
	FaultCertOther         Fault = "cert-invalid"         // for another purpose, a violated constraint, a weak signature
	FaultClientCert        Fault = "client-cert-required" // requested, and none was given
	FaultClientCertRefused Fault = "client-cert-refused"  // given, but not accepted
)

// In place of a response.
const (
	FaultReset            Fault = "connection-reset"       // RST before a response
	FaultClosedUnanswered Fault = "closed-before-response" // FIN before a response
	FaultNoResponse       Fault = "response-timeout"       // nothing was received
	FaultNotHTTP          Fault = "not-http"               // another protocol: SSH, SMTP, a database
	FaultHeadBroken       Fault = "head-broken"            // the received data is not an HTTP/1 header
	FaultHeadTooLarge     Fault = "head-too-large"
	FaultHeadEndless      Fault = "head-never-ends" // it began but did not end in time, or the stream ended within it
)

// A response other than 101.
const (
	FaultStatus200       Fault = "status-200" // or any other 2xx
	FaultStatus301       Fault = "status-301"
	FaultStatus302       Fault = "status-302" // also 303
	FaultStatus307       Fault = "status-307"
	FaultStatus308       Fault = "status-308"
	FaultStatus400       Fault = "status-400"
	FaultStatus401       Fault = "status-401"
	FaultOrigin          Fault = "origin-refused" // 403, and another origin, or none, is accepted
	FaultStatus403       Fault = "status-403"     // 403, whatever the origin
	FaultStatus404       Fault = "status-404"     // also 410
	FaultStatus405       Fault = "status-405"
	FaultStatus407       Fault = "status-407-server" // the server itself sends the status that only a proxy should send
	FaultStatus426       Fault = "status-426"
	FaultVersion         Fault = "version-unsupported" // 400 or 426 with a Sec-WebSocket-Version field that does not list 13
	FaultStatus429       Fault = "status-429"
	FaultStatus500       Fault = "status-500" // also 501 and any other 5xx
	FaultStatus502       Fault = "status-502"
	FaultStatus503       Fault = "status-503"
	FaultStatus504       Fault = "status-504"
	FaultStatusOther     Fault = "status-other"
	FaultUpgradeStripped Fault = "upgrade-stripped"      // a proxy in front did not pass Upgrade and Connection on
	FaultHeaderLost      Fault = "handshake-header-lost" // another header of the handshake did not reach the server
)

// A 101 that violates a rule.
const (
	FaultHTTP10              Fault = "101-in-http-1.0"
	FaultUpgradeMissing      Fault = "upgrade-header-missing"
	FaultUpgradeWrong        Fault = "upgrade-header-wrong"
	FaultConnectionMissing   Fault = "connection-header-missing"
	FaultConnectionWrong     Fault = "connection-header-wrong"
	FaultAcceptMissing       Fault = "accept-missing"
	FaultAcceptWrong         Fault = "accept-wrong"
	FaultAcceptRepeated      Fault = "accept-repeated"
	FaultSubprotocolUnasked  Fault = "unasked-subprotocol"          // chosen, although none was offered, or not that one
	FaultSubprotocolNone     Fault = "no-subprotocol"               // offered, and none was chosen: browsers fail the connection
	FaultSubprotocolRepeated Fault = "subprotocol-repeated"         // more than one chosen
	FaultTokenEchoed         Fault = "token-echoed"                 // warning: a token was chosen as the subprotocol
	FaultExtensionUnasked    Fault = "unasked-extension"            // accepted, but not offered
	FaultExtensionParams     Fault = "invalid-extension-parameters" // parameters that RFC 7692 forbids, or a malformed header
	FaultBody101             Fault = "101-with-body"                // Content-Length or Transfer-Encoding on a 101
)

// After the handshake.
const (
	FaultGarbage       Fault = "garbage-after-101"          // the bytes after the header are not frames
	FaultMasked        Fault = "masked-server-frames"       // RFC 6455 §5.1
	FaultFrame         Fault = "frame-invalid"              // any other rule of RFC 6455 §5; the finding has the clause
	FaultClosedAtOnce  Fault = "closed-after-101"           // a close frame right after the handshake, with code and reason
	FaultNoCloseFrame  Fault = "closed-without-close-frame" // the stream ended; a warning if that was the answer to our close frame
	FaultNoPong        Fault = "no-pong"                    // warning
	FaultNoEcho        Fault = "no-echo"                    // warning
	FaultNoCloseAnswer Fault = "close-unanswered"           // warning
	FaultIdle          Fault = "idle-timeout"               // warning: something on the path ends a silent connection
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
