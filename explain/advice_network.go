package explain

import (
	"fmt"
	"strings"
)

// networkAdvice explains faults on the way to the server: of the URL, the name, the address and the proxy.
var networkAdvice = []explanation{
	{
		fault: FaultURL, clause: "RFC 6455 §3",
		cause: "This is not a WebSocket URL, which has the scheme ws:// or wss://, a host, optionally a port, a path and a query, and " +
			"no fragment.",
		owner:  []string{"Publish the complete URL, such as wss://chat.example/socket."},
		client: []string{"Write the URL as wss://HOST/PATH, or ws://HOST/PATH without TLS; drop a #fragment or write # as %23."},
	},
	{
		fault: FaultMixedContent, clause: "WHATWG Fetch §4.1",
		cause: "A page loaded over https must not open ws:// to another host: browsers block the WebSocket as mixed content before anything " +
			"is sent. Other programs can open it.",
		owner:  []string{"Serve wss://: a certificate costs nothing, and a proxy in front can terminate TLS."},
		client: []string{"Use wss:// on this page. For a test on one machine, ws://localhost is allowed."},
	},
	{
		fault: FaultBlockedPort, clause: "WHATWG Fetch §2.9",
		cause: "Browsers block this port, which belongs to another protocol, so new WebSocket fails before anything is sent. " +
			"Other programs can connect to this port.",
		owner:  []string{"Serve the WebSocket on another port: 443 with TLS is open almost everywhere."},
		client: []string{"Use another port: browsers implement a standard list of blocked ports."},
	},
	{
		fault: FaultRequest, clause: "RFC 6455 §4.1", general: true,
		cause: "A value for the request is not valid, so nothing was sent.",
		owner: []string{"Nothing reached the server: the caller must fix this."},
		client: []string{"The evidence names the value. A newline in a token most often comes from the file that contains the token.",
			"This program sets the headers of the handshake itself: use --subprotocol for subprotocols, and --origin for an origin."},
	},
	{
		fault: FaultNameNotFound, clause: "RFC 1035 §4.1.1",
		cause: "The host name has no address: the name servers report that the name does not exist or has no address records.",
		owner: []string{
			"Publish an A or AAAA record for the name, and check it with: dig +short NAME",
			"A new record becomes visible only when the cached negative answer expires. The lifetime of this answer, in seconds, is the last number in the zone's SOA record.",
		},
		client: []string{
			"Check the spelling of the name.",
			"A name of a private network resolves only inside that network: check the VPN, /etc/hosts and the name server in use.",
		},
		detail: explainNoName,
	},
	{
		fault: FaultNameServer, clause: "RFC 1035 §4.1.1",
		cause: "The name server failed or did not answer, so whether the name has an address is unknown.",
		owner: []string{
			"Check the name servers of the zone: dig +trace NAME shows which of them fails.",
			"SERVFAIL is often a DNSSEC signature that has expired: check with delv NAME.",
		},
		client: []string{"Try again, then another name server: dig @9.9.9.9 NAME. If this name server answers, the local name server is broken."},
	},
	{
		fault: FaultRefused, clause: "RFC 9293 §3.5.2",
		cause: "The connection was refused: most often nothing is listening on that port; a firewall can also refuse it.",
		owner: []string{
			"Check that the server runs and listens on this port: ss -ltnp",
			"A server that listens on 127.0.0.1 or in a container cannot be reached from outside: listen on 0.0.0.0, or publish the port.",
		},
		client: []string{"Check the port: ws:// without a port means 80, wss:// means 443."},
		detail: explainRefused,
	},
	{
		fault: FaultConnectTimeout, clause: "RFC 9293 §3.8.3",
		cause: "No address of the host responded: the packets are lost on the way, or dropped by a firewall or a server with a full backlog.",
		owner: []string{
			"Open the port in the firewall or the security group, and check that the host is up.",
			"If the timeout occurs only under load, the listener's queue is full: ss -lnt shows Recv-Q at its limit. The server must accept connections faster.",
		},
		client: []string{"Check the address and the port, and try from another network: many networks allow only ports 80 and 443."},
	},
	{
		fault: FaultUnreachable, clause: "RFC 9293 §3.9.2.2",
		cause:  "This machine has no route to any address of the host.",
		owner:  []string{"Check that the addresses in DNS are public, and that the host's network is announced."},
		client: []string{"Check this machine's network, its VPN and its routes: ip route get ADDRESS"},
		detail: explainUnreachable,
	},
	{
		fault: FaultIPv6, clause: "RFC 8305 §5",
		cause: "The name has IPv6 addresses that do not respond, while IPv4 works, so every client without a fallback waits or fails.",
		owner: []string{
			"Make the server listen on IPv6 too (listen [::]:443), and allow it in the firewall.",
			"Or remove the AAAA record from DNS.",
		},
		client: []string{"Use a client that tries both IPv6 and IPv4; until this is fixed, look up only IPv4 addresses."},
	},
	{
		fault: FaultProxyUnreachable, clause: "RFC 9110 §9.3.6",
		cause:  "The proxy between the client and the server could not be reached, or is not a proxy of the configured kind.",
		owner:  []string{"Nothing reached the server: the problem is between the client and its proxy."},
		client: []string{"Check the address in --proxy, HTTPS_PROXY and HTTP_PROXY, or name this host in NO_PROXY."},
		detail: explainProxyFailure,
	},
	{
		fault: FaultProxyAuth, clause: "RFC 9110 §15.5.8",
		cause:  "The proxy between the client and the server requires credentials before it opens a tunnel.",
		owner:  []string{"Nothing reached the server: the problem is between the client and its proxy."},
		client: []string{"Put the credentials in the proxy's URL: HTTPS_PROXY=http://USER:PASSWORD@PROXY:PORT. Or name this host in NO_PROXY."},
		detail: explainProxyChallenge,
	},
	{
		fault: FaultProxyRefused, clause: "RFC 9110 §9.3.6",
		cause: "The proxy between the client and the server refused to open a tunnel to the server.",
		owner: []string{"Serve wss:// on port 443: many proxies open a tunnel only to this port."},
		client: []string{
			"Use wss:// on port 443, or ask the proxy's operator to allow CONNECT to this host and port.",
			"Name this host in NO_PROXY if it can be reached without the proxy.",
		},
		detail: explainProxyRefusal,
	},
	{
		fault:  FaultInterrupted,
		cause:  "The caller stopped before the handshake was finished, so the result says nothing about the server.",
		owner:  []string{"Nothing: the client stopped."},
		client: []string{"Run the command again and let it finish."},
	},
	{
		fault:  FaultTimeout,
		cause:  "The overall timeout expired before the handshake was finished.",
		owner:  []string{"Check which step took the time: a slow name server, a distant host, or an overloaded server."},
		client: []string{"Allow more time, and look at the step that was in progress when the timeout expired."},
	},
}

