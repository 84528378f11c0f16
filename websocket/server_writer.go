package websocket

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/handfast/handfast/websocket/internal/header"
	"github.com/handfast/handfast/websocket/internal/opening"
)

// responder is the ResponseWriter for an upgrade request that a Server has read. A handler uses it to take the connection over, or
// to send any other response, after which the connection is closed.
type responder struct {
	server  *Server
	r       *http.Request
	raw     net.Conn // from the listener
	nc      net.Conn // the connection that carried the request: raw, or a wrapper around it
	ctx     requestContext
	header  http.Header
	early   []byte // the bytes that the client has sent after its request; owned by the watcher while the watcher runs
	watcher watcher

	writeBy       time.Time // the deadline of the response; zero if there is none
	deadlinesOnce sync.Once // runs the body of setDeadlines once

	hijacked bool
	wrote    bool        // the status has been set
	status   int         // 0 until wrote is set
	sent     http.Header // the header at the time when the status was set
	length   int64       // the length of the body, as announced by the handler; -1 if not announced
	written  int64       // the number of written body bytes
	headSent bool        // the head of the response has been sent
	chunked  bool
	body     []byte // buffered output, not sent yet
	err      error  // the error of the connection
}

// maxBuffered is the number of body bytes that are buffered to determine the body's length.
const maxBuffered = 4 << 10

// Header returns the header of the response.
func (w *responder) Header() http.Header { return w.header }

// WriteHeader sets the status. An informational status is sent immediately.
func (w *responder) WriteHeader(status int) {
	if w.hijacked || w.wrote {
		return
	}
	if status < 100 || status > 999 {
		panic("websocket: invalid WriteHeader code " + strconv.Itoa(status))
	}
	if status < 200 && status != http.StatusSwitchingProtocols {
		b := bytes.NewBufferString("HTTP/1.1 " + opening.StatusLine(status) + "\r\n")
		h := w.header.Clone()
		h.Del("Content-Length")
		h.Del("Transfer-Encoding")
		h.Write(b) //nolint:errcheck // a write to memory cannot fail
		b.WriteString("\r\n")
		w.writeConn(b.Bytes()) //nolint:errcheck // writeConn records the error in w
		return
	}
	w.wrote, w.status, w.sent = true, status, w.header.Clone()
	if n, err := strconv.ParseInt(w.sent.Get("Content-Length"), 10, 64); err == nil && n >= 0 {
		w.length = n
	} else {
		w.sent.Del("Content-Length")
	}
}

// bodyAllowed reports whether a response with this status may have a body (RFC 9110 §6.4.1).
func (w *responder) bodyAllowed() bool {
	return w.status >= 200 && w.status != http.StatusNoContent && w.status != http.StatusNotModified
}

