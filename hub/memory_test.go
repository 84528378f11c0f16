package hub_test

import (
	"testing"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/enginetest"
)

func TestMemory(t *testing.T) {
	enginetest.Run(t, enginetest.Options{Pure: true}, func(testing.TB) enginetest.Cluster {
		m := hub.NewMemory()
		return enginetest.Cluster{Node: func(testing.TB) hub.Engine { return m.Node() }}
	})
}
