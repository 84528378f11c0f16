package explain

import (
	"fmt"
	"strings"
)

// networkAdvice is about the way to the server: the URL, the name, the address, the proxy.
var networkAdvice = []explanation{
	{
		fault: FaultURL, clause: "RFC 6455 §3",
		cause: "The URL is not that of a WebSocket: that is ws:// or wss://, a host, perhaps a port, a path and a query, and " +
			"no fragment.",
		owner:  []string{"Publish the URL whole, such as wss://chat.example/socket."},
		client: []string{"Write the URL as wss://HOST/PATH, or ws://HOST/PATH without TLS; drop a #fragment or write # as %23."},
	},
	{
		fault: FaultMixedContent, clause: "WHATWG Fetch §4.1",
		cause: "A page that came over https must not open ws:// to another host: browsers refuse it as mixed content before anything is sent. Programs " +
			"do not.",
		owner:  []string{"Serve wss://: a certificate costs nothing, and a proxy in front can do the TLS."},
		client: []string{"Use wss:// on this page. For a test on one machine, ws://localhost is allowed."},
	},
	{
		fault: FaultBlockedPort, clause: "WHATWG Fetch §2.9",
		cause: "Browsers do not connect to this port, which belongs to another protocol: new WebSocket fails there before anything is sent. " +
			"Programs connect.",
		owner:  []string{"Serve the WebSocket on another port: 443 with TLS gets through everywhere."},
		client: []string{"Only another port helps: the list is in the standard that browsers implement."},
	},
	{
		fault: FaultRequest, clause: "RFC 6455 §4.1", general: true,
		cause: "Something that was to be added to the request cannot stand in it, so nothing was sent.",
		owner: []string{"Nothing reached the server: this is the caller's."},
		client: []string{"See in the evidence what it is: a line end in a token is most often that of the file which it was read from.",
			"The handshake's own headers are set by the program: subprotocols are offered with --subprotocol, an origin with --origin."},
	},
	{
		fault: FaultNameNotFound, clause: "RFC 1035 §4.1.1",
		cause: "The host name has no address: the name servers say that it does not exist, or that no address belongs to it.",
		owner: []string{
			"Publish an A or AAAA record for the name, and check it with: dig +short NAME",
			"A new record is seen only when the negative answer has left the caches: the last number of the zone's SOA, in seconds.",
		},
		client: []string{
			"Check the spelling of the name.",
			"A name of an inner network is known only inside: check the VPN, /etc/hosts, the name server in use.",
		},
		detail: explainNoName,
	},
	{
		fault: FaultNameServer, clause: "RFC 1035 §4.1.1",
		cause: "The name server failed or gave no answer, so that it is not known whether the name has an address.",
		owner: []string{
			"Check the name servers of the zone: dig +trace NAME shows which of them fails.",
			"SERVFAIL is often a DNSSEC signature that has expired: check with delv NAME.",
		},
		client: []string{"Try again, then another name server: dig @9.9.9.9 NAME. If that answers, the local one is broken."},
	},
	{
		fault: FaultRefused, clause: "RFC 9293 §3.5.2",
		cause: "The connection was refused: most often nothing listens on that port; a firewall can refuse it, too.",
		owner: []string{
			"Check that the server runs and listens on this port: ss -ltnp",
			"One that listens on 127.0.0.1 or in a container is not reached from outside: listen on 0.0.0.0 or publish the port.",
		},
		client: []string{"Check the port: ws:// without one means 80, wss:// means 443."},
		detail: explainRefused,
	},
	{
		fault: FaultConnectTimeout, clause: "RFC 9293 §3.8.3",
		cause: "No address of the host answered: the packets are lost on the way, or dropped by a firewall or a full server.",
		owner: []string{
			"Let the port through the firewall or the security group, and check that the host is up.",
			"If it is only under load, the queue of the listener is full: ss -lnt shows Recv-Q at its bound; accept faster.",
		},
		client: []string{"Check the address and the port; try from another network; many networks let only ports 80 and 443 out."},
	},
	{
		fault: FaultUnreachable, clause: "RFC 9293 §3.9.2.2",
		cause:  "No way leads from this machine to any address of the host.",
		owner:  []string{"Check that the addresses in the DNS are public ones, and that the host's network is announced."},
		client: []string{"Check this machine's network, its VPN and its routes: ip route get ADDRESS"},
		detail: explainUnreachable,
	},
	{
		fault: FaultIPv6, clause: "RFC 8305 §5",
		cause: "The name has IPv6 addresses that do not answer while IPv4 does, so every client without a fallback waits or fails.",
		owner: []string{
			"Make the server listen on IPv6 too (listen [::]:443), and let it through the firewall.",
			"Or remove the AAAA record from the DNS.",
		},
		client: []string{"Use a client that tries both kinds of addresses; until it is fixed, ask for IPv4 addresses only."},
	},
	{
		fault: FaultProxyUnreachable, clause: "RFC 9110 §9.3.6",
		cause:  "The proxy between the client and the server was not reached, or what answers there is not a proxy of its kind.",
		owner:  []string{"Nothing reached the server: this is between the client and its proxy."},
		client: []string{"Check the address in --proxy, HTTPS_PROXY and HTTP_PROXY, or name this host in NO_PROXY."},
	},
	{
		fault: FaultProxyAuth, clause: "RFC 9110 §15.5.8",
		cause:  "The proxy between the client and the server wants credentials before it opens a tunnel.",
		owner:  []string{"Nothing reached the server: this is between the client and its proxy."},
		client: []string{"Put them into the proxy's URL: HTTPS_PROXY=http://USER:PASSWORD@PROXY:PORT. Or name this host in NO_PROXY."},
		detail: explainProxyChallenge,
	},
	{
		fault: FaultProxyRefused, clause: "RFC 9110 §9.3.6",
		cause: "The proxy between the client and the server does not open a tunnel to it.",
		owner: []string{"Serve wss:// on port 443: it is the only port to which many proxies open a tunnel."},
		client: []string{
			"Use wss:// on port 443, or ask who runs the proxy to allow CONNECT to this host and port.",
			"Name this host in NO_PROXY if it can be reached without the proxy.",
		},
		detail: explainProxyRefusal,
	},
	{
		fault:  FaultInterrupted,
		cause:  "The caller stopped before it was over, so this says nothing about the server.",
		owner:  []string{"Nothing: the client stopped."},
		client: []string{"Run it again and let it finish."},
	},
	{
		fault:  FaultTimeout,
		cause:  "The time for all of it was over before the handshake was.",
		owner:  []string{"See which step took the time: a slow name server, a far host, or a server that is overloaded."},
		client: []string{"Allow more time, then look at the step that was under way when it was over."},
	},
}

