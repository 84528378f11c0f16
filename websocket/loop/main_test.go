package loop_test

import (
	"os"
	"testing"

	"github.com/handfast/handfast/websocket/internal/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }
