package acme_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/handfast/handfast/e2e/internal/harness"
)

func TestMain(m *testing.M) {
	os.Setenv("PEBBLE_VA_NOSLEEP", "1")      // otherwise pebble delays its responses, to find clients that do not wait
	os.Setenv("PEBBLE_WFE_NONCEREJECT", "0") // otherwise pebble rejects some valid nonces, to find clients that do not retry
	os.Exit(harness.Main(m,
		goleak.IgnoreTopFunction("github.com/letsencrypt/pebble/v2/va.VAImpl.processTasks"))) // never returns
}
