package hub

import (
	"strconv"
	"testing"
)

// No more keys have a base than allowed.
func TestBasesAreBounded(t *testing.T) {
	b := newBases()
	for i := range maxBases + 10 {
		b.replace(&Publication{Key: strconv.Itoa(i), Data: []byte("x")})
	}
	if len(b.byKey) != maxBases || b.bytes != maxBases {
		t.Errorf("%d bases of %d bytes, want %d", len(b.byKey), b.bytes, maxBases)
	}
}
