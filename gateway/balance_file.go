package gateway

import (
	"context"
	"slices"
	"time"

	"github.com/handfast/handfast/balance"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/internal/watch"
)

// A file that is written in place has less than all servers in it for a moment.
const (
	settleFor  = 2 * time.Second // for which a file with fewer servers must stay the same
	settleMost = 10              // how often it is read for that; then the last reading counts
)

// settled returns what a file says in the end. read reads it. What only adds servers to before, or changes their weights, counts
// immediately; where some are missing, two readings in a row must agree. The error is that of the last reading, or of ctx.
func settled(ctx context.Context, before []balance.Spec, read func() ([]balance.Spec, error)) ([]balance.Spec, error) {
	list, err := read()
	for range settleMost {
		if err == nil && !lacks(list, before) {
			return list, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(settleFor):
		}
		again, failed := read()
		same := err == nil && failed == nil && slices.Equal(list, again) || err != nil && failed != nil && err.Error() == failed.Error()
		if list, err = again, failed; same {
			break
		}
	}
	return list, err
}

// lacks reports whether a server is in before and not in list.
func lacks(list, before []balance.Spec) bool {
	return slices.ContainsFunc(before, func(b balance.Spec) bool {
		return !slices.ContainsFunc(list, func(s balance.Spec) bool { return s.ID == b.ID })
	})
}

// follow takes the servers of a file whenever it changes, until ctx ends.
func (t *balanceTarget) follow(ctx context.Context, files *watch.Files, set *config.Balance) {
	logged := "" // of the last trouble, which every poll finds again
	files.Run(ctx, filePoll, func() {
		list, err := settled(ctx, t.Servers(serversOfFile), func() ([]balance.Spec, error) {
			list, err := servers(set)
			return list[serversOfFile], err
		})
		switch {
		case ctx.Err() != nil:
		case err == nil:
			logged = ""
			t.found(serversOfFile, list, nil)
		case err.Error() != logged:
			logged = err.Error()
			t.found(serversOfFile, nil, err)
		}
	})
}
