package explain

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/websocket/frame"
)

// When the caller cancels the context, Explain returns a report within a second.
func TestExplainEndsWithItsContext(t *testing.T) {
	for name, serve := range map[string]func(*exchange){
		"before the answer": func(v *exchange) { io.Copy(io.Discard, v.in) },
		"within the head":   func(v *exchange) { v.writeText("HTTP/1.1 101 Switching Protocols\n"); io.Copy(io.Discard, v.in) },
		"within the body":   func(v *exchange) { v.writeText("HTTP/1.1 500 No\nContent-Length: 10\n\n"); io.Copy(io.Discard, v.in) },
		"before the pong":   func(v *exchange) { v.open(""); io.Copy(io.Discard, v.in) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(300*time.Millisecond, cancel)
				r := Explain(ctx, "ws://192.0.2.1/", inMemory(t, serve))
				if r.Duration > Duration(300*time.Millisecond) && !r.Opened || r.Duration > Duration(1300*time.Millisecond) {
					t.Errorf("it took %s", r.Duration)
				}
				if r.OK() || r.Diagnosis == nil {
					t.Error("all went well")
				}
			})
		})
	}
}

// If the caller ends a watch, the connection is closed with a closing handshake, and the report is OK.
func TestWatchIsClosedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Hour, cancel)
		opts := inMemory(t, func(v *exchange) { v.open(""); v.respond() })
		opts.Watch = -1
		r := Explain(ctx, "ws://192.0.2.1/", opts)
		if !r.OK() || r.Close == nil || !r.Close.Clean || r.Close.By != "client" {
			t.Errorf("%+v %+v", r.Close, r.Diagnosis)
		}
		if r.Duration != Duration(time.Hour) || len(r.Origins) != 0 {
			t.Errorf("it took %s, and tried %v", r.Duration, r.Origins)
		}
	})
}

// If the caller ends a watch, Explain waits only a second for the server's close frame.
func TestWatchWithoutCloseAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Hour, cancel)
		opts := inMemory(t, func(v *exchange) { v.open(""); io.Copy(io.Discard, v.in) })
		opts.NoProbes, opts.Watch = true, -1
		r := Explain(ctx, "ws://192.0.2.1/", opts)
		if r.Duration != Duration(time.Hour+time.Second) || r.Close == nil || r.Close.Clean {
			t.Errorf("it took %s: %+v", r.Duration, r.Close)
		}
	})
}

// If the response to the probe is a 101 with a wrong Sec-WebSocket-Accept, it does not show that other sites are allowed.
func TestForeignOriginNeedsTheAcceptValue(t *testing.T) {
	for _, fits := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			opts := inMemory(t, func(v *exchange) {
				if v.req.Header.Get("Origin") != "https://page.example" && !fits {
					v.req.Header.Set("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")
				}
				v.open("")
				v.respond()
			})
			opts.Origin = "https://page.example"
			r := Explain(t.Context(), "ws://192.0.2.1/", opts)
			if len(r.Origins) == 0 {
				t.Fatal("no other origin was tried")
			}
			for _, o := range r.Origins {
				if o.Status != 101 || o.Opened != (fits || o.Origin == opts.Origin) {
					t.Errorf("the key fits: %v; %+v", fits, o)
				}
			}
		})
	}
}

// The overall time limit applies even if StepTimeout is longer. It does not apply to Watch and ProbeIdle, which have their own limits.
func TestTimeoutBoundsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := inMemory(t, func(v *exchange) { io.Copy(io.Discard, v.in) })
		opts.Timeout, opts.StepTimeout = 3*time.Second, time.Minute
		r := Explain(t.Context(), "ws://192.0.2.1/", opts)
		if r.Diagnosis == nil || r.Diagnosis.ID != FaultTimeout || r.Duration != Duration(3*time.Second) {
			t.Errorf("%s: %+v", r.Duration, r.Findings)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		opts := inMemory(t, func(v *exchange) { v.open(""); v.respond() })
		opts.ProbeIdle, opts.Watch = time.Minute, time.Hour
		r := Explain(t.Context(), "ws://192.0.2.1/", opts)
		if !r.OK() || r.Duration != Duration(time.Minute+time.Hour) || r.Idle.Held != Duration(time.Minute) || r.Idle.Cut {
			t.Errorf("%s: %+v %+v", r.Duration, r.Idle, r.Findings)
		}
	})
}

