package websocket

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/internal/bounded"
)

// page writes a handler's response to an upgrade request, and reports the results of its calls.
type page func(w http.ResponseWriter, report func(...any))

// reportWrite reports the result of a Write of n bytes.
func reportWrite(w io.Writer, report func(...any), n int) {
	done, err := w.Write(bytes.Repeat([]byte("0123456789abcdef"), n/16+1)[:n])
	report(done, err)
}

// reportCopy reports the result of io.Copy of n bytes from a reader.
func reportCopy(w io.Writer, report func(...any), n int64) {
	done, err := io.Copy(w, io.LimitReader(strings.NewReader(strings.Repeat("0123456789abcdef", 4096)), n))
	report(done, err)
}

// respondWith returns a page that sends the given fields, in pairs, a status unless it is 0, and a body.
func respondWith(status, body int, fields ...string) page {
	return func(w http.ResponseWriter, report func(...any)) {
		for i := 0; i < len(fields); i += 2 {
			w.Header().Add(fields[i], fields[i+1])
		}
		if status != 0 {
			w.WriteHeader(status)
		}
		if body > 0 {
			reportWrite(w, report, body)
		}
	}
}

// pages are the ways in which a handler can use a ResponseWriter without hijacking the connection.
var pages = map[string]page{
	"nothing":                func(http.ResponseWriter, func(...any)) {},
	"an empty write":         func(w http.ResponseWriter, report func(...any)) { reportWrite(w, report, 0) },
	"text":                   respondWith(0, 100),
	"a short text":           respondWith(0, 10),
	"html":                   func(w http.ResponseWriter, _ func(...any)) { io.WriteString(w, "<html><body>hello") },
	"binary":                 func(w http.ResponseWriter, _ func(...any)) { w.Write([]byte{0, 1, 2, 3, 255}) },
	"its own type":           respondWith(0, 100, "Content-Type", "application/x-own"),
	"an encoding":            respondWith(0, 100, "Content-Encoding", "x-own"),
	"an empty type":          respondWith(0, 100, "Content-Type", ""),
	"no type":                func(w http.ResponseWriter, r func(...any)) { w.Header()["Content-Type"] = nil; reportWrite(w, r, 100) },
	"404":                    respondWith(404, 10),
	"404 without a body":     respondWith(404, 0),
	"an unregistered status": respondWith(499, 10),
	"999":                    respondWith(999, 10),
	"200, and then 500": func(w http.ResponseWriter, r func(...any)) {
		w.WriteHeader(200)
		w.WriteHeader(500)
		reportWrite(w, r, 10)
	},
	"a write, and then 500":      func(w http.ResponseWriter, r func(...any)) { reportWrite(w, r, 10); w.WriteHeader(500) },
	"204":                        respondWith(204, 0, "X-A", "b"),
	"204 with a body":            respondWith(204, 10),
	"204 with a length":          respondWith(204, 0, "Content-Length", "5"),
	"304":                        respondWith(304, 0, "Content-Type", "text/plain", "Etag", `"x"`),
	"304 with a body":            respondWith(304, 10),
	"several fields":             respondWith(0, 10, "X-A", "1", "X-B", "2", "X-A", "3"),
	"a date":                     respondWith(0, 10, "Date", "Thu, 01 Jan 2026 00:00:00 GMT"),
	"Connection: close":          respondWith(0, 10, "Connection", "close"),
	"Connection: other":          respondWith(0, 10, "Connection", "x-other"),
	"a transfer coding":          respondWith(0, 10, "Transfer-Encoding", "identity"),
	"a length":                   respondWith(0, 10, "Content-Length", "10"),
	"a length of 0":              respondWith(200, 0, "Content-Length", "0"),
	"a length, and more":         respondWith(0, 11, "Content-Length", "10"),
	"a length, and nothing":      respondWith(200, 0, "Content-Length", "10"),
	"a byte":                     respondWith(0, 1),
	"a length of 0, and a byte":  respondWith(0, 1, "Content-Length", "0"),
	"a bad length, a large body": respondWith(0, 10_000, "Content-Length", "ten"),
	"100, and then a page":       func(w http.ResponseWriter, r func(...any)) { w.WriteHeader(100); reportWrite(w, r, 10) },
	"a late trailer's prefix": func(w http.ResponseWriter, r func(...any)) {
		reportWrite(w, r, 10)
		w.Header().Set(http.TrailerPrefix+"X", "1")
	},
	"an early trailer's prefix": respondWith(0, 10, http.TrailerPrefix+"X", "1"),
	"a copy of a length of 0": func(w http.ResponseWriter, r func(...any)) {
		respondWith(200, 0, "Content-Type", "x/y", "Content-Length", "0")(w, r)
		reportCopy(w, r, 0)
	},
	"a copy longer than its length": func(w http.ResponseWriter, r func(...any)) {
		respondWith(200, 0, "Content-Type", "x/y", "Content-Length", "10")(w, r)
		reportCopy(w, r, 10)
		reportWrite(w, r, 1)
	},
	"an invalid length":        respondWith(0, 10, "Content-Length", "ten"),
	"a negative length":        respondWith(0, 10, "Content-Length", "-1"),
	"a length of a large body": respondWith(0, 10_000, "Content-Length", "10000"),
	"a large body":             respondWith(0, 10_000),
	"a large body of a 404":    respondWith(404, 10_000),
	"a field set too late":     func(w http.ResponseWriter, r func(...any)) { reportWrite(w, r, 10); w.Header().Set("X-Late", "x") },
	"a field after the status": func(w http.ResponseWriter, r func(...any)) { w.WriteHeader(200); w.Header().Set("X-Late", "x") },
	"a large body in pieces": func(w http.ResponseWriter, report func(...any)) {
		for range 30 {
			reportWrite(w, report, 500)
		}
	},
	"a flush": func(w http.ResponseWriter, report func(...any)) { report(http.NewResponseController(w).Flush()) },
	"a flush in a body": func(w http.ResponseWriter, report func(...any)) {
		reportWrite(w, report, 10)
		w.(http.Flusher).Flush()
		w.(http.Flusher).Flush()
		reportWrite(w, report, 7)
		report(http.NewResponseController(w).Flush())
	},
	"a byte after a flush": func(w http.ResponseWriter, report func(...any)) {
		w.Header().Set("Content-Length", "5")
		reportWrite(w, report, 4)
		w.(http.Flusher).Flush()
		reportWrite(w, report, 1)
	},
	"a flush of a 204": func(w http.ResponseWriter, _ func(...any)) { w.WriteHeader(204); w.(http.Flusher).Flush() },
	"103": func(w http.ResponseWriter, report func(...any)) {
		w.Header().Set("Link", "</x.css>; rel=preload")
		w.Header().Set("Content-Length", "10")
		w.Header().Set("Transfer-Encoding", "x")
		w.WriteHeader(103)
		w.WriteHeader(103)
		w.Header().Del("Transfer-Encoding")
		reportWrite(w, report, 10)
	},
	"invalid statuses": func(w http.ResponseWriter, report func(...any)) {
		for _, status := range []int{99, 1000, 0, -1} {
			func() {
				defer func() { report(status, recover() != nil) }()
				w.WriteHeader(status)
			}()
		}
	},
	"trailers": func(w http.ResponseWriter, report func(...any)) {
		w.Header().Add("Trailer", "x-one, X-Two")
		w.Header().Add("Trailer", "X-None")
		reportWrite(w, report, 10)
		w.Header().Set("X-One", "1")
		w.Header().Set("X-Two", "2")
		w.Header().Set("X-Other", "3")
	},
	"trailers set early": func(w http.ResponseWriter, report func(...any)) {
		w.Header().Add("Trailer", "x-one, X-Two")
		w.Header().Add("Trailer", "X-None")
		w.Header().Set("X-One", "early")
		reportWrite(w, report, 10)
		w.Header().Set("X-One", "1")
		w.Header().Set("X-Two", "2")
	},
	"trailers without a body": func(w http.ResponseWriter, _ func(...any)) {
		w.Header().Set("Trailer", "X-One")
		w.WriteHeader(200)
		w.Header().Set("X-One", "1")
	},
	"a trailer that was not announced": func(w http.ResponseWriter, report func(...any)) {
		w.Header().Set(http.TrailerPrefix+"X-Early", "0")
		reportWrite(w, report, 10_000)
		w.Header().Set(http.TrailerPrefix+"X-Late", "1")
	},
	"a string": func(w http.ResponseWriter, report func(...any)) { report(w.(io.StringWriter).WriteString("a string")) },
	"a copy":   func(w http.ResponseWriter, report func(...any)) { reportCopy(w, report, 10) },
	"a large copy with a length": func(w http.ResponseWriter, report func(...any)) {
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Length", "10010")
		reportWrite(w, report, 10)
		reportCopy(w, report, 10_000)
	},
	"a copy after its status": func(w http.ResponseWriter, report func(...any)) {
		respondWith(200, 0, "Content-Type", "text/plain", "Content-Length", "6000")(w, report)
		reportCopy(w, report, 4000)
		reportCopy(w, report, 2000)
	},
	"a copy without a type": func(w http.ResponseWriter, r func(...any)) {
		respondWith(200, 0, "Content-Length", "10")(w, r)
		reportCopy(w, r, 10)
	},
	"a copy without a length": func(w http.ResponseWriter, r func(...any)) {
		respondWith(200, 0, "Content-Type", "x/y")(w, r)
		reportCopy(w, r, 9000)
	},
	"a copy to a 204": func(w http.ResponseWriter, r func(...any)) {
		respondWith(204, 0, "Content-Type", "x/y")(w, r)
		reportCopy(w, r, 10)
	},
	"deadlines": func(w http.ResponseWriter, report func(...any)) {
		c := http.NewResponseController(w)
		report(c.EnableFullDuplex(), c.SetReadDeadline(time.Now().Add(time.Hour)), c.SetWriteDeadline(time.Now().Add(time.Hour)))
		reportWrite(w, report, 10)
	},
	"a deadline that has passed": func(w http.ResponseWriter, report func(...any)) {
		report(http.NewResponseController(w).SetWriteDeadline(time.Unix(1, 0)))
		reportWrite(w, report, 10)
	},
}

