package redisengine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"

	"github.com/redis/rueidis"
)

// hashTag matches the prefixes that are allowed in a cluster: all names with such a prefix are in one slot.
var hashTag = regexp.MustCompile(`^\{[^{}]+\}[^{}]*$`)

var (
	errFound   = errors.New("the server is part of a cluster")
	errNoBrace = errors.New(`redisengine: the server is part of a cluster: the prefix must be in braces, such as "{handfast}", ` +
		"which puts all keys on one of its nodes")
)

// foundCluster records that the server is a node of a cluster, and makes the engine reconnect to the node with the slot of the
// keys. All keys with a prefix are in one slot, because a script changes several of them atomically. Services with other prefixes
// use other slots.
func (f *finder) foundCluster() error {
	if !hashTag.MatchString(f.prefix) {
		return fatalError{errNoBrace}
	}
	f.clustered.Store(true)
	return errFound
}

// clusterAddress asks a node for the address of the node that serves the slot of all keys, and records the other nodes.
func (f *finder) clusterAddress(ctx context.Context, c rueidis.Client, host string) (string, error) {
	slot, err := c.Do(ctx, c.B().ClusterKeyslot().Key(f.prefix).Build()).AsInt64()
	if err != nil {
		return "", err
	}
	ranges, err := c.Do(ctx, c.B().ClusterSlots().Build()).ToArray()
	if err != nil {
		return "", err
	}
	found, others := "", []string(nil)
	for _, r := range ranges {
		parts, err := r.ToArray()
		if err != nil || len(parts) < 3 {
			return "", errAnswer
		}
		first, err1 := parts[0].AsInt64()
		last, err2 := parts[1].AsInt64()
		if err1 != nil || err2 != nil {
			return "", errAnswer
		}
		for i, part := range parts[2:] { // the first node is the primary
			addr, err := addressOf(part, host)
			if err != nil {
				return "", err
			}
			others = append(others, addr)
			if i == 0 && first <= slot && slot <= last {
				found = addr
			}
		}
	}
	if found == "" {
		return "", fmt.Errorf("no node has slot %d", slot)
	}
	f.clusterNodes = others
	return found, nil
}

// addressOf returns the address of a node in a reply. A node that does not know its own host leaves the host in the reply empty,
// which means the host to which the request was sent.
func addressOf(node rueidis.RedisMessage, host string) (string, error) {
	parts, err := node.ToArray()
	if err != nil || len(parts) < 2 {
		return "", errAnswer
	}
	port, err := parts[1].AsInt64()
	if err != nil {
		return "", errAnswer
	}
	if name, err := parts[0].ToString(); err == nil && name != "" {
		host = name
	}
	return net.JoinHostPort(host, strconv.FormatInt(port, 10)), nil
}
