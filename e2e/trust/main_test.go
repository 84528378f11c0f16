//go:build e2e

package trust

import (
	"os"
	"testing"

	"github.com/handfast/handfast/e2e/internal/house"
)

func TestMain(m *testing.M) { os.Exit(house.Main(m)) }

// user is a user with a home directory.
type user struct {
	*house.User
	visits chan bool // what happened to the TLS connections of Firefox to the server of newUser: whether it sent a request
}
