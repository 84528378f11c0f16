package natsengine

import (
	"context"
	"testing"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/enginetest"
)

// node is an engine that a test can kill.
type node struct {
	*Engine
	dead chan struct{}
}

func (n *node) kill() { close(n.dead) }

// Run simulates the loss of the process when the node is killed.
func (n *node) Run(ctx context.Context, s hub.Sink) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	over := make(chan error, 1)
	go func() { over <- n.Engine.Run(inner, s) }()
	select {
	case err := <-over:
		return err
	case <-n.dead:
		cancel()
		<-over
		<-ctx.Done()
		return ctx.Err()
	}
}

func newEngine(t testing.TB, o Options) *Engine {
	t.Helper()
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// nodes returns a cluster whose nodes have these options.
func nodes(o Options) enginetest.Cluster {
	return enginetest.Cluster{
		Node: func(t testing.TB) hub.Engine { return &node{newEngine(t, o), make(chan struct{})} },
		Kill: func(e hub.Engine) { e.(*node).kill() },
	}
}

func start(t testing.TB, e Embedded) *Server {
	t.Helper()
	s, err := Start(e)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s
}

func TestEmbedded(t *testing.T) {
	enginetest.Run(t, enginetest.Options{Flow: 600}, func(t testing.TB) enginetest.Cluster {
		return nodes(Options{Server: start(t, Embedded{Dir: t.TempDir()})})
	})
}
