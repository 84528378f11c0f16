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

// hashTag is what a prefix is in a cluster: all names that begin with it are in one slot.
var hashTag = regexp.MustCompile(`^\{[^{}]+\}[^{}]*$`)

var (
	errFound   = errors.New("the server is part of a cluster")
	errNoBrace = errors.New(`redisengine: the server is part of a cluster: the prefix has to be in braces there, such as "{handfast}", ` +
		"which puts all keys on one of its nodes")
)

// foundCluster notes that the server is a node of a cluster, which is found by the first connection. All keys are in one slot, since
// scripts change several of them in one step: those of services with other prefixes are in other slots.
func (f *finder) foundCluster() error {
	if !hashTag.MatchString(f.prefix) {
		return fatalError{errNoBrace}
	}
	f.clustered.Store(true)
	return errFound
}

// byCluster asks a node for the address of the one that has the slot of all keys, and notes the others.
func (f *finder) byCluster(ctx context.Context, c rueidis.Client, host string) (string, error) {
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
		for i, part := range parts[2:] { // the primary is the first
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
	f.others = others
	return found, nil
}

// addressOf returns the address of a node in an answer. One that does not know its own host has that by which it was asked.
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
