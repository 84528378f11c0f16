package recent

import (
	"errors"
	"slices"
	"testing"

	"github.com/handfast/handfast/hub"
)

// publications returns n publications.
func publications(n int) []*hub.Publication {
	ps := make([]*hub.Publication, n)
	for i := range ps {
		ps[i] = &hub.Publication{Position: hub.Position{Offset: uint64(i + 1)}}
	}
	return ps
}

// encoder returns a function that encodes a publication to its offset, with a given size, and counts its calls.
func encoder(bytes int, calls *int) func(*hub.Publication) (*uint64, int, error) {
	return func(p *hub.Publication) (*uint64, int, error) {
		*calls++
		if p.Event != "" {
			return nil, 0, nil
		}
		return &p.Offset, bytes, nil
	}
}

// A publication is encoded once while it is cached, and the size of the cache is limited.
func TestBound(t *testing.T) {
	var c Cache[uint64]
	calls := 0
	first := publications(1)
	// The clients of 300 channels reconnect one after another, each having missed ten publications, and find all of them in the
	// cache.
	for range 2 {
		for _, ps := range [][]*hub.Publication{first, publications(3_000)} {
			if _, err := c.Append(nil, ps, encoder(100, &calls)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if calls != 6_001 {
		t.Errorf("%d publications were encoded", calls)
	}
	if _, err := c.Append(nil, publications(2*maxBytes/(64<<10)), encoder(64<<10, &calls)); err != nil {
		t.Fatal(err)
	}
	calls = 0
	if _, err := c.Append(nil, first, encoder(100, &calls)); err != nil || calls != 1 {
		t.Errorf("a publication was kept beyond the limit: %v", err)
	}
	sum := 0
	for _, k := range c.entries {
		sum += k.bytes + entryOverhead
	}
	if sum != c.bytes || sum > maxBytes || len(c.entries) != len(c.order) {
		t.Errorf("%d bytes, %d counted, %d and %d publications", sum, c.bytes, len(c.entries), len(c.order))
	}
}

// The size of a publication counts in addition to that of its encoding, because it is also kept in memory.
func TestBoundCountsPublications(t *testing.T) {
	var c Cache[uint64]
	calls := 0
	ps := publications(64)
	for _, p := range ps {
		p.Info = make([]byte, maxBytes/32)
	}
	if _, err := c.Append(nil, ps, encoder(1, &calls)); err != nil || len(c.entries) > 32 {
		t.Errorf("%d publications of %d bytes are kept, %v", len(c.entries), maxBytes/32, err)
	}
}

// Cached and uncached publications are appended in order, after the existing ones, without those that clients do not receive.
func TestAppend(t *testing.T) {
	var c Cache[uint64]
	ps, calls := publications(6), 0
	ps[2].Event = "internal"
	if _, err := c.Append(nil, []*hub.Publication{ps[1], ps[4]}, encoder(1, &calls)); err != nil {
		t.Fatal(err)
	}
	there := new(uint64)
	for _, want := range []int{2 + 4, 2 + 4 + 1} { // a publication that clients do not receive is not cached
		all, err := c.Append([]*uint64{there}, ps, encoder(1, &calls))
		if err != nil || calls != want || !slices.Equal(all, []*uint64{there, &ps[0].Offset, &ps[1].Offset, &ps[3].Offset, &ps[4].Offset, &ps[5].Offset}) {
			t.Errorf("%v after %d calls, %v", all, calls, err)
		}
	}
	failed := errors.New("failed")
	if _, err := c.Append(nil, publications(1), func(*hub.Publication) (*uint64, int, error) { return nil, 0, failed }); !errors.Is(err, failed) {
		t.Error(err)
	}
}

// If two callers encode the same publication, both get the first result.
func TestAddTwice(t *testing.T) {
	var c Cache[uint64]
	p, a, b := new(hub.Publication), new(uint64), new(uint64)
	if c.add(p, a, 1) != a || c.add(p, b, 1) != a || c.bytes != 1+entryOverhead {
		t.Errorf("%d bytes", c.bytes)
	}
}
