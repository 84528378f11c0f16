package redisengine

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/redis/rueidis"
)

// server returns how to reach the server: the one that the URL names, or the one that sentinels name as the primary by now.
func (e *Engine) server(ctx context.Context) (rueidis.ClientOption, error) {
	o := e.client
	name := o.Sentinel.MasterSet
	if name == "" {
		return o, nil
	}
	var all []error
	for _, sentinel := range e.client.InitAddress {
		addr, err := e.ask(ctx, sentinel, name)
		if err == nil {
			return at(o, addr), nil
		}
		all = append(all, fmt.Errorf("sentinel %s: %w", sentinel, err))
	}
	return o, errors.Join(all...)
}

// ask asks a sentinel for the primary. It is tried with the password of the server, and without one.
func (e *Engine) ask(ctx context.Context, sentinel, name string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*dialTimeout)
	defer cancel()
	o := at(e.client, sentinel)
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
	parts, err := c.Do(ctx, c.B().SentinelGetMasterAddrByName().Master(name).Build()).AsStrSlice()
	switch {
	case rueidis.IsRedisNil(err):
		return "", fmt.Errorf("it knows no primary %q", name)
	case err != nil:
		return "", err
	case len(parts) != 2:
		return "", errAnswer
	}
	return net.JoinHostPort(parts[0], parts[1]), nil
}

// at returns the options for one address.
func at(o rueidis.ClientOption, addr string) rueidis.ClientOption {
	o.InitAddress, o.Sentinel = []string{addr}, rueidis.SentinelOption{}
	if o.TLSConfig != nil {
		o.TLSConfig = o.TLSConfig.Clone()
		o.TLSConfig.ServerName, _, _ = net.SplitHostPort(addr) //nolint:errcheck // of what was dialed
	}
	return o
}

// promoted begins new epochs when the server is another primary than before: replication is not waited for, so that what was
// acknowledged last may be lost, and its offsets given again. info is the server's.
func (e *Engine) promoted(ctx context.Context, c rueidis.Client, info map[string]string) error {
	if e.client.Sentinel.MasterSet == "" {
		return nil
	}
	if role := info["role"]; role != "master" {
		return fmt.Errorf("the server that sentinels name is a %s", role) // a failover is under way
	}
	return promotedScript.Exec(ctx, c, nil, []string{e.o.Prefix, info["master_replid"]}).Error()
}

// promotedScript deletes the meta key of every channel, without which a channel has a new epoch, when the server has another
// replication ID.
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
