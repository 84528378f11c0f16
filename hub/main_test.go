package hub_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if addr := os.Getenv(readerAddr); addr != "" {
		readAll(addr)
		return
	}
	goleak.VerifyTestMain(m)
}