// explainNoName distinguishes a name that does not exist from a name without addresses (RFC 2308 §2).
func explainNoName(_ *Report, f Finding, d *Diagnosis) {
	switch {
	case strings.HasSuffix(f.Detail, noAddress):
		d.Cause = "The host name exists but has no address: neither an A nor an AAAA record."
		d.ForClient = []string{"Check the spelling of the name: a name of the same zone, such as www.NAME, may be the one with addresses."}
	case strings.HasSuffix(f.Detail, "(NXDOMAIN)"):
		d.Cause = "The host name does not exist: the name servers say so."
	}
}

// explainRefused adds the other loopback address, if a server listens on it.
func explainRefused(_ *Report, f Finding, d *Diagnosis) {
	if _, addr, ok := strings.Cut(f.Detail, listensOn); ok {
		d.forOwner("If the server on " + addr + " is yours, make it listen on both loopback addresses, or on localhost with a library that does so.")
		d.forClient("If the server on " + addr + " is the one you want, use ws://localhost, for which browsers try both addresses, or " + addr + ".")
	}
}

// explainUnreachable names the error, unless it is a missing route.
func explainUnreachable(_ *Report, f Finding, d *Diagnosis) {
	if _, why, ok := strings.Cut(f.Detail, ": "); ok && why != noRoute {
		d.Cause = "This machine could not open a connection to the host: " + why + "."
		d.ForClient = append([]string{"Look up the error: a local firewall, a sandbox, or a limit of this machine is likely."}, d.ForClient...)
	}
}

// explainProxyFailure explains a failure after the proxy was reached: its response was cut off or is not valid.
func explainProxyFailure(_ *Report, f Finding, d *Diagnosis) {
	what, reached := strings.CutPrefix(f.Detail, "the proxy ")
	switch f.Detail {
	case proxyClosed, proxyReset, proxySilent:
	default:
		if reached = strings.HasPrefix(f.Detail, proxyInvalid); reached {
			what = "sent a response that violates the grammar of HTTP/1.1"
		}
	}
	if !reached {
		return
	}
	d.Cause = "The proxy between the client and the server " + what + "."
	d.ForClient = append([]string{"Try again. If it happens again, ask the proxy's operator to look for this connection in its log."}, d.ForClient...)
}

// explainTunnel adds that unexpected bytes from a tunnel may have been sent by the server or by the proxy.
func explainTunnel(r *Report, f Finding, d *Diagnosis) {
	if r.Target == nil || r.Target.Proxy == "" {
		return
	}
	d.Cause += " The response came through the proxy: whether the server or the proxy itself sent it is unknown."
	if f.Fault == FaultNotHTTP {
		d.Cause += " Its sender is not a WebSocket server."
	}
	d.forClient("Check the address of the proxy, too: a web server that is not a proxy may answer CONNECT with 200 and a page.")
}

func explainProxyRefusal(r *Report, f Finding, d *Diagnosis) {
	if f.Clause == clauseSocks {
		d.ForClient[0] = "Check the user and the password in the proxy's URL, or ask the proxy's operator to allow connections to this host and port."
	}
	if r.Response == nil {
		return
	}
	switch s := r.Response.Status; s {
	case 400, 404, 405, 501:
		d.Cause = fmt.Sprintf("The proxy between the client and the server opens no tunnel (%d). It may not be a proxy: web servers answer CONNECT with this status.", s)
		d.ForClient = append([]string{"Check the address in --proxy, HTTPS_PROXY and HTTP_PROXY."}, d.ForClient...)
	case 403:
		d.Cause = fmt.Sprintf("The proxy between the client and the server refuses the tunnel (%d): most likely it does not allow this host or port, or this client.", s)
	case 500, 502, 503, 504:
		d.Cause = fmt.Sprintf("The proxy between the client and the server opened no tunnel (%d): most likely it did not reach the server.", s)
		d.ForOwner = []string{"Check that the server runs and can be reached from the proxy's network."}
	}
}