// otherwise maps a page to a page with the response that a Server must send where net/http responds differently: with chunks for a
// length that is not a number, without framing for a transfer coding of the handler, and with a field in the header that was
// announced for the trailer.
var otherwise = map[string]string{
	"an invalid length": "a short text", "a negative length": "a short text", "a transfer coding": "a short text",
	"trailers set early": "trailers",
}

// If a handler does not upgrade, its response to an upgrade request equals that of net/http: the header, the body, the trailers,
// and the results of the calls.
func TestServer_PagesAsNetHTTP(t *testing.T) {
	returned := make(chan string, 1)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var calls []string
		defer func() { returned <- strings.Join(calls, "; ") }()
		pages[r.Header.Get("X-Page")](w, func(values ...any) { calls = append(calls, fmt.Sprint(values...)) })
	})
	own := serveOwn(t, &Server{HTTP: &http.Server{Handler: h}})
	other := httptest.NewUnstartedServer(h)
	other.Config.ErrorLog = logLines(nil).logger()
	other.Start()
	defer other.Close()
	for name := range pages {
		read := func(addr, name string) (answer, calls string) {
			request := strings.Replace(sampleRequest, "Connection: ", "Connection: close, ", 1) + "X-Page: " + name + "\r\n\r\n"
			nc := dialRaw(t, addr)
			defer nc.Close()
			io.WriteString(nc, request)
			answer = pageOf(nc)
			return answer, bounded.Receive(t, returned)
		}
		got, gotCalls := read(own, name)
		want, wantCalls := read(other.Listener.Addr().String(), cmp.Or(otherwise[name], name))
		if got != want {
			t.Errorf("%s: the answer is\n%s\nwant\n%s", name, got, want)
		}
		if gotCalls != wantCalls {
			t.Errorf("%s: the calls returned %s; want %s", name, gotCalls, wantCalls)
		}
	}
}

