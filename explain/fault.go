package explain

// Fault names what went wrong. The names are stable: programs may compare them.
type Fault string

// Before a request can be sent.
const (
	FaultURL               Fault = "url-invalid"          // no URL of a WebSocket
	FaultMixedContent      Fault = "mixed-content"        // warning: an https page asks for ws, which browsers refuse
	FaultBlockedPort       Fault = "blocked-port"         // warning: a port that browsers do not connect to
	FaultRequest           Fault = "request-invalid"      // what the caller adds cannot stand in a request
	FaultNameNotFound      Fault = "name-not-found"       // the name has no address
	FaultNameServer        Fault = "name-server-failed"   // the name server gave no answer, or failed
	FaultRefused           Fault = "connection-refused"   // nothing listens on the port
	FaultConnectTimeout    Fault = "connect-timeout"      // no address answers
	FaultUnreachable       Fault = "network-unreachable"  // no way leads to any address
	FaultIPv6              Fault = "ipv6-unreachable"     // warning: IPv6 fails while IPv4 works
	FaultProxyUnreachable  Fault = "proxy-unreachable"    // the proxy itself is not reached, or is no proxy
	FaultProxyAuth         Fault = "status-407"           // the proxy wants credentials
	FaultProxyRefused      Fault = "proxy-refused"        // the proxy opens no tunnel
	FaultInterrupted       Fault = "interrupted"          // the caller's context ended
	FaultTimeout           Fault = "timeout"              // the time for all of it was over
	FaultTLSToPlain        Fault = "tls-to-plain-port"    // wss:// to a port without TLS
	FaultPlainToTLS        Fault = "plain-to-tls-port"    // ws:// to a port that expects TLS
	FaultTLSTimeout        Fault = "tls-timeout"          // the port takes connections and finishes no handshake in time
	FaultTLSVersion        Fault = "tls-version-too-old"  // the server speaks TLS 1.1 or less
	FaultTLSCipher         Fault = "tls-no-common-cipher" // no cipher suite or group in common
	FaultTLSName           Fault = "tls-unknown-name"     // the server has no certificate for the name (unrecognized_name)
	FaultTLS               Fault = "tls-failed"           // any other failure of the TLS handshake
	FaultALPN              Fault = "alpn-without-http11"  // ALPN fails on http/1.1, and the server does not speak h2 either
	FaultHTTP2Only         Fault = "http2-only"           // the port speaks HTTP/2 and no HTTP/1.1
	FaultCertExpired       Fault = "cert-expired"
	FaultCertNotYet        Fault = "cert-not-yet-valid"
	FaultCertName          Fault = "cert-wrong-name"
	FaultCertUnknown       Fault = "cert-unknown-issuer"
	FaultCertSelfSigned    Fault = "cert-self-signed"
	FaultCertIntermediate  Fault = "cert-missing-intermediate"
	FaultCertOther         Fault = "cert-invalid"         // not made for this, a broken constraint, a weak signature
	FaultClientCert        Fault = "client-cert-required" // asked for, and none was given
	FaultClientCertRefused Fault = "client-cert-refused"  // given, and not accepted
)

// Instead of an answer.
const (
	FaultReset            Fault = "connection-reset"       // RST before an answer
	FaultClosedUnanswered Fault = "closed-before-response" // FIN before an answer
	FaultNoResponse       Fault = "response-timeout"       // nothing came
	FaultNotHTTP          Fault = "not-http"               // another protocol: SSH, SMTP, a database
	FaultHeadBroken       Fault = "head-broken"            // what came is no head of HTTP/1
	FaultHeadTooLarge     Fault = "head-too-large"
	FaultHeadEndless      Fault = "head-never-ends" // it began and did not end in time, or the stream ended within it
)

// An answer other than 101.
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
	FaultStatus407       Fault = "status-407-server" // the server itself says what only a proxy should
	FaultStatus426       Fault = "status-426"
	FaultVersion         Fault = "version-unsupported" // 400 or 426 with a Sec-WebSocket-Version without 13
	FaultStatus429       Fault = "status-429"
	FaultStatus500       Fault = "status-500" // also 501 and any other 5xx
	FaultStatus502       Fault = "status-502"
	FaultStatus503       Fault = "status-503"
	FaultStatus504       Fault = "status-504"
	FaultStatusOther     Fault = "status-other"
	FaultUpgradeStripped Fault = "upgrade-stripped"      // a proxy in front did not pass Upgrade and Connection on
	FaultHeaderLost      Fault = "handshake-header-lost" // the server lacks another header of the handshake, which the request had
)

// A 101 that breaks a rule.
const (
	FaultHTTP10              Fault = "101-in-http-1.0"
	FaultUpgradeMissing      Fault = "upgrade-header-missing"
	FaultUpgradeWrong        Fault = "upgrade-header-wrong"
	FaultConnectionMissing   Fault = "connection-header-missing"
	FaultConnectionWrong     Fault = "connection-header-wrong"
	FaultAcceptMissing       Fault = "accept-missing"
	FaultAcceptWrong         Fault = "accept-wrong"
	FaultAcceptRepeated      Fault = "accept-repeated"
	FaultSubprotocolUnasked  Fault = "unasked-subprotocol"          // chosen, and none was offered, or not that one
	FaultSubprotocolNone     Fault = "no-subprotocol"               // offered, and none was chosen: browsers fail the connection
	FaultSubprotocolRepeated Fault = "subprotocol-repeated"         // more than one chosen
	FaultTokenEchoed         Fault = "token-echoed"                 // warning: a token was chosen as the subprotocol
	FaultExtensionUnasked    Fault = "unasked-extension"            // agreed to, and not offered
	FaultExtensionParams     Fault = "invalid-extension-parameters" // parameters that RFC 7692 forbids, or a broken header
	FaultBody101             Fault = "101-with-body"                // Content-Length or Transfer-Encoding on a 101
)

// After the handshake.
const (
	FaultGarbage       Fault = "garbage-after-101"          // what follows the head are no frames
	FaultMasked        Fault = "masked-server-frames"       // RFC 6455 §5.1
	FaultFrame         Fault = "frame-invalid"              // any other rule of RFC 6455 §5; the finding has the clause
	FaultClosedAtOnce  Fault = "closed-after-101"           // a close frame right after the handshake, with code and reason
	FaultNoCloseFrame  Fault = "closed-without-close-frame" // the stream ended; a warning when that was the answer to ours
	FaultNoPong        Fault = "no-pong"                    // warning
	FaultNoEcho        Fault = "no-echo"                    // warning
	FaultNoCloseAnswer Fault = "close-unanswered"           // warning
	FaultIdle          Fault = "idle-timeout"               // warning: something on the path ends a silent connection
	FaultCrossSite     Fault = "cross-site-origin-accepted" // warning: any web page may connect (CSWSH)
)

// Faults returns all faults, in the order of the way from the URL to the end of the connection. The slice is the caller's.
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
