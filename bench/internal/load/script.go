//go:build linux

package load

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"fmt"
	"math/rand/v2"
)

// A step contains the bytes that a connection writes in one call, and the payloads of the responses, in order.
type step struct {
	out  []byte
	want [][]byte
}

// A script is the sequence of a connection's steps. After the last step it continues with step number loop.
type script struct {
	steps []step
	loop  int
}

// triggerBytes is the minimum size of a broadcast message: its second byte is the number of times that the server sends it to all
// connections.
const triggerBytes = 2

func newScript(c *Config) (*script, error) {
	if c.Compress != CompressNone {
		return compressedScript(c)
	}
	payload := make([]byte, c.Size)
	for i := range payload {
		payload[i] = byte(i*31 + i>>8)
	}
	if c.Mode == ModeBroadcast {
		payload[0], payload[1] = 'B', byte(c.Flight)
		return &script{steps: []step{{out: appendFrame(nil, fin|opBinary, payload), want: repeat(payload, c.Flight)}}}, nil
	}
	var one, whole []byte
	for i := range c.Fragments {
		first := byte(opContinuation)
		if i == 0 {
			first = opBinary
		}
		if i == c.Fragments-1 {
			first |= fin
		}
		one = appendFrame(one, first, payload)
		whole = append(whole, payload...)
	}
	if c.Raw {
		whole = one
	}
	return &script{steps: []step{{out: bytes.Repeat(one, c.Flight), want: repeat(whole, c.Flight)}}}, nil
}

func repeat(p []byte, n int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = p
	}
	return all
}

// cycle is the number of different compressed messages: more than fit into a window, so that no window contains an earlier copy of the
// message.
const cycle = 64

// compressedScript compresses cycle different messages. With takeover they are compressed twice in a row: the data that the second pass
// refers to is the same in every later pass, so the second pass can be repeated forever.
func compressedScript(c *Config) (*script, error) {
	turns, s := 1, &script{}
	if c.Compress == CompressTakeover {
		turns, s.loop = 2, cycle
	}
	var past []byte
	for i := range turns * cycle {
		payload, err := document(uint64(i%cycle), c.Size)
		if err != nil {
			return nil, err
		}
		var b bytes.Buffer
		w, err := flate.NewWriterDict(&b, 6, past)
		if err != nil {
			return nil, err
		}
		if c.Compress == CompressTakeover {
			past = append(past, payload...) // limits matches to a window of windowBits, which some servers require
			past = past[max(0, len(past)+c.Size-1<<windowBits):]
		}
		if _, err := w.Write(payload); err != nil {
			return nil, err
		}
		if err := w.Flush(); err != nil {
			return nil, err
		}
		zipped := bytes.TrimSuffix(b.Bytes(), []byte(flushTail)) // RFC 7692 §7.2.1
		s.steps = append(s.steps, step{out: appendFrame(nil, fin|rsv1|opBinary, zipped), want: [][]byte{payload}})
	}
	return s, nil
}

// windowBits is the window that is sufficient for the compressed messages.
const windowBits = 12

const flushTail = "\x00\x00\xff\xff"

// document returns size bytes of JSON similar to that of real services: the same names repeatedly, with different values.
func document(seed uint64, size int) ([]byte, error) {
	r := rand.New(rand.NewPCG(seed, 1))
	var b []byte
	for i := 0; len(b) < size; i++ {
		line, err := json.Marshal(map[string]any{
			"id":      r.Uint32(),
			"event":   []string{"order.created", "order.paid", "order.shipped"}[r.IntN(3)],
			"user":    fmt.Sprintf("user-%05d", r.IntN(10_000)),
			"amount":  float64(r.IntN(100_000)) / 100,
			"created": fmt.Sprintf("2026-%02d-%02dT%02d:%02d:%02dZ", 1+r.IntN(12), 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60)),
		})
		if err != nil {
			return nil, err
		}
		b = append(append(b, line...), '\n')
	}
	return b[:size], nil
}
