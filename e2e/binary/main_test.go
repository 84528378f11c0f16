package binary

import (
	"os"
	"testing"

	"github.com/handfast/handfast/e2e/internal/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