// pageOf reads the responses on a connection up to EOF, and formats them for comparison: the fields of a header in order without
// the Date, and the body without chunk framing.
func pageOf(nc net.Conn) string {
	var out strings.Builder
	var raw bytes.Buffer
	br := bufio.NewReader(io.TeeReader(nc, &raw))
	for {
		r, err := http.ReadResponse(br, nil)
		if err != nil {
			for line := range strings.Lines(raw.String()) { // ReadResponse removes the Connection field
				if strings.HasPrefix(line, "Connection: ") {
					out.WriteString(line)
				}
			}
			fmt.Fprintf(&out, "%v", err)
			return out.String()
		}
		if d, err := http.ParseTime(r.Header.Get("Date")); err == nil && time.Since(d) < time.Hour {
			r.Header.Set("Date", "now")
		}
		var names []string
		for name, values := range r.Header {
			names = append(names, fmt.Sprintf("%s: %q", name, values))
		}
		slices.Sort(names)
		fmt.Fprintf(&out, "%s\n%s\nlength %d, %v, close %v\n", r.Status, strings.Join(names, "\n"), r.ContentLength, r.TransferEncoding, r.Close)
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(&out, "%d bytes %.20q %v\n%v\n", len(body), body, err, r.Trailer)
	}
}

// A body of up to 4 KiB is buffered until its length is known. Flush sends the buffered data.
func TestServer_PageIsBuffered(t *testing.T) {
	for size, chunked := range map[int]bool{maxBuffered - 1: false, maxBuffered: true, maxBuffered + 1: true} {
		h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { reportWrite(w, func(...any) {}, size) })
		r, _, _ := exchangeHead(t, serveOwn(t, &Server{HTTP: &http.Server{Handler: h}}), sampleRequest+"\r\n")
		if body, err := io.ReadAll(r.Body); len(body) != size || err != nil || (len(r.TransferEncoding) > 0) != chunked {
			t.Errorf("%d bytes: %d received, %v, encoded %v", size, len(body), err, r.TransferEncoding)
		}
	}
	more := make(chan bool)
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "first")
		w.(http.Flusher).Flush()
		<-more
	})
	r, _, _ := exchangeHead(t, serveOwn(t, &Server{HTTP: &http.Server{Handler: h}}), sampleRequest+"\r\n")
	if b := make([]byte, 5); true {
		if _, err := io.ReadFull(r.Body, b); err != nil || string(b) != "first" {
			t.Errorf("read %q, %v", b, err)
		}
	}
	close(more)
}