// explainNoName tells a name that does not exist from one without addresses (RFC 2308 §2).
func explainNoName(_ *Report, f Finding, d *Diagnosis) {
	switch {
	case strings.HasSuffix(f.Detail, noAddress):
		d.Cause = "The host name exists and has no address: neither an A nor an AAAA record."
		d.ForClient = []string{"Check the spelling of the name: a name of the same zone, such as www.NAME, may be the one with addresses."}
	case strings.HasSuffix(f.Detail, "(NXDOMAIN)"):
		d.Cause = "The host name does not exist: the name servers say so."
	}
}

// explainRefused says where else on this machine something listens.
func explainRefused(_ *Report, f Finding, d *Diagnosis) {
	if _, addr, ok := strings.Cut(f.Detail, listensOn); ok {
		d.forOwner("The server listens on " + addr + " alone: have it listen on both loopback addresses, or on localhost with a library that does so.")
		d.forClient("Use ws://localhost, for which browsers try both addresses, or " + addr + ".")
	}
}

// explainUnreachable is for other errors than that of a missing route.
func explainUnreachable(_ *Report, f Finding, d *Diagnosis) {
	if _, why, ok := strings.Cut(f.Detail, ": "); ok && why != noWay {
		d.Cause = "This machine could not open a connection to the host: " + why + "."
		d.ForClient = append([]string{"See what the error means here: a local firewall, a sandbox, or a limit of this machine is likely."}, d.ForClient...)
	}
}

func explainProxyRefusal(r *Report, f Finding, d *Diagnosis) {
	if f.Clause == clauseSocks {
		d.ForClient[0] = "Check the user and the password in the proxy's URL, or ask who runs the proxy to allow connections to this host and port."
	}
	if r.Response == nil {
		return
	}
	switch s := r.Response.Status; s {
	case 403, 405:
		d.Cause = fmt.Sprintf("The proxy between the client and the server does not allow a tunnel to this host or port (%d).", s)
	case 502, 503, 504:
		d.Cause = fmt.Sprintf("The proxy between the client and the server did not reach the server (%d).", s)
		d.ForOwner = []string{"Check that the server runs and can be reached from the proxy's network."}
	}
}
