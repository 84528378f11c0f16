package explain

import (
	"slices"
	"strings"
)

// tlsAdvice explains faults of TLS, except for those in certAdvice.
var tlsAdvice = []explanation{
	{
		fault: FaultTLSToPlain, clause: "RFC 6455 §4.1",
		cause: "The client spoke TLS to a port that does not speak TLS: the response is not a TLS record.",
		owner: []string{
			"Give this port a certificate, or publish the port that has one. In nginx, the listen directive needs the word ssl:",
			"    listen 443 ssl;",
		},
		client: []string{"Use ws:// for this port, or wss:// with the port that speaks TLS, usually 443."},
		detail: explainSilentTLS,
	},
	{
		fault: FaultPlainToTLS, clause: "RFC 6455 §4.1",
		cause: "The client spoke plain HTTP to a port that expects TLS.",
		owner: []string{
			"Publish the URL with wss://.",
			"A proxy that terminates TLS must not speak plain HTTP to a backend that expects TLS. nginx:",
			"    proxy_pass https://backend;",
		},
		client: []string{"Use wss:// for this port."},
		detail: explainPlainToTLS,
	},
	{
		fault: FaultTLSTimeout, clause: "RFC 8446 §4.1.3",
		cause: "The port accepts connections but does not finish a TLS handshake in time.",
		owner: []string{
			"Check what is listening there: a service that speaks another protocol may be waiting for other bytes, or the server is overloaded.",
			"A large ClientHello takes two packets; a device on the path that drops the second packet causes the same symptom.",
		},
		client: []string{"Check the port. If ws:// gets a response there, the port does not speak TLS."},
	},
	{
		fault: FaultTLSVersion, clause: "RFC 8996 §5",
		cause: "The server does not speak a TLS version newer than 1.1, which is obsolete; browsers and this client require 1.2 or later.",
		owner: []string{
			"Allow TLS 1.2 and 1.3. nginx, HAProxy, Apache:",
			"    ssl_protocols TLSv1.2 TLSv1.3;",
			"    ssl-default-bind-options ssl-min-ver TLSv1.2",
			"    SSLProtocol -all +TLSv1.2 +TLSv1.3",
			"If that changes nothing, the TLS library is too old: it must be OpenSSL 1.0.1 or newer, preferably 3.",
		},
		client: []string{"Do not lower the client's minimum version: browsers cannot. Ask the server's owner."},
	},
	{
		fault: FaultTLSCipher, clause: "RFC 8446 §4.1.1",
		cause: "The server and the client have no cipher suite, key exchange group or signature algorithm in common.",
		owner: []string{
			"Allow modern suites: ECDHE with AES-GCM or ChaCha20-Poly1305, and the groups X25519 and P-256. nginx:",
			"    ssl_protocols TLSv1.2 TLSv1.3;",
			"    ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305;",
			"The suites must match the certificate's key: a suite with ECDSA needs an ECDSA certificate, and a suite with RSA an RSA certificate.",
		},
		client: []string{"Do not restrict suites or versions in the client's TLS settings. If they are not restricted, ask the owner."},
		detail: explainNoCipher,
	},
	{
		fault: FaultTLSName, clause: "RFC 6066 §3",
		cause: "The server has no certificate for the name that the client asked for in its ClientHello (SNI).",
		owner: []string{"Add a certificate for this name, or a default certificate, to the listener of this address and port."},
		client: []string{
			"Use the name under which the server is published; an IP address sends no name at all.",
			"If the TLS settings name a server (ServerName, a hosts entry), check that name.",
		},
	},
	{
		fault: FaultTLS, clause: "RFC 8446 §6.2", general: true,
		cause:  "The TLS handshake failed before both sides had agreed on keys.",
		owner:  []string{"The server's log names the cause; openssl s_client -connect HOST:PORT -servername HOST shows what the server sends."},
		client: []string{"Try openssl s_client -connect HOST:PORT -servername HOST: if this command also fails, the cause is the server or the path."},
		detail: explainAlert,
	},
	{
		fault: FaultALPN, clause: "RFC 7301 §3.2",
		cause: "The server's list of protocols (ALPN) lacks http/1.1, in which a WebSocket handshake over TLS is sent.",
		owner: []string{
			"Add http/1.1 to the list. HAProxy, Go, Envoy:",
			"    bind :443 ssl crt site.pem alpn h2,http/1.1",
			`    tls.Config{NextProtos: []string{"h2", "http/1.1"}}`,
			"    alpn_protocols: [h2, http/1.1]",
		},
		client: []string{"Check the port: it belongs to another protocol. A program may work around the fault by offering no ALPN at all; a browser cannot."},
	},
	{
		fault: FaultHTTP2Only, clause: "RFC 9113 §3.4",
		cause: "The port speaks HTTP/2 but not HTTP/1.1, with which browsers try a WebSocket handshake first.",
		owner: []string{
			"Allow both HTTP/1.1 and HTTP/2 on this port: ALPN h2,http/1.1. If the port is for gRPC, open a second one for WebSocket.",
			"Browsers try WebSocket over HTTP/2 (RFC 8441) only on a connection that is already open, and only if the " +
				"server sent SETTINGS_ENABLE_CONNECT_PROTOCOL.",
		},
		client: []string{"Check the port and the host: this one is likely for gRPC or for an internal proxy."},
		detail: explainHTTP2Only,
	},
	{
		fault: FaultClientCert, clause: "RFC 8446 §4.4.2.4",
		cause: "The server requires a client certificate, and the client has sent none.",
		owner: []string{
			"If clients without a certificate are welcome, do not request one, or make it optional. nginx:",
			"    ssl_verify_client optional;",
			"Browsers send a certificate only if the user has installed it, and ask the user on a page first: open an https page of the " +
				"host before the WebSocket.",
		},
		client: []string{
			"Send a certificate, with its key, from a CA that the server accepts. handfast explain, openssl:",
			"    --cert client.pem --key client.key",
			"    openssl s_client -connect HOST:PORT -cert client.pem -key client.key",
		},
		detail: explainClientCert,
	},
	{
		fault: FaultClientCertRefused, clause: "RFC 8446 §6.2",
		cause: "The server does not accept the client's certificate.",
		owner: []string{
			"Add the CA of the client's certificate to those that the server accepts, and check for revocation. nginx:",
			"    ssl_client_certificate clients-ca.pem;",
			"    ssl_verify_depth 2;",
		},
		client: []string{
			"Check that the certificate has not expired, that it is for clients (clientAuth), and that the server accepts its CA:",
			"    openssl x509 -in client.pem -noout -dates -issuer -ext extendedKeyUsage",
			"Send the intermediate certificates as well, after the client's own in the same file.",
		},
		detail: explainClientCertRefused,
	},
}