// After Hijack, the Reader returns the bytes after the request, and the ResponseWriter must not be used.
func TestServer_PageThatHijacks(t *testing.T) {
	for name, early := range map[string]string{"nothing early": "", "a byte": "e", "early bytes": "early", "many": strings.Repeat("e", 5000)} {
		failures := make(chan error, 1)
		h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			var wrong []error
			nc, rw, err := w.(http.Hijacker).Hijack()
			if err != nil {
				failures <- err
				return
			}
			defer nc.Close()
			if early != "" && rw.Reader.Buffered() == 0 {
				wrong = append(wrong, errors.New("no early bytes are buffered"))
			}
			got := make([]byte, len(early)+4)
			if _, err := io.ReadFull(rw, got); err != nil || string(got) != early+"late" {
				wrong = append(wrong, fmt.Errorf("read %.20q, %w", got, err))
			}
			w.WriteHeader(404)
			if n, err := w.Write([]byte("x")); n != 0 || !errors.Is(err, http.ErrHijacked) {
				wrong = append(wrong, fmt.Errorf("Write: %w", err))
			}
			if err := http.NewResponseController(w).Flush(); !errors.Is(err, http.ErrHijacked) {
				wrong = append(wrong, fmt.Errorf("Flush: %w", err))
			}
			if _, _, err := w.(http.Hijacker).Hijack(); !errors.Is(err, http.ErrHijacked) {
				wrong = append(wrong, fmt.Errorf("Hijack: %w", err))
			}
			rw.WriteString("own")
			rw.Flush()
			failures <- errors.Join(wrong...)
		})
		nc := dialRaw(t, serveOwn(t, &Server{HTTP: &http.Server{Handler: h}}))
		io.WriteString(nc, sampleRequest+"\r\n"+early)
		io.WriteString(nc, "late")
		if b, err := io.ReadAll(nc); err != nil || string(b) != "own" {
			t.Errorf("%s: read %q, %v", name, b, err)
		}
		if err := bounded.Receive(t, failures); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// After the write deadline has passed, writing a page fails with the connection's error, and nothing more is sent.
