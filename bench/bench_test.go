package bench_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
)

var benchSizes = []int{64, 1 << 10, 64 << 10}

// eachCase runs a benchmark for every size and library; for each size, the libraries run one after another. The names of the
// benchmarks are in the format that benchstat -col /lib expects.
func eachCase(b *testing.B, stream string, libs []racer, run func(b *testing.B, lib racer, payload []byte)) {
	for _, size := range benchSizes {
		payload := bytes.Repeat([]byte{'x'}, size)
		for _, lib := range libs {
			b.Run(fmt.Sprintf("stream=%s/size=%d/lib=%s", stream, size, lib.name), func(b *testing.B) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				run(b, lib, payload)
			})
		}
	}
}

// dialers are the libraries whose clients take part in the benchmarks.
func dialers() []racer {
	return slices.DeleteFunc(slices.Clone(racers), func(r racer) bool { return r.dialer == nil })
}

// acceptOn performs the server's handshake on a loop, which discards the response.
func acceptOn(b testing.TB, lib racer, conn net.Conn) runner {
	b.Helper()
	r, err := lib.acceptor()(newHijacker(conn), parsedRequest(b))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(r.close)
	return r
}

// acceptOver performs the server's handshake on one end of a pair, and reads the response at the other end.
func acceptOver(b testing.TB, lib racer, pair func(testing.TB) (server, client net.Conn)) (runner, net.Conn, *bufio.Reader) {
	b.Helper()
	server, client := pair(b)
	b.Cleanup(func() { client.Close() })
	in := bufio.NewReaderSize(client, 64<<10)
	replied := make(chan error, 1)
	go func() { replied <- readReply(in) }()
	r := acceptOn(b, lib, server)
	if err := <-replied; err != nil {
		b.Fatal(err)
	}
	return r, client, in
}

// BenchmarkRead measures a server that reads messages which are already available.
func BenchmarkRead(b *testing.B) {
	eachCase(b, "memory", racers, func(b *testing.B, lib racer, payload []byte) {
		r := acceptOn(b, lib, newLoop(payload))
		b.ResetTimer()
		if err := r.readN(b.N); err != nil {
			b.Fatal(err)
		}
	})
	eachCase(b, "tcp", racers, func(b *testing.B, lib racer, payload []byte) {
		r, client, _ := acceptOver(b, lib, tcpPair)
		var ended sync.WaitGroup
		ended.Go(func() { _, _ = io.Copy(client, newLoop(payload)) }) // returns when the server closes
		b.ResetTimer()
		if err := r.readN(b.N); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		r.close()
		ended.Wait()
	})
}