// certAdvice explains faults of the server's certificate.
var certAdvice = []explanation{
	{
		fault: FaultCertExpired, clause: "RFC 5280 §4.1.2.5",
		cause: "A certificate of the server has expired.",
		owner: []string{
			"Renew the certificate, and reload the server: certbot renew && systemctl reload nginx",
			"If the certificate was renewed, a process still serves the old one: reload each proxy and each node.",
		},
		client: []string{"Check this machine's clock first. If the clock is right, only the server's owner can fix this."},
		detail: explainValidity,
	},
	{
		fault: FaultCertNotYet, clause: "RFC 5280 §4.1.2.5",
		cause:  "A certificate of the server is not valid yet.",
		owner:  []string{"Check the clock of the machine that issued the certificate, and serve the previous certificate until this one is valid."},
		client: []string{"Check this machine's clock and time zone: the clock is most likely behind."},
		detail: explainValidity,
	},
	{
		fault: FaultCertName, clause: "RFC 9525 §6.3",
		cause: "The server's certificate is for names other than the one in the URL.",
		owner: []string{
			"Get a certificate that names this host among its subjectAltNames: certbot certonly -d HOST",
			"A wildcard covers one label only: *.example.com is for a.example.com, and not for example.com or a.b.example.com.",
			"If such a certificate exists, the server picked its default certificate: check the server_name of this host.",
		},
		client: []string{"Use one of the names that the certificate is for. Do not turn verification off."},
		detail: explainNames,
	},
	{
		fault: FaultCertUnknown, clause: "RFC 5280 §6.1",
		cause: "The server's certificate comes from a CA that this client does not trust.",
		owner: []string{
			"For public clients, get a certificate from a public CA, such as Let's Encrypt.",
			"For a closed group, distribute the CA's certificate. handfast cert trust installs the certificate of the development CA.",
		},
		client: []string{
			"If the issuer is a private CA that you know, pass its certificate to the client: --cacert ca.pem",
			"If you do not know the CA, the connection may be intercepted: by a company's proxy, a virus scanner, an attacker.",
		},
		detail: explainIssuer,
	},
	{
		fault: FaultCertSelfSigned, clause: "RFC 5280 §6.1",
		cause: "The server's certificate is self-signed, so no CA vouches for it.",
		owner: []string{
			"Use a certificate from a CA: Let's Encrypt for a public name, handfast cert dev for development.",
			"Browsers offer no way to accept such a certificate for a WebSocket: the connection just fails.",
		},
		client: []string{"For a test, trust the certificate explicitly: --cacert server.pem. Do not turn verification off in production."},
	},
	{
		fault: FaultCertIntermediate, clause: "RFC 8446 §4.4.2",
		cause: "Most likely the server sends its own certificate without the intermediate certificate that links its own to a trusted CA.",
		owner: []string{
			"Serve the whole chain, the server's own certificate first: fullchain.pem instead of cert.pem. nginx, HAProxy:",
			"    ssl_certificate /etc/letsencrypt/live/HOST/fullchain.pem;",
			"    cat chain.pem >> /etc/haproxy/HOST.pem",
			"The connection may work in browsers that have cached the missing certificate or fetch it, but fails in programs.",
		},
		client: []string{"Only the server's owner can fix this. Until then pass the intermediate certificate: --cacert chain.pem"},
		detail: explainIssuer,
	},
	{
		fault: FaultCertOther, clause: "RFC 5280 §6.1", general: true,
		cause: "The server's certificate is not valid for a server: its use, a constraint or its signature is wrong.",
		owner: []string{
			"Reissue the certificate for a server (extendedKeyUsage serverAuth), with SHA-256 or better, from a CA that may sign it:",
			"    openssl x509 -in cert.pem -noout -text",
		},
		client: []string{"Only the server's owner can fix this. Do not turn verification off."},
		detail: explainUnsuitableCert,
	},
}

