package explain

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
)

// The error of a TLS handshake determines its fault.
func TestJudgeTLS(t *testing.T) {
	for _, tt := range []struct {
		err  error
		seen string
		want Fault
		text string
	}{
		{errors.New("tls: server selected unsupported protocol version 301"), "", FaultTLSVersion, "too old"},
		{errors.New("tls: server selected unadvertised ALPN protocol"), "", FaultALPN, "ALPN"},
		{errors.New("tls: failed to parse certificate from server: x"), "", FaultCertOther, "parse certificate"},
		{errors.New("x509: something"), "", FaultCertOther, "x509"},
		{os.ErrDeadlineExceeded, "\x16\x03", FaultTLSTimeout, "did not finish it"},
		{os.ErrDeadlineExceeded, "", FaultTLSTimeout, "does not respond"},
		{syscall.ECONNRESET, "", FaultReset, "RST"},
		{io.EOF, "", FaultTLS, "closed the connection"},
		{io.ErrUnexpectedEOF, "", FaultTLS, "closed the connection"},
		{errors.New("something"), "", FaultTLS, "something"},
		{tls.RecordHeaderError{Msg: "x"}, "HTTP/1.1 400", FaultTLSToPlain, "HTTP/1.1 400"},
		{tls.RecordHeaderError{Msg: "x", RecordHeader: [5]byte{22, 3, 3, 0xff, 0xff}}, "\x16\x03\x03\xff\xff", FaultTLS, "(handshake) with the length 65535"},
		{tls.RecordHeaderError{Msg: "x", RecordHeader: [5]byte{23, 3, 3, 0x40, 0x01}}, "\x16\x03\x03\x00\x40", FaultTLS, "that is not allowed at this point: x"},
		{tls.RecordHeaderError{Msg: "x", RecordHeader: [5]byte{23, 3, 3, 0x41, 0x01}}, "\x16\x03\x03\x00\x40", FaultTLS, "length 16641, which is not allowed: the limit is 16640"},
		{tls.RecordHeaderError{Msg: "x", RecordHeader: [5]byte{'H', 'T', 'T', 'P', '/'}}, "\x16\x03\x03\x00\x40", FaultTLS, "not a TLS record: 48 54 54 50 2f"},
		{tls.RecordHeaderError{Msg: "x", RecordHeader: [5]byte{20, 3, 3, 0, 1}}, "\x14\x03\x03\x00\x01", FaultTLS, "(change_cipher_spec) that is not allowed at this point: x"},
		{errUntrusted, "", FaultTLS, "not trusted"}, // no problem is recorded
	} {
		tr := newTracer(t.Context(), nil)
		f, _, detail := tr.dialer.judgeTLS(&secure{info: &TLS{}}, &link{seen: []byte(tt.seen)}, tt.err)
		if f != tt.want || !strings.Contains(detail, tt.text) {
			t.Errorf("%v: %s, %s", tt.err, f, detail)
		}
	}
	sec := &secure{info: &TLS{}, problems: []trustProblem{{fault: FaultCertOther, clause: "c", detail: "d"}}}
	tr := newTracer(t.Context(), nil)
	if f, clause, detail := tr.dialer.judgeTLS(sec, &link{}, errUntrusted); f != FaultCertOther || clause != "c" || detail != "d" {
		t.Errorf("%s, %s, %s", f, clause, detail)
	}
}

// A port that sends a TLS record with an invalid length speaks TLS, and is not reported as a port without TLS.
func TestRFC8446_5_1_RecordLength(t *testing.T) {
	opts := &Options{NoProbes: true, Proxy: func(*http.Request) (*url.URL, error) { return nil, nil },
		Dial: func(context.Context, string, string) (net.Conn, error) {
			return &endsWith{first: strings.NewReader("\x16\x03\x03\xff\xff"), end: io.EOF}, nil
		}}
	r := Explain(t.Context(), "wss://192.0.2.1/", opts)
	const want = "the server sent the header of a TLS record (handshake) with the length 65535, which is not allowed: the limit is 16384"
	if len(r.Findings) != 1 || r.Findings[0].Fault != FaultTLS || r.Findings[0].Detail != want || r.Diagnosis.Clause != "RFC 8446 §5.1" ||
		r.Diagnosis.Cause != "The TLS handshake failed: "+want+"." {
		t.Errorf("%+v, %+v", r.Findings, r.Diagnosis)
	}
}
