package streams

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/hub"
)

// singleListener is a listener that returns one connection.
type singleListener struct {
	net.Listener

	conns chan net.Conn
}

func (l singleListener) Accept() (net.Conn, error) {
	if c, ok := <-l.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (l singleListener) Close() error {
	close(l.conns)
	return nil
}

func (singleListener) Addr() net.Addr { return &net.UnixAddr{} }

// A live read may last longer than the timeouts of the http.Server.
func TestLiveReadOutlastsServerTimeouts(t *testing.T) {
	for _, tt := range []struct {
		query string
		after time.Duration // the delay before a message is appended
		want  int
	}{{"live=long-poll&offset=now", 3 * time.Second, 200}, {"live=long-poll&offset=now", 5 * time.Second, 204}, {"live=sse&offset=now", 50 * time.Second, 200}} {
		synctest.Test(t, func(t *testing.T) {
			n := nodes(t, 1, hub.Options{})[0]
			n.must(201, "PUT", "s", "", contentTypeHeader, textType)
			ours, theirs := net.Pipe()
			l := singleListener{conns: make(chan net.Conn, 1)}
			l.conns <- theirs
			server := &http.Server{Handler: n.Handler("/"), ReadTimeout: time.Second, WriteTimeout: time.Second}
			go server.Serve(l) //nolint:errcheck // Serve returns an error when the server is closed
			defer server.Close()
			defer ours.Close()
			if _, err := io.WriteString(ours, "GET /s?"+tt.query+" HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			published := make(chan struct{})
			go func() {
				defer close(published)
				time.Sleep(tt.after) //nolint:forbidigo // Sleep uses the fake clock of a synctest bubble
				n.must(204, "POST", "s", "later", contentTypeHeader, textType)
				n.must(204, "POST", "s", "", headerClosed, "true")
			}()
			res, err := http.ReadResponse(bufio.NewReader(ours), nil)
			if err != nil {
				t.Fatal(err)
			}
			if text, err := io.ReadAll(res.Body); err != nil || res.StatusCode != tt.want || strings.Contains(string(text), "later") != (tt.want == 200) {
				t.Errorf("%s: %s %q, %v", tt.query, res.Status, text, err)
			}
			<-published
		})
	}
}
