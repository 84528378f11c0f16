// Package sitetest runs an example in a test.
package sitetest

import (
	"context"
	"testing"

	"github.com/handfast/handfast/examples/internal/site"
	"github.com/handfast/handfast/internal/bounded"
)

// Start starts s on a free port and returns its URL. s runs until the test ends.
func Start(t testing.TB, s site.Site) string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	s.Listen = "127.0.0.1:0"
	at := make(chan string, 1)
	ended := make(chan error, 1)
	go func() { ended <- site.Run(ctx, s, func(url string) { at <- url }) }()
	t.Cleanup(func() {
		stop()
		if err := bounded.Receive(t, ended); err != nil {
			t.Error(err)
		}
	})
	return bounded.Receive(t, at)
}
