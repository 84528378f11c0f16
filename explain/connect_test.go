package explain

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
)

// If no address accepts a connection, the most certain reason is reported.
func TestJudgeDial(t *testing.T) {
	one, two := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	for _, tt := range []struct {
		stage Stage
		errs  []error
		want  Fault
		text  string
	}{
		{StageTCP, []error{syscall.ENETUNREACH}, FaultUnreachable, "port 443 of 192.0.2.1: no route to the host"},
		{StageTCP, []error{syscall.EHOSTUNREACH}, FaultUnreachable, "port 443 of 192.0.2.1: no route to the host"},
		{StageTCP, []error{syscall.ECONNREFUSED, syscall.ENETUNREACH}, FaultRefused, "port 443 of 2 addresses: connection refused"},
		{StageTCP, []error{os.ErrDeadlineExceeded, syscall.ENETUNREACH}, FaultConnectTimeout, "port 443 of 2 addresses: no response in time"},
		{StageTCP, []error{os.ErrDeadlineExceeded, syscall.ECONNREFUSED}, FaultRefused, "connection refused"},
		{StageTCP, []error{errors.New("something")}, FaultUnreachable, "something"},
		{StageProxy, []error{syscall.ECONNREFUSED}, FaultProxyUnreachable, "connection refused"},
	} {
		tr := newTracer(t.Context(), nil)
		tr.dialer.judgeDial(tt.stage, []netip.Addr{one, two}[:len(tt.errs)], tt.errs, "443")
		if len(tr.r.Findings) != 1 || tr.r.Findings[0].Fault != tt.want || !strings.Contains(tr.r.Findings[0].Detail, tt.text) {
			t.Errorf("%v: %+v", tt.errs, tr.r.Findings)
		}
	}
	for _, tt := range []struct {
		failed string
		worked netip.Addr
		err    error
		want   int
	}{
		{"2001:db8::1", one, syscall.ECONNREFUSED, 1}, {"2001:db8::1", two, syscall.ECONNREFUSED, 0}, {"::1", one, syscall.ECONNREFUSED, 0},
		{"192.0.2.2", one, syscall.ECONNREFUSED, 0}, {"2001:db8::1", one, syscall.ENETUNREACH, 0}, {"2001:db8::1", one, syscall.EADDRNOTAVAIL, 0},
		{"2001:db8::1", one, syscall.EAFNOSUPPORT, 0},
	} {
		tr := newTracer(t.Context(), nil)
		tr.dialer.warnAboutIPv6([]netip.Addr{netip.MustParseAddr(tt.failed)}, tt.worked, []error{tt.err})
		if len(tr.r.Findings) != tt.want {
			t.Errorf("%s, %v: %+v", tt.failed, tt.err, tr.r.Findings)
		}
	}
}
