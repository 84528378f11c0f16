//go:build e2e

package deflate

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"testing"
)

// zlibJS compares our codec with zlib in Node. It reads requests and writes one response to each. To inflate, it passes all payloads of a
// connection to one inflater with exactly the given window, and reads 64 bytes of output at a time, because zlib accepts matches that refer
// beyond the window to the output of the same call.
const zlibJS = `
const zlib = require('zlib');
const tail = Buffer.from([0, 0, 255, 255]);
function inflate(q) {
  const all = Buffer.concat(q.data.flatMap(p => [Buffer.from(p, 'base64'), tail]));
  return [zlib.inflateRawSync(all, {windowBits: q.bits, chunkSize: 64, finishFlush: zlib.constants.Z_SYNC_FLUSH})];
}
async function deflate(q) {
  const z = zlib.createDeflateRaw({windowBits: q.bits, level: q.level, memLevel: q.memory, strategy: q.strategy});
  let out = [];
  z.on('data', d => out.push(d));
  const all = [];
  for (const m of q.data) {
    z.write(Buffer.from(m, 'base64'));
    await new Promise(done => z.flush(zlib.constants.Z_SYNC_FLUSH, done));
    const b = Buffer.concat(out);
    out = [];
    if (b.length && !b.subarray(-4).equals(tail)) throw new Error('no tail');
    all.push(b.subarray(0, -4));
  }
  return all;
}
(async () => {
  const answers = [];
  for (const q of JSON.parse(require('fs').readFileSync(0))) {
    try {
      const data = await (q.inflate ? inflate(q) : deflate(q));
      answers.push({data: data.map(b => b.toString('base64'))});
    } catch (e) {
      answers.push({error: String(e)});
    }
  }
  process.stdout.write(JSON.stringify(answers));
})();
`

type zlibRequest struct {
	Inflate  bool     `json:"inflate"`
	Bits     int      `json:"bits"`
	Level    int      `json:"level"`
	Memory   int      `json:"memory"`
	Strategy int      `json:"strategy"`
	Data     [][]byte `json:"data"`
}

type zlibAnswer struct {
	Data  [][]byte `json:"data"`
	Error string   `json:"error"`
}

// askZlib runs the requests in Node, which the tests require in addition to Go.
func askZlib(t *testing.T, requests []zlibRequest) []zlibAnswer {
	t.Helper()
	in, err := json.Marshal(requests)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", "-e", zlibJS)
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node (this test needs version 20 or later): %v\n%s", err, stderr.Bytes())
	}
	var answers []zlibAnswer
	if err := json.Unmarshal(out, &answers); err != nil || len(answers) != len(requests) {
		t.Fatalf("%d answers to %d requests, %v", len(answers), len(requests), err)
	}
	return answers
}

var oracleSizes = []int{0, 1, 5, 64, 255, 256, 257, 1000, 4096, 20000, 40000}

// TestZlibInflates checks that an inflater with exactly the negotiated window decodes all output of our compressor: of one call or of
// several, shared or with context.
func TestZlibInflates(t *testing.T) {
	var requests []zlibRequest
	var want [][]byte
	for bits := uint8(MinBits); bits <= MaxBits; bits++ {
		for _, s := range samples {
			r := source(uint64(bits))
			c := Compressor{Window: Window{Bits: bits, Takeover: true}}
			q := zlibRequest{Inflate: true, Bits: int(bits)}
			var all []byte
			for _, size := range oracleSizes {
				whole, cut, shared := s.make(r, size), s.make(r, size), s.make(r, size)
				q.Data = append(q.Data, c.Append(nil, whole), writeCut(t, &c, cut, r), AppendShared(nil, shared, c.Window))
				c.Note(shared)
				all = append(append(append(all, whole...), cut...), shared...)
			}
			requests = append(requests, q)
			want = append(want, all)
		}
	}
	for i, a := range askZlib(t, requests) {
		if a.Error != "" || len(a.Data) != 1 || !bytes.Equal(a.Data[0], want[i]) {
			t.Errorf("%d bits, %s: %s", requests[i].Bits, samples[i%len(samples)].name, a.Error)
		}
	}
}

// TestZlibIsStrict checks that the oracle rejects matches beyond the window. Otherwise TestZlibInflates would prove nothing.
func TestZlibIsStrict(t *testing.T) {
	var requests []zlibRequest
	for bits := MinBits; bits < MaxBits; bits++ {
		size := 1 << bits
		message := append(append([]byte("needle, needle"), make([]byte, size+64)...), "needle"...)
		c := Compressor{Window: Window{Bits: uint8(bits + 1)}}
		requests = append(requests, zlibRequest{Inflate: true, Bits: bits, Data: [][]byte{c.Append(nil, message)}})
	}
	for i, a := range askZlib(t, requests) {
		if a.Error == "" {
			t.Errorf("%d bits: zlib accepted a match from further away", requests[i].Bits)
		}
	}
}

// TestZlibDeflates checks that we inflate zlib's output, for every window, level and strategy.
func TestZlibDeflates(t *testing.T) {
	var requests []zlibRequest
	var messages [][][]byte
	r := source(21)
	for bits := 9; bits <= MaxBits; bits++ { // zlib does not support raw deflate with 8 bits
		for i, s := range samples {
			var all [][]byte
			for _, size := range oracleSizes[1:] { // zlib produces no output when it flushes an empty message
				all = append(all, s.make(r, size))
			}
			messages = append(messages, all)
			requests = append(requests, zlibRequest{
				Bits: bits, Level: 1 + (bits+3*i)%9, Memory: 1 + (bits+i)%9, Strategy: (bits + i) % 5, Data: all,
			})
		}
	}
	for i, a := range askZlib(t, requests) {
		q := requests[i]
		if a.Error != "" || len(a.Data) != len(messages[i]) {
			t.Errorf("%d bits, level %d: %s", q.Bits, q.Level, a.Error)
			continue
		}
		w := Window{Bits: uint8(q.Bits), Takeover: true}
		whole, stream := Decompressor{Window: w}, Decompressor{Window: w}
		for j, payload := range a.Data {
			got, err := whole.Append(nil, payload, int64(len(messages[i][j])))
			if err != nil || !bytes.Equal(got, messages[i][j]) {
				t.Errorf("%+v, message %d: Append: %v", w, j, err)
				break
			}
			got, err = readAll(stream.Reader(&flakyReader{r: r, b: payload}, -1), r)
			if err != nil || !bytes.Equal(got, messages[i][j]) {
				t.Errorf("%+v, message %d: Reader: %v", w, j, err)
				break
			}
		}
	}
}