func TestServer_PageAfterTheWriteDeadline(t *testing.T) {
	failed := make(chan error, 2)
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Length", "10000")
		w.WriteHeader(200)
		if err := http.NewResponseController(w).SetWriteDeadline(time.Unix(1, 0)); err != nil {
			failed <- err
			return
		}
		n, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader("copied"))
		m, err2 := w.Write(make([]byte, maxBuffered))
		if n != 0 || m != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !errors.Is(err2, os.ErrDeadlineExceeded) {
			err = fmt.Errorf("%d, %w; %d, %w", n, err, m, err2)
		} else {
			err = nil
		}
		failed <- err
	})
	nc := dialRaw(t, serveOwn(t, &Server{HTTP: &http.Server{Handler: h}}))
	io.WriteString(nc, sampleRequest+"\r\n")
	if b, err := io.ReadAll(nc); err != nil || len(b) > 0 {
		t.Errorf("read %q, %v", b, err)
	}
	if err := bounded.Receive(t, failed); err != nil {
		t.Error(err)
	}
}

// A copy reads no more than the declared length, minus the bytes that were written before.
func TestServer_PageCopiesItsLength(t *testing.T) {
	taken := make(chan string, 1)
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		respondWith(200, 4, "Content-Type", "text/plain", "Content-Length", "10")(w, func(...any) {})
		n, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader("abcdefghijklmnop"))
		taken <- fmt.Sprint(n, err)
	})
	r, _, _ := exchangeHead(t, serveOwn(t, &Server{HTTP: &http.Server{Handler: h}}), sampleRequest+"\r\n")
	if body, err := io.ReadAll(r.Body); string(body) != "0123abcdef" || err != nil {
		t.Errorf("the body is %q, %v", body, err)
	}
	if got := bounded.Receive(t, taken); got != "6 <nil>" {
		t.Errorf("ReadFrom returned %s", got)
	}
}

// Some handlers write the 101 with WriteHeader, and then hijack the connection. Their header fields are sent.
func TestServer_PageThatWritesThe101(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		w.WriteHeader(101)
		nc, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(nc, "own")
		nc.Close()
	})
	r, _, br := exchangeHead(t, serveOwn(t, &Server{HTTP: &http.Server{Handler: h}}), sampleRequest+"\r\n")
	rest, err := io.ReadAll(br)
	if r.StatusCode != 101 || !slices.Equal(r.Header["Connection"], []string{"Upgrade"}) || len(r.TransferEncoding) > 0 || string(rest) != "own" || err != nil {
		t.Errorf("%v, and then %q, %v", r, rest, err)
	}
}
