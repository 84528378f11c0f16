//go:build e2e

package redisstore

import (
	"os"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/internal/redistest"
)

func TestMain(m *testing.M) { os.Exit(bounded.Main(m)) }

// startRedis starts a server, which is stopped when the test ends. If keep is true, its data survives a restart.
func startRedis(t testing.TB, keep bool) *redistest.Server {
	more := ""
	if keep {
		more = "appendonly yes\nappendfsync always\n"
	}
	return redistest.Start(t, more)
}
