package hub_test

import (
	"os"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
)

func TestMain(m *testing.M) {
	if addr := os.Getenv(readerAddr); addr != "" {
		readAll(addr)
		return
	}
	os.Exit(bounded.Main(m))
}
