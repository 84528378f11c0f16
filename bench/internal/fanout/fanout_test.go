//go:build linux

package fanout

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stamps finds the times and numbers of all publications, anywhere in a message.
func TestStamps(t *testing.T) {
	message := `{"data":` + stamped(17, 4, 128) + `}` + "\n" + `42["message",` + stamped(18, 5, 0) + `]`
	if got := len(stamped(17, 4, 128)); got != 128 {
		t.Errorf("%d bytes", got)
	}
	var got [][2]int64
	stamps([]byte(message), func(at int64, number int) { got = append(got, [2]int64{at, int64(number)}) })
	if len(got) != 2 || got[0] != [2]int64{17, 4} || got[1] != [2]int64{18, 5} {
		t.Errorf("%v", got)
	}
}

// A position advances with received messages, in both protocols.
func TestPosition(t *testing.T) {
	for name, c := range map[string]struct {
		p        Protocol
		messages []string
		want     string
	}{
		"handfast": {Handfast, []string{`{"type":"subscribed","position":{"epoch":"e","offset":3}}`, `{"type":"message","offset":5}`, `{"type":"pong"}`},
			`{"epoch":"e","offset":5}`},
		"Centrifugo": {Centrifugo, []string{`{"id":2,"subscribe":{"epoch":"e","offset":3}}`, `{}` + "\n" + `{"push":{"channel":"c","pub":{"offset":4}}}`},
			`{"epoch":"e","offset":4}`},
	} {
		at := ""
		for _, m := range c.messages {
			at = c.p.Position(at, []byte(m))
		}
		if at != c.want {
			t.Errorf("%s: %s, want %s", name, at, c.want)
		}
	}
}

// A subscription to a private channel of the Pusher protocol has a signature of the socket ID and the channel.
func TestSignature(t *testing.T) {
	greeting := `{"event":"pusher:connection_established","data":"{\"socket_id\":\"12.34\",\"activity_timeout\":30}"}`
	got := Pusher.Subscribe("bench", Pusher.Sign([]byte(greeting), "bench"))
	const want = `{"event":"pusher:subscribe","data":{"channel":"private-bench","auth":"k:c3313eb64d636b2f4deb18931fce4c5d0a637d1ae1a113bdd1f35a810e310d61"}}`
	if got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestQuantiles(t *testing.T) {
	times := make(chan time.Duration, 100)
	for i := range 100 {
		times <- time.Duration(i)
	}
	if p50, p99 := quantiles(times); p50 != 50 || p99 != 99 {
		t.Errorf("%d, %d", p50, p99)
	}
	if p50, _ := quantiles(times); p50 != 0 {
		t.Errorf("the median of no values is %d", p50)
	}
}

// All clients are started, and the first error is returned.
func TestClients(t *testing.T) {
	got := make(chan int, 100)
	if err := clients(100, 7, func(i int) error { got <- i; return nil }); err != nil || len(got) != 100 {
		t.Errorf("%d clients, %v", len(got), err)
	}
	if err := clients(10, 3, func(int) error { return errMissing }); err == nil {
		t.Error("no error")
	}
}
