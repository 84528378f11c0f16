package websocket

import (
	"testing"
	"testing/cryptotest"
)

// The keys of frames come from crypto/rand (§5.3, §10.3): from the same source they are the same, and from another one different.
func TestRFC6455_10_3_KeysAreFromCryptoRand(t *testing.T) {
	var keys [3][4]byte
	for i, seed := range []uint64{1, 1, 2} {
		t.Run("", func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, seed)
			keys[i] = maskKey()
		})
	}
	if keys[0] != keys[1] || keys[0] == keys[2] {
		t.Errorf("keys %x with the seeds 1, 1 and 2", keys)
	}
}
