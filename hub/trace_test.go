package hub_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
)

func TestTraceparent(t *testing.T) {
	const id, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	var got hub.Trace
	h := start(t, hub.Options{Traced: func(t hub.Trace) { got = t }})
	for header, want := range map[string]string{
		"00-" + id + "-" + parent + "-01":                      id,
		"00-" + id + "-" + parent + "-03":                      id,
		"cc-" + id + "-" + parent + "-01-what-comes-later":     id,
		"00-" + id + "-" + parent + "-00":                      "", // not sampled by the caller
		"00-" + id + "-" + parent + "-01-more":                 "",
		"ff-" + id + "-" + parent + "-01":                      "",
		"00-" + strings.ToUpper(id) + "-" + parent + "-01":     "",
		"00-" + strings.Repeat("0", 32) + "-" + parent + "-01": "",
		"00-" + id + "-" + strings.Repeat("0", 16) + "-01":     "",
		"00-" + id[1:] + "-" + parent + "-01":                  "",
		"00-" + id + "-" + parent + "-0g":                      "",
		"00-" + id + "-" + parent:                              "",
		"":                                                     "",
	} {
		got = hub.Trace{}
		p := text("1")
		if _, err := h.Publish(hub.WithTraceparent(bounded.Context(t), header), "app", "c", p, nil); err != nil {
			t.Fatal(err)
		}
		if p.Trace != want || (got.Publication == p) != (want != "") || got.Sampled {
			t.Errorf("%q: %q, reported as %+v", header, p.Trace, got)
		}
	}
}

// A namespace traces a share of its publications. A failed publication is reported, too.
func TestTracedNamespace(t *testing.T) {
	var reports []hub.Trace
	o := rules(hub.Namespace{History: 10, Trace: 1})
	o.Namespaces = append(o.Namespaces, hub.Namespace{Prefix: "no:"})
	o.Traced = func(t hub.Trace) { reports = append(reports, t) }
	h := start(t, o)
	publish(t, h, "c", &hub.Publication{Data: []byte("1"), ID: "id"}, &hub.Publication{Data: []byte("1"), ID: "id"}, &hub.Publication{Event: hub.InternalPrefix + "x"})
	publish(t, h, "no:c", text("1"))
	wrong := uint64(7)
	if _, err := h.Publish(bounded.Context(t), "app", "c", text("2"), &hub.PublishOptions{History: 10, Expect: &wrong}); !errors.Is(err, hub.ErrConflict) {
		t.Fatal(err)
	}
	if len(reports) != 3 {
		t.Fatalf("%+v", reports)
	}
	first, second, third := reports[0], reports[1], reports[2]
	if len(first.Publication.Trace) != 32 || first.Publication.Trace == third.Publication.Trace || !first.Sampled || first.Offset != 1 || first.Duplicate || first.Err != nil {
		t.Errorf("%+v", first)
	}
	if !second.Duplicate || second.Offset != 1 || !errors.Is(third.Err, hub.ErrConflict) {
		t.Errorf("%+v, %+v", second, third)
	}
}

// Namespaces with the same name are counted together.
func TestStatsByName(t *testing.T) {
	h := start(t, hub.Options{Namespaces: []hub.Namespace{{Name: "*"}, {Name: "*", Prefix: "presence-", Presence: true}, {Prefix: "x-"}}})
	publish(t, h, "a", text("1"))
	publish(t, h, "presence-a", text("1"), text("2"))
	publish(t, h, "x-a", text("1"))
	want := []hub.Stats{{Namespace: "*", Publications: 3}, {Namespace: "x-", Publications: 1}}
	if got := h.Stats(); !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// Tracing costs nothing for a publication without a trace ID: no allocation, and no larger size class.
func TestTraceCostsNothing(t *testing.T) {
	if size := reflect.TypeFor[hub.Publication]().Size(); size > 256 {
		t.Errorf("a publication has %d bytes, more than 256", size)
	}
	if raceEnabled {
		return // the race detector allocates
	}
	allocs := func(n hub.Namespace, traced func(hub.Trace)) float64 {
		o := rules(n)
		o.Traced, o.ProbeEvery = traced, -1
		h := start(t, o)
		var left atomic.Int64
		s, err := h.Join(hub.Client{App: "app", ID: "id", Out: &nullSender{&left, nil}, Codec: plainCodec{}})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Subscribe(t.Context(), "c", hub.SubscribeOptions{}, replyNothing); err != nil {
			t.Fatal(err)
		}
		left.Store(-1)
		data := make([]byte, 128)
		return testing.AllocsPerRun(500, func() {
			if _, err := h.Publish(context.Background(), "app", "c", &hub.Publication{Data: data}, nil); err != nil {
				t.Fatal(err)
			}
		})
	}
	off, ready := allocs(hub.Namespace{}, nil), allocs(hub.Namespace{}, func(hub.Trace) {})
	if off > 9 || ready > 9 { // as many as without tracing
		t.Errorf("%v allocations per publication without traces, %v with traces of others", off, ready)
	}
	if on := allocs(hub.Namespace{Trace: 1}, func(hub.Trace) {}); on <= ready {
		t.Errorf("a traced publication has only %v allocations, so the test measures nothing", on)
	}
}