// explainPlainToTLS qualifies the cause if no TLS handshake was tried, as the response may be from a server behind a proxy, and if the port
// did not respond to plain HTTP: it may serve both, and the server for HTTP behind it may be down.
func explainPlainToTLS(r *Report, f Finding, d *Diagnosis) {
	if strings.HasSuffix(f.Detail, answersTLS) {
		d.Cause = "The port does not answer plain HTTP, but it responds to TLS: most likely it expects TLS."
		d.forOwner("If one port serves both, as with sslh, check that the server for HTTP behind it runs.")
	}
	checked := slices.ContainsFunc(r.Steps, func(s Step) bool { return s.Title == asksTLS })
	if r.Response == nil || checked {
		return
	}
	d.Cause = "The response says that plain HTTP was sent to a port that expects TLS: this one, or that of a server behind a proxy on this port."
}

// explainHTTP2Only names Node's http2 if the response is from it, and qualifies the cause if a port closed the connection on HTTP/1.1 and
// speaks HTTP/2: a rule of a proxy may have rejected the request.
func explainHTTP2Only(r *Report, f Finding, d *Diagnosis) {
	if r.Response != nil && nodeWithoutHTTP1.MatchString(strings.TrimSpace(r.Response.Body)) {
		d.Cause = "A server in Node.js (http2) answers that it expects HTTP/2: the one on this port, or one behind a proxy here that uses HTTP/1.1 for it."
		d.ForOwner = append([]string{"Make the server accept HTTP/1.1 too:", "    http2.createSecureServer({ allowHTTP1: true, ...options })"}, d.ForOwner...)
		return
	}
	if !strings.Contains(f.Detail, answersHTTP2) {
		return
	}
	d.Cause = "The server closes HTTP/1.1 connections, which browsers try first for a WebSocket, but responds to HTTP/2: most likely the " +
		"port speaks only HTTP/2."
	d.forOwner("A rule that rejects requests looks the same, such as http-request reject in HAProxy. If curl --http1.1 gets a response from any path of " +
		"this port, it is such a rule.")
}

// explainSilentTLS is for a port that responds to plain HTTP and not at all to a ClientHello. It may serve both, and the server for TLS
// behind it may be down.
func explainSilentTLS(r *Report, f Finding, d *Diagnosis) {
	if strings.HasSuffix(f.Detail, answersPlain) {
		d.Cause = "The port does not answer a ClientHello, but it responds to plain HTTP: most likely it does not speak TLS."
		d.forOwner("If one port serves both, as with sslh, check that the server for TLS behind it runs.")
	}
	explainTunnel(r, f, d)
}
