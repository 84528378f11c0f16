//go:build e2e

package balance

import (
	"os"
	"testing"

	"github.com/handfast/handfast/e2e/internal/house"
)

func TestMain(m *testing.M) { os.Exit(house.Main(m)) }
