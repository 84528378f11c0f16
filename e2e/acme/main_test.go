package acme_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	os.Setenv("PEBBLE_VA_NOSLEEP", "1")      // it dawdles otherwise, to find clients that do not wait
	os.Setenv("PEBBLE_WFE_NONCEREJECT", "0") // likewise
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("github.com/letsencrypt/pebble/v2/va.VAImpl.processTasks")) // has no end
}
