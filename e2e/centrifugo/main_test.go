//go:build e2e

package centrifugo

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handfast/handfast/e2e/internal/house"
)

func TestMain(m *testing.M) { os.Exit(house.Main(m)) }

// The SDK connects, subscribes, publishes, refreshes, recovers and falls back: sdk.mjs has the steps.
func TestSDK(t *testing.T) {
	u := house.NewUser(t)
	port := house.FreePort(t)
	u.Serve("--tls", "off", "--listen", "127.0.0.1:"+port, "--app", "1:k:s")
	script, err := filepath.Abs("sdk.mjs")
	if err != nil {
		t.Fatal(err)
	}
	got := u.Run(u.Command("node", script, "http://127.0.0.1:"+port, "1", "k", "s"))
	if got.Code != 0 || strings.Count(got.Stdout, "ok ") != 9 {
		t.Errorf("%+v", got)
	}
}
