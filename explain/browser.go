package explain

import (
	"net/netip"
	"slices"
	"strings"
)

// warnAboutBrowsers warns if a browser would refuse to connect.
func (t *requester) warnAboutBrowsers() {
	to := t.r.Target
	if _, page, ok := strings.Cut(to.Origin, "https://"); ok && !to.Secure && !trustedWithoutTLS(to.Host) {
		t.warn(StageURL, FaultMixedContent, "", "the page at https://"+page+" opens ws://"+t.target.Host())
	}
	if slices.Contains(blockedPorts, to.Port) {
		t.warn(StageURL, FaultBlockedPort, "", "port "+to.Port+" is on the list of ports that browsers block")
	}
}

// trustedWithoutTLS reports whether browsers trust a host without TLS because it is the user's own machine (W3C Secure Contexts §3.1).
func trustedWithoutTLS(host string) bool {
	a, err := netip.ParseAddr(host)
	return isLocalhost(host) || err == nil && a.IsLoopback()
}

// blockedPorts lists the bad ports of WHATWG Fetch §2.9.
var blockedPorts = strings.Fields("1 7 9 11 13 15 17 19 20 21 22 23 25 37 42 43 53 69 77 79 87 95 101 102 103 104 109 110 111 113 115 117 " +
	"119 123 135 137 139 143 161 179 389 427 465 512 513 514 515 526 530 531 532 540 548 554 556 563 587 601 636 989 990 993 995 1719 1720 " +
	"1723 2049 3659 4045 4190 5060 5061 6000 6566 6665 6666 6667 6668 6669 6679 6697 10080")
