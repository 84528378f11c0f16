package proxy

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/balance"
)

// fakeResolver is a Resolver controlled by tests.
type fakeResolver struct {
	mu      sync.Mutex
	addrs   []string
	srv     []*net.SRV
	err     error
	lookups int
}

func (n *fakeResolver) set(addrs []string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addrs, n.err = addrs, err
}

func (n *fakeResolver) LookupNetIP(_ context.Context, _, host string) (list []netip.Addr, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lookups++
	if host != "chat.internal" {
		return nil, errors.New("no such host")
	}
	for _, a := range n.addrs {
		list = append(list, netip.MustParseAddr(a))
	}
	return list, n.err
}

func (n *fakeResolver) LookupSRV(context.Context, string, string, string) (string, []*net.SRV, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return "", n.srv, n.err
}

func TestLookup(t *testing.T) {
	r := &fakeResolver{addrs: []string{"10.0.0.2", "::ffff:10.0.0.1", "2001:db8::1", "10.0.0.2"}, srv: []*net.SRV{
		{Target: "B.internal.", Port: 9002, Priority: 1, Weight: 3}, {Target: "a.internal.", Port: 9001, Priority: 1}, {Target: "spare.", Port: 1, Priority: 2},
	}}
	for _, tt := range []struct {
		target string
		want   []balance.Spec
		err    string
	}{
		{"ws://chat.internal:9000", []balance.Spec{{ID: "ws://10.0.0.1:9000"}, {ID: "ws://10.0.0.2:9000"}, {ID: "ws://[2001:db8::1]:9000"}}, ""},
		{"wss://_ws._tcp.chat.internal", []balance.Spec{{ID: "wss://a.internal:9001"}, {ID: "wss://b.internal:9002", Weight: 3}}, ""},
		{"ws://other:9000", nil, "no such host"},
		{"ws://%zz", nil, "not a valid URL"},
	} {
		got, err := Lookup(t.Context(), r, tt.target)
		if !reflect.DeepEqual(got, tt.want) || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("Lookup(%s): got %v, %v, want %v, %q", tt.target, got, err, tt.want, tt.err)
		}
	}
	if _, err := Lookup(t.Context(), &fakeResolver{}, "ws://chat.internal:9000"); err == nil || !strings.Contains(err.Error(), "no server was found for chat.internal") {
		t.Errorf("without addresses: got %v, want that no server was found", err)
	}
}

// Discover reports changes, and an error once, however long it lasts.
func TestDiscover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &fakeResolver{addrs: []string{"10.0.0.1"}}
		ctx, cancel := context.WithCancel(t.Context())
		var told []string
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			Discover(ctx, r, "ws://chat.internal:9000", time.Minute, func(list []balance.Spec, err error) {
				line := ""
				for _, s := range list {
					line += s.ID + " "
				}
				if err != nil {
					line = err.Error()
				}
				told = append(told, line)
			})
		}()
		step := func(addrs []string, err error, n int) {
			r.set(addrs, err)
			time.Sleep(time.Duration(n) * time.Minute) //nolint:forbidigo // Sleep uses the fake clock of a synctest bubble
			synctest.Wait()
		}
		synctest.Wait()
		step([]string{"10.0.0.1"}, nil, 3)
		step([]string{"10.0.0.1", "10.0.0.2"}, nil, 3)
		step(nil, errors.New("SERVFAIL"), 3)
		step([]string{"10.0.0.1", "10.0.0.2"}, nil, 3)
		step(nil, nil, 1)
		cancel()
		<-ended
		want := []string{"ws://10.0.0.1:9000 ", "ws://10.0.0.1:9000 ws://10.0.0.2:9000 ", "SERVFAIL", "ws://10.0.0.1:9000 ws://10.0.0.2:9000 ",
			"proxy: no server was found for chat.internal"}
		if !reflect.DeepEqual(told, want) {
			t.Errorf("got %q, want %q", told, want)
		}
	})
}

// SRV records are looked up again as well: another weight, port or target is a change, and so is a record with a lower priority value.
func TestDiscoverSRV(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &fakeResolver{}
		ctx, cancel := context.WithCancel(t.Context())
		var got [][]balance.Spec
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			Discover(ctx, r, "ws://_ws._tcp.chat.internal", time.Minute, func(list []balance.Spec, _ error) { got = append(got, list) })
		}()
		want := [][]balance.Spec{nil} // there is no record yet
		synctest.Wait()
		for _, step := range []struct {
			records []*net.SRV
			want    balance.Spec
		}{
			{[]*net.SRV{{Target: "a.", Port: 1, Priority: 5, Weight: 1}}, balance.Spec{ID: "ws://a:1", Weight: 1}},
			{[]*net.SRV{{Target: "a.", Port: 1, Priority: 5, Weight: 2}}, balance.Spec{ID: "ws://a:1", Weight: 2}},
			{[]*net.SRV{{Target: "a.", Port: 2, Priority: 5, Weight: 2}}, balance.Spec{ID: "ws://a:2", Weight: 2}},
			{[]*net.SRV{{Target: "b.", Port: 2, Priority: 4}, {Target: "a.", Port: 2, Priority: 5, Weight: 2}}, balance.Spec{ID: "ws://b:2"}},
		} {
			r.mu.Lock()
			r.srv = step.records
			r.mu.Unlock()
			time.Sleep(3 * time.Minute) //nolint:forbidigo // Sleep uses the fake clock of a synctest bubble
			synctest.Wait()
			want = append(want, []balance.Spec{step.want})
		}
		cancel()
		<-ended
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func TestParseServers(t *testing.T) {
	parse := func(s string) (string, error) {
		if s == "bad" {
			return "", errors.New("not a server")
		}
		return "ws://" + s, nil
	}
	for _, tt := range []struct {
		text string
		want []balance.Spec
		err  string
	}{
		{"", nil, ""},
		{"a:1 # first\n\n# none\nb:2 weight=3 capacity=10\nc:3\tcapacity=0\r\n", []balance.Spec{
			{ID: "ws://a:1"}, {ID: "ws://b:2", Weight: 3, Capacity: 10}, {ID: "ws://c:3"}}, ""},
		{"a:1\na:1 weight=2", nil, "line 2: ws://a:1 is already in the list"},
		{"a:1\n\nbad", nil, "line 3: not a server"},
		{"a:1 b:2", nil, `line 1: "b:2" is neither weight=N nor capacity=N`},
		{"a:1 weight=1000", []balance.Spec{{ID: "ws://a:1", Weight: 1000}}, ""},
		{"b:1\na:1 weight=1001", nil, `line 2: the weight in "weight=1001" is not from 1 to 1000`},
		{"a:1 weight=0", nil, `line 1: the value in "weight=0" is not a positive number`},
		{"a:1 capacity=-1", nil, `line 1: the value in "capacity=-1" is not a positive number`},
		{"a:1 weight=x", nil, `line 1: the value in "weight=x" is not a positive number`},
	} {
		got, err := ParseServers(tt.text, parse)
		if !reflect.DeepEqual(got, tt.want) || (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err {
			t.Errorf("ParseServers(%q): got %v, %v, want %v, %q", tt.text, got, err, tt.want, tt.err)
		}
	}
}
