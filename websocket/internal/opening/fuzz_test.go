package opening

import (
	"bufio"
	"bytes"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// FuzzHead_Cuts checks that the verdict does not depend on how the bytes are split, and that every accepted upgrade is a valid
// request for net/http, too, with the same fields.
func FuzzHead_Cuts(f *testing.F) {
	f.Add([]byte(browser), uint8(1))
	f.Add([]byte("POST / HTTP/1.1\r\n"), uint8(3))
	f.Add([]byte(sample+"Content-Length: 0\r\ncontent-length: 00\r\n\r\n"), uint8(2))
	f.Add([]byte(sample+" folded\r\n\n: x\r\nX : x\r\n"), uint8(9))
	f.Fuzz(func(t *testing.T, data []byte, piece uint8) {
		limits := Limits{Bytes: 2000, Lines: 20}
		var whole, cut Head
		whole.Reset(limits)
		cut.Reset(limits)
		want := parse(&whole, string(data), max(len(data), 1))
		if got := parse(&cut, string(data), int(piece)+1); got != want {
			t.Fatalf("in pieces of %d: %+v, whole: %+v", int(piece)+1, got, want)
		}
		if want.verdict != Upgrade {
			return
		}
		text := string(data[:want.length])
		if !strings.HasSuffix(text, "\r\n\r\n") {
			t.Fatalf("the head ends with %q", text[max(0, len(text)-8):])
		}
		o := whole.Opening(text)
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(data)))
		if err != nil {
			if v := o.Check(); v == nil {
				t.Fatalf("net/http rejects what Check admits: %v", err)
			}
			return
		}
		var got http.Request
		if parseTypical(&got, text) && !reflect.DeepEqual(&got, r) {
			t.Errorf("the request is %+v, but net/http returns %+v", got, r)
		}
		for name, lines := range map[string][2][]string{
			"Upgrade":                  {o.Upgrade, r.Header["Upgrade"]},
			"Connection":               {o.Connection, r.Header["Connection"]},
			"Sec-WebSocket-Key":        {o.Key, r.Header["Sec-Websocket-Key"]},
			"Sec-WebSocket-Protocol":   {o.Protocol, r.Header["Sec-Websocket-Protocol"]},
			"Sec-WebSocket-Extensions": {o.Extensions, r.Header["Sec-Websocket-Extensions"]},
			"Origin":                   {o.Origin, r.Header["Origin"]},
		} {
			if !reflect.DeepEqual(lines[0], lines[1]) {
				t.Errorf("%s: %q, want %q", name, lines[0], lines[1])
			}
		}
	})
}