// Write sends a piece of the response's body.
func (w *responder) Write(p []byte) (int, error) {
	switch {
	case w.hijacked:
		return 0, http.ErrHijacked
	case !w.wrote:
		w.WriteHeader(http.StatusOK)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if !w.bodyAllowed() {
		return 0, http.ErrBodyNotAllowed
	}
	if w.written += int64(len(p)); w.length >= 0 && w.written > w.length {
		return 0, http.ErrContentLength
	}
	w.body = append(w.body, p...)
	if len(w.body) >= maxBuffered {
		if err := w.flush(); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// WriteString is Write of a string.
func (w *responder) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

// ReadFrom sends the bytes read from src as a part of the body, without a copy where the system supports that.
func (w *responder) ReadFrom(src io.Reader) (int64, error) {
	to, direct := w.nc.(io.ReaderFrom)
	if direct && w.wrote && w.length >= 0 && w.sent.Get("Content-Type") != "" && !w.hijacked && w.bodyAllowed() {
		if err := w.flush(); err != nil {
			return 0, err
		}
		n, err := to.ReadFrom(io.LimitReader(src, w.length-w.written))
		w.written += n
		return n, err
	}
	return io.Copy(struct{ io.Writer }{w}, src)
}

// Flush sends all data that was written before.
func (w *responder) Flush() { w.FlushError() } //nolint:errcheck // a later Write or FlushError returns the error

// FlushError is Flush for [http.ResponseController].
func (w *responder) FlushError() error {
	if w.hijacked {
		return http.ErrHijacked
	}
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	return w.flush()
}

// SetReadDeadline is for [http.ResponseController].
func (w *responder) SetReadDeadline(t time.Time) error {
	w.setDeadlines()
	return w.nc.SetReadDeadline(t)
}

// SetWriteDeadline is for [http.ResponseController].
func (w *responder) SetWriteDeadline(t time.Time) error {
	w.setDeadlines()
	return w.nc.SetWriteDeadline(t)
}

// EnableFullDuplex is for [http.ResponseController]: the request has no body, so reading and writing do not collide.
func (w *responder) EnableFullDuplex() error { return nil }

// Hijack implements [http.Hijacker].
func (w *responder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, early, err := w.takeOver(true)
	if err != nil {
		return nil, nil, err
	}
	// The bytes that the client sent early are in the Reader's own buffer, where Buffered finds them.
	r := bufio.NewReaderSize(io.MultiReader(bytes.NewReader(early), nc), max(maxBuffered, len(early)))
	r.Peek(len(early)) //nolint:errcheck // early is in memory, so Peek does not fail
	return nc, bufio.NewReadWriter(r, bufio.NewWriter(nc)), nil
}

// writeConn writes to the connection, and records the error.
func (w *responder) writeConn(p []byte) error {
	if w.err == nil {
		w.setDeadlines()
		_, w.err = w.nc.Write(p)
	}
	return w.err
}

// flush sends the head if it has not been sent, and the buffered part of the body.
func (w *responder) flush() error {
	var b []byte
	if !w.headSent {
		w.chunked = w.length < 0 && w.bodyAllowed()
		b = w.appendHead(b)
	}
	switch {
	case len(w.body) == 0:
	case w.chunked:
		b = append(strconv.AppendInt(b, int64(len(w.body)), 16), "\r\n"...)
		b = append(append(b, w.body...), "\r\n"...)
	default:
		b = append(b, w.body...)
	}
	w.body = w.body[:0]
	if len(b) == 0 {
		return w.err
	}
	return w.writeConn(b)
}

// appendHead appends the head of the response, in the order that net/http uses.
func (w *responder) appendHead(dst []byte) []byte {
	w.headSent = true
	h := w.sent
	b := bytes.NewBuffer(dst)
	b.WriteString("HTTP/1.1 " + opening.StatusLine(w.status) + "\r\n")
	extra := ""
	if h.Get("Date") == "" {
		extra += "Date: " + time.Now().UTC().Format(http.TimeFormat) + "\r\n"
	}
	if w.bodyAllowed() {
		if _, ok := h["Content-Type"]; !ok && len(w.body) > 0 && h.Get("Content-Encoding") == "" {
			extra += "Content-Type: " + http.DetectContentType(w.body) + "\r\n"
		}
	} else {
		h.Del("Content-Length")
		if w.status == http.StatusNotModified {
			h.Del("Content-Type")
		}
	}
	if c := h["Connection"]; w.status != http.StatusSwitchingProtocols && (len(c) == 0 || !header.HasToken(c[:1], "close")) {
		h.Del("Connection")
		extra += "Connection: close\r\n"
	}
	h.Del("Transfer-Encoding")
	if w.chunked {
		extra += "Transfer-Encoding: chunked\r\n"
	}
	for _, name := range w.trailers() {
		h.Del(name)
	}
	h.Write(b) //nolint:errcheck // a write to memory cannot fail; fields with TrailerPrefix are not written
	b.WriteString(extra + "\r\n")
	return b.Bytes()
}

// trailers returns the names of the fields that were announced as trailers.
func (w *responder) trailers() (names []string) {
	for name := range header.Elements(w.sent["Trailer"]) {
		names = append(names, textproto.CanonicalMIMEHeaderKey(name))
	}
	return names
}

// hasTrailers reports whether the header announces trailers.
func (w *responder) hasTrailers() bool {
	for name := range w.sent {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			return true
		}
	}
	return len(w.trailers()) > 0
}

// finish sends the remainder of the response.
func (w *responder) finish() error {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	if !w.headSent && w.length < 0 && w.bodyAllowed() && !w.hasTrailers() {
		w.length = int64(len(w.body))
		w.sent.Set("Content-Length", strconv.FormatInt(w.length, 10))
	}
	if err := w.flush(); err != nil || !w.chunked {
		return err
	}
	trailer := http.Header{}
	for _, name := range w.trailers() {
		trailer[name] = w.header[name]
	}
	for name, values := range w.header {
		if short, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			trailer[short] = values
		}
	}
	b := bytes.NewBufferString("0\r\n")
	trailer.Write(b) //nolint:errcheck // a write to memory cannot fail
	b.WriteString("\r\n")
	return w.writeConn(b.Bytes())
}
