//go:build e2e

package trust

import (
	"os"
	"testing"

	"github.com/handfast/handfast/e2e/internal/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// user is a user with a home directory.
type user struct {
	*harness.User
	visits chan bool // true for a request of Firefox to the server of newUser, false for a TLS handshake that it refused
}
