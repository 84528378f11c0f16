package natsengine

import (
	"os"
	"testing"

	"github.com/handfast/handfast/hub/enginetest"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/internal/natstest"
)

func TestMain(m *testing.M) {
	if natstest.Main() {
		return
	}
	enginetest.Parallel()
	os.Exit(bounded.Main(m))
}
