package bench_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"testing"
)

// The compared libraries must do the same work: each echoes the received messages, as a server and as a client.
func TestRacersEcho(t *testing.T) {
	for _, lib := range racers {
		for stream, pair := range map[string]func(testing.TB) (server, client net.Conn){"tcp": tcpPair, "memory": pipePair} {
			t.Run(fmt.Sprintf("server/%s/%s", stream, lib.name), func(t *testing.T) {
				r, client, in := acceptOver(t, lib, pair)
				ended := make(chan error, 1)
				go func() { ended <- r.echoN(len(benchSizes)) }()
				for _, payload := range payloads() {
					if _, err := client.Write(appendFrame(nil, payload, true)); err != nil {
						t.Fatal(err)
					}
					if got, err := readFrames(in, nil); err != nil || !bytes.Equal(got, payload) {
						t.Fatalf("the echo of %[2]d bytes has %[1]d, %[3]v", len(got), len(payload), err)
					}
				}
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		}
	}
	for _, lib := range dialers() {
		t.Run("client/"+lib.name, func(t *testing.T) {
			server, client := tcpPair(t)
			ended := make(chan error, 1)
			go func() { ended <- rawEcho(server) }()
			r, err := lib.dialer(func(context.Context, string, string) (net.Conn, error) { return client, nil })(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, payload := range payloads() {
				if err := r.write(bytes.Clone(payload)); err != nil {
					t.Fatal(err)
				}
				if got, err := r.readBack(); err != nil || !bytes.Equal(got, payload) {
					t.Fatalf("the echo of %[2]d bytes has %[1]d, %[3]v", len(got), len(payload), err)
				}
			}
			r.close()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// A server that reads n messages returns as soon as it has read them, and not earlier.
func TestRacersRead(t *testing.T) {
	for _, lib := range racers {
		t.Run(lib.name, func(t *testing.T) {
			if err := acceptOn(t, lib, newLoop([]byte("message"))).readN(100); err != nil {
				t.Error(err)
			}
			short := newLoop(nil)
			short.frames = nil
			if err := acceptOn(t, lib, short).readN(1); err == nil {
				t.Error("a message was read after the end of the stream")
			}
		})
	}
}

// payloads returns one payload of each size, with different bytes.
func payloads() [][]byte {
	var all [][]byte
	for _, size := range benchSizes {
		p := make([]byte, size)
		for i := range p {
			p[i] = byte((i*31 + 7) % 251)
		}
		all = append(all, p)
	}
	return all
}