// BenchmarkWrite measures a server that writes messages to a peer that reads as fast as it can.
func BenchmarkWrite(b *testing.B) {
	write := func(b *testing.B, r runner, payload []byte) {
		b.ResetTimer()
		for range b.N {
			if err := r.write(payload); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
	}
	eachCase(b, "memory", racers, func(b *testing.B, lib racer, payload []byte) {
		write(b, acceptOn(b, lib, &loop{}), payload)
	})
	eachCase(b, "tcp", racers, func(b *testing.B, lib racer, payload []byte) {
		r, client, _ := acceptOver(b, lib, tcpPair)
		var ended sync.WaitGroup
		ended.Go(func() { _, _ = io.Copy(io.Discard, client) }) // returns when the server closes
		write(b, r, payload)
		r.close()
		ended.Wait()
	})
}

// BenchmarkEcho measures a server that echoes messages. Its client uses no library, and sends the next message when it has received
// the echo.
func BenchmarkEcho(b *testing.B) {
	run := func(pair func(testing.TB) (server, client net.Conn)) func(*testing.B, racer, []byte) {
		return func(b *testing.B, lib racer, payload []byte) {
			r, client, in := acceptOver(b, lib, pair)
			ended := make(chan error, 1)
			go func() { ended <- r.echoN(b.N) }()
			message, buf := appendFrame(nil, payload, true), []byte(nil)
			b.ResetTimer()
			for range b.N {
				if _, err := client.Write(message); err != nil {
					b.Fatal(err)
				}
				var err error
				if buf, err = readFrames(in, buf); err != nil || len(buf) != len(payload) {
					b.Fatal(len(buf), err)
				}
			}
			b.StopTimer()
			if err := <-ended; err != nil {
				b.Fatal(err)
			}
		}
	}
	eachCase(b, "memory", racers, run(pipePair))
	eachCase(b, "tcp", racers, run(tcpPair))
}

// BenchmarkClientEcho measures a client that sends a message and waits for the echo. Its server uses no library.
func BenchmarkClientEcho(b *testing.B) {
	eachCase(b, "tcp", dialers(), func(b *testing.B, lib racer, payload []byte) {
		server, client := tcpPair(b)
		ended := make(chan error, 1)
		go func() { ended <- rawEcho(server) }()
		r, err := lib.dialer(func(context.Context, string, string) (net.Conn, error) { return client, nil })(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		b.ResetTimer()
		for range b.N {
			if err := r.write(payload); err != nil {
				b.Fatal(err)
			}
			if p, err := r.readBack(); err != nil || len(p) != len(payload) {
				b.Fatal(len(p), err)
			}
		}
		b.StopTimer()
		r.close()
		if err := <-ended; err != nil {
			b.Fatal(err)
		}
	})
}

// rawEcho responds to a handshake, then echoes messages until the stream ends.
func rawEcho(c net.Conn) error {
	defer c.Close()
	r := bufio.NewReaderSize(c, 64<<10)
	if err := answer(r, c); err != nil {
		return err
	}
	var buf, out []byte
	for {
		var err error
		if buf, err = readFrames(r, buf); err != nil {
			return nil // the client has disconnected, as expected
		}
		out = appendFrame(out[:0], buf, false)
		if _, err := c.Write(out); err != nil {
			return err
		}
	}
}

// BenchmarkUpgrade measures the server's opening handshake. In memory, the request is already parsed and the response is discarded, so only
// the library is measured. Over TCP, each operation includes a new connection and the work of net/http.
func BenchmarkUpgrade(b *testing.B) {
	for _, lib := range racers {
		b.Run("stream=memory/lib="+lib.name, func(b *testing.B) {
			b.ReportAllocs()
			accept, req := lib.acceptor(), parsedRequest(b)
			w := newHijacker(nil)
			for b.Loop() {
				conn := &loop{}
				clear(w.header)
				w.conn = conn
				w.rw.Reader.Reset(conn)
				w.rw.Writer.Reset(conn)
				r, err := accept(w, req)
				if err != nil {
					b.Fatal(err)
				}
				r.close()
			}
		})
	}
	for _, lib := range racers {
		b.Run("stream=tcp/lib="+lib.name, func(b *testing.B) {
			b.ReportAllocs()
			accept := lib.acceptor()
			address, stop := serve(b, func(w http.ResponseWriter, r *http.Request) {
				c, err := accept(w, r)
				if err != nil {
					b.Error(err)
					return
				}
				c.close()
			})
			defer stop()
			for b.Loop() {
				if err := upgradeOnce(address); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// serve runs an HTTP server until stop is called.
func serve(b testing.TB, handler http.HandlerFunc) (address string, stop func()) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := &http.Server{Handler: handler, ReadHeaderTimeout: limit}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	return l.Addr().String(), func() {
		s.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			b.Error(err)
		}
	}
}

// upgradeOnce opens a connection, sends the request, reads the response and waits for EOF.
func upgradeOnce(address string) error {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		return err
	}
	r := bufio.NewReader(c)
	if err := readReply(r); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r)
	return err
}

// BenchmarkDial measures the client's opening handshake over an in-memory pipe, with a minimal server.
func BenchmarkDial(b *testing.B) {
	for _, lib := range dialers() {
		b.Run("stream=memory/lib="+lib.name, func(b *testing.B) {
			b.ReportAllocs()
			var servers sync.WaitGroup
			dial := lib.dialer(func(context.Context, string, string) (net.Conn, error) {
				server, client := net.Pipe()
				servers.Go(func() {
					if err := answer(bufio.NewReader(server), server); err != nil {
						b.Error(err)
					}
				})
				return client, nil
			})
			for b.Loop() {
				r, err := dial(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				r.close()
			}
			servers.Wait()
		})
	}
}