// If the server sends pings, the report says that the connection was not idle, and does not suggest a ping interval.
func TestProbeIdleSeesPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := inMemory(t, func(v *exchange) {
			v.open("")
			pings := time.NewTicker(20 * time.Second)
			defer pings.Stop()
			done := make(chan struct{})
			defer func() { <-done }()
			go func() {
				defer close(done)
				for range 4 {
					<-pings.C
					v.send(frame.Ping, "")
				}
			}()
			v.respond()
		})
		opts.ProbeIdle = 90 * time.Second
		r := Explain(t.Context(), "ws://192.0.2.1/", opts)
		if i := r.Idle; !r.OK() || i == nil || i.Cut || i.Pings != 4 || i.Held != Duration(10*time.Second) {
			t.Errorf("%+v %+v", r.Idle, r.Findings)
		}
	})
}

func TestPingInterval(t *testing.T) {
	for held, want := range map[time.Duration]time.Duration{
		time.Minute: 45 * time.Second, 30 * time.Second: 20 * time.Second, 2 * time.Second: time.Second,
		time.Second: 750 * time.Millisecond, time.Hour: 300 * time.Second, time.Millisecond: 10 * time.Millisecond,
	} {
		if got := pingInterval(held); got != want {
			t.Errorf("%s: %s", held, got)
		}
	}
}

// The request has the fields that a browser sends, in the same order, and the fields that the caller adds.
func TestRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		opts := inMemory(t, func(v *exchange) { v.open("") })
		dial := opts.Dial
		opts.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dial(ctx, network, address)
			return &writeObserver{Conn: c, onWrite: func(b []byte) { got = append(got, string(b)) }}, err
		}
		opts.NoOriginProbes = true
		opts.Header = map[string][]string{"User-Agent": {"mine"}, "X-Room": {"a", "b"}, "Accept-Language": {"de"}}
		opts.Subprotocols = []string{"v2", "v1"}
		opts.Credentials = Credentials{Username: "alice", Password: "pw", Cookie: "a=1", SubprotocolToken: "tok", APIKey: "k"}
		opts.Credentials.Query = map[string][]string{"ticket": {"a b"}}
		Explain(t.Context(), "ws://EXAMPLE.invalid@192.0.2.1:8080/ä?x=1", opts)
		want := "GET /%C3%A4?x=1&ticket=a+b HTTP/1.1\r\nHost: 192.0.2.1:8080\r\nConnection: Upgrade\r\nPragma: no-cache\r\n" +
			"Cache-Control: no-cache\r\nUser-Agent: mine\r\nUpgrade: websocket\r\nOrigin: http://192.0.2.1:8080\r\n" +
			"Sec-WebSocket-Version: 13\r\nAuthorization: Basic YWxpY2U6cHc=\r\nX-API-Key: k\r\nCookie: a=1\r\n" +
			"Accept-Language: de\r\nX-Room: a\r\nX-Room: b\r\nSec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n" +
			"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" +
			"Sec-WebSocket-Protocol: v2, v1, base64url.bearer.authorization.k8s.io.dG9r\r\n\r\n"
		if len(got) == 0 || got[0] != want {
			t.Errorf("it sent\n%q, want\n%q", got, want)
		}
	})
}

// writeObserver is a connection that records what is written.
type writeObserver struct {
	net.Conn
	onWrite func([]byte)
}

func (s *writeObserver) Write(b []byte) (int, error) {
	s.onWrite(b)
	return s.Conn.Write(b)
}

func TestRFC6455_3_URL(t *testing.T) {
	for raw, ok := range map[string]bool{
		"ws://h/": true, "wss://h": true, "http://h/": true, "HTTPS://h": true, "ws://[::1]:80/": true, "ws://bücher.example/": true,
		"": false, "h": false, "ftp://h/": false, "ws:///x": false, "ws://h/#f": false, "ws://h:0/": false, "ws://h:65536/": false,
		"ws://h /": false, "ws://h%zz/": false, "ws://[::1/": false, "ws://a\x00b/": false, "ws://h!x/": false,
	} {
		opts := &Options{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, io.EOF },
			Resolver: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, io.EOF }}}
		r := Explain(t.Context(), raw, opts)
		if got := !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Fault == FaultURL }); got != ok {
			t.Errorf("%q: %+v", raw, r.Findings)
		}
	}
}

