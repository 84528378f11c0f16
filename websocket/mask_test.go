package websocket

import (
	"testing"
	"testing/cryptotest"
)

// The masking keys come from crypto/rand (§5.3, §10.3): the same random source yields the same keys, and another source yields
// other keys.
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
