package redisengine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"

	"github.com/redis/rueidis"
)

// finder finds the address of the server. Only the goroutine that connects uses it, but any goroutine may read clustered.
type finder struct {
	client       rueidis.ClientOption // the options in the URL
	prefix       string               // the prefix of all keys
	clustered    atomic.Bool          // the server is a node of a cluster
	clusterNodes []string             // addresses of nodes of that cluster
}

// server returns the options for connecting to the server: the one in the URL, or the current primary according to the sentinels or
// the nodes of a cluster.
func (f *finder) server(ctx context.Context) (rueidis.ClientOption, error) {
	o, who, find := f.client, "sentinel", f.sentinelAddress
	if f.clustered.Load() {
		who, find = "node", f.clusterAddress
	} else if o.Sentinel.MasterSet == "" {
		return o, nil
	}
	var all []error
	for _, one := range append(slices.Clone(o.InitAddress), f.clusterNodes...) {
		addr, err := f.query(ctx, one, find)
		if err == nil {
			return withAddress(o, addr), nil
		}
		all = append(all, fmt.Errorf("%s %s: %w", who, one, err))
	}
	return o, errors.Join(all...)
}

// query sends a request to a sentinel or a node of a cluster. It tries with the credentials of the server, and then without.
func (f *finder) query(ctx context.Context, one string, find func(context.Context, rueidis.Client, string) (string, error)) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*dialTimeout)
	defer cancel()
	o := withAddress(f.client, one)
	o.SelectDB, o.PipelineMultiplex = 0, -1
	c, err := rueidis.NewClient(o)
	if _, answered := rueidis.IsRedisErr(err); answered {
		o.Username, o.Password = "", ""
		c, err = rueidis.NewClient(o)
	}
	if err != nil {
		return "", err
	}
	defer c.Close()
	host, _, _ := net.SplitHostPort(one) //nolint:errcheck // the address was valid for dialing
	return find(ctx, c, host)
}

// sentinelAddress asks a sentinel for the address of the primary.
func (f *finder) sentinelAddress(ctx context.Context, c rueidis.Client, _ string) (string, error) {
	name := f.client.Sentinel.MasterSet
	parts, err := c.Do(ctx, c.B().SentinelGetMasterAddrByName().Master(name).Build()).AsStrSlice()
	switch {
	case rueidis.IsRedisNil(err):
		return "", fmt.Errorf("no primary %q is known", name)
	case err != nil:
		return "", err
	case len(parts) != 2:
		return "", errAnswer
	}
	return net.JoinHostPort(parts[0], parts[1]), nil
}

// withAddress returns the options for a single address.
func withAddress(o rueidis.ClientOption, addr string) rueidis.ClientOption {
	o.InitAddress, o.Sentinel = []string{addr}, rueidis.SentinelOption{}
	if o.TLSConfig != nil {
		o.TLSConfig = o.TLSConfig.Clone()
		o.TLSConfig.ServerName, _, _ = net.SplitHostPort(addr) //nolint:errcheck // the address was valid for dialing
	}
	return o
}

// promoted begins new epochs when the primary has changed: replication is asynchronous, so the last acknowledged writes may be
// lost, and their offsets would be assigned again. info is the INFO of the server.
func (f *finder) promoted(ctx context.Context, c rueidis.Client, info map[string]string) error {
	if f.client.Sentinel.MasterSet == "" && !f.clustered.Load() {
		return nil
	}
	if role := info["role"]; role != "master" {
		return fmt.Errorf("the server that was named as the primary is a %s", role) // a failover is in progress
	}
	return promotedScript.exec(ctx, c, f.clustered.Load(), f.prefix, info["master_replid"]).Error()
}

// promotedScript deletes the meta key of every channel if the server has another replication ID. A channel without that key begins
// a new epoch.
var promotedScript = script(`
local old = redis.call('GET', global('replid'))
if old == ARGV[2] then return 0 end
redis.call('SET', global('replid'), ARGV[2])
if not old then return 0 end
local pattern = string.gsub(ARGV[1], '[%*%?%[%]\\]', '\\%0') .. ':{*}:meta'
local cursor = '0'
repeat
  local page = redis.call('SCAN', cursor, 'MATCH', pattern, 'COUNT', 1000)
  cursor = page[1]
  for _, k in ipairs(page[2]) do redis.call('DEL', k) end
until cursor == '0'
return 1`)