func TestDurationJSON(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0", time.Millisecond: "1", 1234567 * time.Nanosecond: "1.235", time.Hour: "3600000", time.Microsecond: "0.001",
	} {
		b, err := json.Marshal(Duration(d))
		if err != nil || string(b) != want {
			t.Errorf("%s is %s, %v", d, b, err)
		}
		var back Duration
		if err := json.Unmarshal(b, &back); err != nil || time.Duration(back).Round(time.Microsecond) != d.Round(time.Microsecond) {
			t.Errorf("%s came back as %s, %v", d, back, err)
		}
	}
}

var fieldName = regexp.MustCompile(`^[a-z0-9]+(_[a-z0-9]+)*$`)

// The guide lists every field of the JSON form.
func TestJSONFieldsAreDocumented(t *testing.T) {
	guide, err := os.ReadFile("../docs/explain.md")
	if err != nil {
		t.Fatal(err)
	}
	var walk func(typ reflect.Type, path string)
	walk = func(typ reflect.Type, path string) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || typ == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range typ.NumField() {
			f := typ.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !fieldName.MatchString(name) {
				t.Errorf("%s%s is called %q in JSON", path, f.Name, name)
			}
			if !strings.Contains(string(guide), "`"+path+name+"`") {
				t.Errorf("the guide does not document `%s%s`", path, name)
			}
			if sub := typ.Field(i).Type; !strings.Contains(path, name+".") {
				walk(sub, path+name+".")
			}
		}
	}
	walk(reflect.TypeFor[Report](), "")
}

// Whatever a server sends, Explain returns a report within the time limit, and the report can be formatted.
func FuzzExplain(f *testing.F) {
	for _, s := range []string{
		"", "HTTP/1.1 101 Switching Protocols\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello",
		"SSH-2.0-x\r\n", "ACCEPT\x81\x05hello\x88\x02\x03\xe8", "ACCEPT\x89\x00\x8a\x00", "ACCEPT\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00",
		"ACCEPT\x01\x01a\x80\x01b\x88\x00", "ACCEPTSec-WebSocket-Protocol: x\r\n",
	} {
		f.Add([]byte(s), uint8(0))
	}
	f.Fuzz(func(t *testing.T, b []byte, flags uint8) {
		synctest.Test(t, func(t *testing.T) {
			opts := inMemory(t, func(v *exchange) {
				if rest, ok := strings.CutPrefix(string(b), "ACCEPT"); ok {
					v.open(map[bool]string{true: "Sec-WebSocket-Extensions: permessage-deflate\n"}[flags&1 != 0])
					io.WriteString(v.Conn, rest)
				} else {
					v.Write(b)
				}
				if flags&2 != 0 {
					io.Copy(io.Discard, v.in)
				}
			})
			opts.Echo = map[bool]string{true: "hello"}[flags&4 != 0]
			if flags&8 != 0 {
				opts.Watch = time.Second
			}
			r := Explain(t.Context(), "ws://192.0.2.1/", opts)
			if r.Duration > Duration(20*time.Second) {
				t.Errorf("it took %s", r.Duration)
			}
			if !r.OK() && r.Diagnosis == nil {
				t.Error("it failed, and nothing says why")
			}
			out, err := json.Marshal(r)
			var back Report
			if err != nil || json.Unmarshal(out, &back) != nil {
				t.Errorf("the report cannot be written down: %v", err)
			}
			var text strings.Builder
			if err := r.WriteText(&text, nil); err != nil {
				t.Error(err)
			}
			if i := strings.IndexFunc(text.String(), func(c rune) bool { return c < ' ' && c != '\n' }); i >= 0 {
				t.Errorf("what steers a terminal is in it: %s", fmt.Sprintf("%q", text.String()[max(0, i-40):]))
			}
		})
	})
}
