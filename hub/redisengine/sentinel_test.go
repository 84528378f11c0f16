//go:build e2e

package redisengine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/redis/rueidis"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/enginetest"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/internal/redistest"
)

// retryCommand repeats a command to a server or sentinel until the response contains text, and returns the response.
func retryCommand(t testing.TB, s *redistest.Server, password, text string, command ...string) (answer string) {
	t.Helper()
	c, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{s.Addr()}, Password: password, ForceSingleClient: true, DisableCache: true, AlwaysRESP2: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	bounded.Until(t, func() bool {
		r, err := c.Do(bounded.Context(t), c.B().Arbitrary(command...).Build()).ToAny()
		if err != nil {
			t.Fatal(err)
		}
		answer = textOf(r)
		return strings.Contains(answer, text)
	})
	return answer
}

// textOf returns all text in a response.
func textOf(r any) string {
	switch r := r.(type) {
	case string:
		return r + " "
	case int64:
		return fmt.Sprint(r)
	case []any:
		var all strings.Builder
		for _, x := range r {
			all.WriteString(textOf(x))
		}
		return all.String()
	}
	return ""
}

// When the primary is lost, nodes connect to the new primary that the sentinels name. The new primary may lack the last
// acknowledged writes, so subscribers are notified of a gap. Later publications are delivered.
func TestSentinel(t *testing.T) {
	primary := redistest.Start(t, "")
	replica := redistest.StartReplica(t, primary)
	sentinel := redistest.StartSentinel(t, primary, "shop")
	retryCommand(t, primary, redistest.Password, "state=online", "INFO", "replication")
	retryCommand(t, sentinel, "", replica.Port(), "SENTINEL", "REPLICAS", "shop")

	url := "redis://:" + redistest.Password + "@127.0.0.1:1/0?master_set=shop&addr=" + sentinel.Addr() // the first sentinel is down
	a, told := node(t, Options{URL: url})
	b, _ := node(t, Options{URL: url})
	c := enginetest.NewClient(t, a, nil, hub.Client{ID: "c", User: "ann"})
	before := c.Subscribe(t, "room", hub.SubscribeOptions{})
	publish(t, b, "one")
	c.Want(t, "one")
	retryCommand(t, replica, redistest.Password, "one", "XRANGE", "handfast:{app/room}:log", "-", "+")

	primary.Stop()
	waitForFailure(t, told)
	c.Until(t, func(es []enginetest.Event) bool {
		return slices.ContainsFunc(es, func(e enginetest.Event) bool { return e.Ended && e.Reason == hub.EndInsufficient })
	})
	bounded.Until(t, func() bool { return a.Ready() == nil && b.Ready() == nil })
	after := c.Subscribe(t, "room", hub.SubscribeOptions{Since: &before.Position})
	if !errors.Is(after.Err, hub.ErrNewEpoch) || after.Position.Epoch == before.Position.Epoch {
		t.Errorf("%+v after %+v", after, before)
	}
	publish(t, b, "two")
	c.Want(t, "one", "two")
}

// If a sentinel does not know the name, the engine retries, because the sentinel may learn it.
func TestSentinelKnowsNothing(t *testing.T) {
	sentinel := redistest.StartSentinel(t, redistest.Start(t, ""), "shop")
	_, told := node(t, Options{URL: "redis://" + sentinel.Addr() + "?master_set=other"})
	if err := waitForFailure(t, told); !strings.Contains(err.Error(), `no primary "other" is known`) {
		t.Error(err)
	}
}
