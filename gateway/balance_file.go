package gateway

import (
	"context"
	"slices"
	"time"

	"github.com/handfast/handfast/balance"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/internal/watch"
)

// A file that is being written in place is incomplete for a moment, so a read result with fewer servers is not used immediately.
const (
	settleTime     = 2 * time.Second // a result with fewer servers must be the same after this time
	maxSettleReads = 10              // the maximum number of further reads; the last result is then used
)

// readSettled calls read until the list of servers has settled, and returns that list. A result that only adds servers to before,
// or changes their weights, is returned immediately; if servers are missing, two consecutive results must agree. The error is that
// of the last read, or of ctx.
func readSettled(ctx context.Context, before []balance.Spec, read func() ([]balance.Spec, error)) ([]balance.Spec, error) {
	list, err := read()
	for range maxSettleReads {
		if err == nil && !lacks(list, before) {
			return list, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(settleTime):
		}
		again, failed := read()
		same := err == nil && failed == nil && slices.Equal(list, again) || err != nil && failed != nil && err.Error() == failed.Error()
		if list, err = again, failed; same {
			break
		}
	}
	return list, err
}

// lacks reports whether list lacks a server that before contains.
func lacks(list, before []balance.Spec) bool {
	return slices.ContainsFunc(before, func(b balance.Spec) bool {
		return !slices.ContainsFunc(list, func(s balance.Spec) bool { return s.ID == b.ID })
	})
}

// follow sets the servers of a file whenever it changes, until ctx ends.
func (t *balanceTarget) follow(ctx context.Context, files *watch.Files, set *config.Balance) {
	logged := "" // the last logged error, so that polls with the same error do not log it again
	files.Run(ctx, filePoll, func() {
		list, err := readSettled(ctx, t.Servers(serversOfFile), func() ([]balance.Spec, error) {
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
