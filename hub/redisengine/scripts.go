package redisengine

import (
	"context"
	"strings"

	"github.com/redis/rueidis"
)

// The scripts. Redis executes each script atomically, and provides the clock. Offsets are contiguous: HINCRBY assigns them, and
// they are the IDs of the stream that contains the history. ARGV[1] is the prefix of all keys, ARGV[2] the channel or the lease.
//
// The keys of a channel, {C}:
//
//	meta    hash: epoch, last offset, size and age of the history, as set by the last publication
//	log     stream: the history; the ID is OFFSET-0
//	id:ID   the position of a publication with an ID, as long as the ID is remembered
//	keys    hash: key, message of its latest publication
//	index   sorted set: the keys in their order
//	due     sorted set: key, the time when it expires
//	removal hash: key, the record that is published when it expires
//	who:L   hash: client, version and entry, of the lease L
//	leases  set: the leases with entries
//	subs    hash: lease, number of subscribers
//	read    hash: device, position
//
// The global keys are: leases and ended (sorted sets by time), held:L (the channels of a lease), cleanup (list of ended leases),
// events (stream of the events for all nodes), expiring (sorted set: channel, the time when its next key expires),
// occupied (sorted set), claim:KEY, swept and grace.
const library = `
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
local function int(n) return string.format('%.0f', n) end
local function global(name) return ARGV[1] .. ':' .. name end
local function key(c, name) return ARGV[1] .. ':{' .. c .. '}:' .. name end

local function where(c, fresh, keep)
  local meta = key(c, 'meta')
  local m = redis.call('HMGET', meta, 'epoch', 'last', 'size', 'age')
  if not m[1] then
    redis.call('HSET', meta, 'epoch', fresh)
    redis.call('PEXPIRE', meta, keep)
    redis.call('DEL', key(c, 'log'))
    m[1] = fresh
  end
  return m[1], tonumber(m[2] or 0), tonumber(m[3] or 0), tonumber(m[4] or 0)
end

local function trimOld(log, age, t)
  if age <= 0 then return end
  local n = 1
  while true do
    local some = redis.call('XRANGE', log, '-', '+', 'COUNT', n)
    local old
    for _, e in ipairs(some) do
      if tonumber(e[2][2]) > t - age then break end
      old = e[1]
    end
    if not old then return end
    redis.call('XTRIM', log, 'MINID', int(tonumber(string.match(old, '%d+')) + 1) .. '-0')
    n = 100
  end
end

local function append(c, keep, record, size, age, t)
  local meta, log = key(c, 'meta'), key(c, 'log')
  local offset = redis.call('HINCRBY', meta, 'last', 1)
  redis.call('HSET', meta, 'size', size, 'age', int(age))
  redis.call('XADD', log, 'MAXLEN', size, int(offset) .. '-0', 't', int(t), 'r', record)
  trimOld(log, age, t)
  if age > 0 then
    redis.call('PEXPIRE', log, int(age))
    redis.call('PEXPIRE', meta, int(age + keep))
  else
    redis.call('PERSIST', log)
    redis.call('PERSIST', meta)
  end
  return offset
end

local function message(offset, t, epoch, record)
  return 'p' .. int(offset) .. ' ' .. int(t) .. ' ' .. epoch .. '\n' .. record
end

local function event(body)
  local id = redis.call('XADD', global('events'), 'MAXLEN', '~', 10000, '*', 'b', body)
  redis.call('PEXPIRE', global('events'), 3600000)
  redis.call('PUBLISH', global('control'), id .. ' ' .. body)
end

local function endLease(lease, t)
  redis.call('ZREM', global('leases'), lease)
  redis.call('ZADD', global('ended'), int(t), lease)
  redis.call('RPUSH', global('cleanup'), lease)
  event('l' .. lease)
end

-- A server that was stopped for a while gives the nodes some time to renew their leases.
local function grace(t)
  local swept = redis.call('GET', global('swept'))
  if not swept or t - swept > 1500 then
    redis.call('SET', global('grace'), 1, 'PX', 2000)
    redis.call('SET', global('swept'), int(t))
  end
  return redis.call('EXISTS', global('grace')) == 1
end

local function alive(lease, t)
  local s = redis.call('ZSCORE', global('leases'), lease)
  return s and (tonumber(s) > t or grace(t))
end
`

// lua is a script in two variants: single uses PUBLISH, and sharded uses SPUBLISH.
type lua struct{ single, sharded *rueidis.Lua }

func script(body string) *lua {
	text := library + body
	return &lua{rueidis.NewLuaScript(text), rueidis.NewLuaScript(strings.ReplaceAll(text, "'PUBLISH'", "'SPUBLISH'"))}
}

// exec runs the script. In a cluster, the script publishes to sharded channels, so that other nodes do not receive the messages.
func (l *lua) exec(ctx context.Context, c rueidis.Client, clustered bool, args ...string) rueidis.RedisResult {
	if clustered {
		return l.sharded.Exec(ctx, c, nil, args)
	}
	return l.single.Exec(ctx, c, nil, args)
}

// publishing returns the command that publishes text, to a sharded channel on a node of a cluster.
func publishing(c rueidis.Client, clustered bool, topic, text string) rueidis.Completed {
	if clustered {
		return c.B().Spublish().Channel(topic).Message(text).Build()
	}
	return c.B().Publish().Channel(topic).Message(text).Build()
}

// publishScript publishes a record. It returns 0, or 1 for an ID that was published before, or 2 for a conflict, and the position
// as "OFFSET EPOCH".
var publishScript = script(`
local c, topic, record, fresh, keep = ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
local size, age, id, idTTL, expect = tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9], ARGV[10], ARGV[11]
local k, removed, ttl, removal = ARGV[12], ARGV[13], tonumber(ARGV[14]), ARGV[15]
local epoch, last = where(c, fresh, keep)
if id ~= '' then
  local first = redis.call('GET', key(c, 'id:' .. id))
  if first then return {1, first} end
end
if expect ~= '' and expect ~= int(last) then return {2, int(last) .. ' ' .. epoch} end
local t, offset = now(), 0
if size > 0 then offset = append(c, keep, record, size, age, t) end
local at, m = int(offset) .. ' ' .. epoch, message(offset, t, epoch, record)
if id ~= '' then redis.call('SET', key(c, 'id:' .. id), at, 'PX', idTTL) end
if k ~= '' then
  if removed == '1' then
    redis.call('HDEL', key(c, 'keys'), k)
    redis.call('ZREM', key(c, 'index'), k)
  else
    redis.call('HSET', key(c, 'keys'), k, m)
    redis.call('ZADD', key(c, 'index'), 0, k)
  end
  if removed ~= '1' and ttl > 0 then
    redis.call('ZADD', key(c, 'due'), int(t + ttl), k)
    redis.call('HSET', key(c, 'removal'), k, (size > 0 and '1' or '0') .. removal)
    redis.call('ZADD', global('expiring'), 'LT', int(t + ttl), c)
  else
    redis.call('ZREM', key(c, 'due'), k)
    redis.call('HDEL', key(c, 'removal'), k)
  end
end
redis.call('PUBLISH', topic, m)
return {0, at}`)

// publishAllScript publishes several records after an offset, or none of them. It returns the same as publishScript, with the
// position of the last record.
var publishAllScript = script(`
local c, topic, fresh, keep = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local size, age, expect = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]
local epoch, last = where(c, fresh, keep)
if expect ~= int(last) then return {2, int(last) .. ' ' .. epoch} end
local t = now()
for i = 9, #ARGV do
  last = append(c, keep, ARGV[i], size, age, t)
  redis.call('PUBLISH', topic, message(last, t, epoch, ARGV[i]))
end
return {0, int(last) .. ' ' .. epoch}`)

// historyScript reads a page: the position, whether the page may begin after since, and offsets, times and records. It ends with
// the record that reaches the size limit. It reads the log in small parts, because Redis keeps the data that a script has read in
// memory until the script ends.
var historyScript = script(`
local c, fresh, keep, since, epochOf, limit, reverse, bytes = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7]), ARGV[8], tonumber(ARGV[9])
local epoch, last, _, age = where(c, fresh, keep)
local log = key(c, 'log')
trimOld(log, age, now())
local first = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
local floor = last
if first then floor = tonumber(string.match(first[1], '%d+')) - 1 end
local from, to, what = '-', '+', ''
if since ~= '' then
  local s = tonumber(since)
  if epochOf ~= epoch and not (epochOf == '' and s == 0) or s > last then
    what = 'epoch'
  elseif reverse == '1' then
    if s <= 1 then limit = 0 end
    to = int(math.max(s - 1, 0)) .. '-0'
  elseif s < floor then
    what = 'old'
  else
    from = int(s + 1) .. '-0'
  end
end
local reply = {epoch, int(last), what}
while limit > 0 and bytes > 0 do
  local few, es = math.min(limit, 20)
  if reverse == '1' then
    es = redis.call('XREVRANGE', log, to, from, 'COUNT', few)
  else
    es = redis.call('XRANGE', log, from, to, 'COUNT', few)
  end
  for _, e in ipairs(es) do
    if bytes > 0 then
      reply[#reply + 1] = string.match(e[1], '%d+')
      reply[#reply + 1] = e[2][2]
      reply[#reply + 1] = e[2][4]
      bytes = bytes - #e[2][4]
    end
  end
  limit = limit - #es
  if #es < few then break end
  if reverse == '1' then to = '(' .. es[few][1] else from = '(' .. es[few][1] end
end
return reply`)

// snapshotScript reads a page of keys after a cursor. The page ends before the first key that does not fit.
var snapshotScript = script(`
local c, fresh, keep, cursor, limit, bytes = ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
local epoch, last = where(c, fresh, keep)
local from = '-'
if cursor ~= '' then from = '(' .. cursor end
local t = now()
local names = redis.call('ZRANGEBYLEX', key(c, 'index'), from, '+', 'LIMIT', 0, limit)
local reply, read, full = {epoch, int(last), ''}, '', #names == limit
for _, k in ipairs(names) do
  local due = redis.call('ZSCORE', key(c, 'due'), k)
  local m = redis.call('HGET', key(c, 'keys'), k)
  if m and not (due and tonumber(due) <= t) then
    full = full or #m > bytes
    if #m > bytes and #reply > 3 then break end
    reply[#reply + 1] = m
    bytes = bytes - #m
  end
  read = k
end
if full and read ~= '' then
  if #redis.call('ZRANGEBYLEX', key(c, 'index'), '(' .. read, '+', 'LIMIT', 0, 1) > 0 then reply[3] = read end
end
return reply`)

var leaseScript = script(`
local lease, ttl, renew = ARGV[2], tonumber(ARGV[3]), ARGV[4]
local t = now()
if redis.call('ZSCORE', global('ended'), lease) then return 0 end
local there = redis.call('ZSCORE', global('leases'), lease)
if not there and renew == '1' or there and not alive(lease, t) then
  endLease(lease, t)
  return 0
end
redis.call('ZADD', global('leases'), int(t + ttl), lease)
return 1`)

var releaseScript = script(`
if redis.call('ZSCORE', global('leases'), ARGV[2]) then endLease(ARGV[2], now()) end
return 1`)

var putScript = script(`
local c, topic, lease = ARGV[2], ARGV[3], ARGV[4]
if not alive(lease, now()) then return 0 end
local who, out = key(c, 'who:' .. lease), {}
for i = 5, #ARGV, 4 do
  local client, version, gone, record = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local old = redis.call('HGET', who, client)
  if not old or string.sub(old, 1, 20) < version then
    if gone == '1' then
      redis.call('HDEL', who, client)
    else
      redis.call('HSET', who, client, version .. record)
    end
    out[#out + 1] = string.sub(record, 2)
  end
end
if #out == 0 then return 1 end
if redis.call('EXISTS', who) == 1 then
  redis.call('SADD', key(c, 'leases'), lease)
  redis.call('SADD', global('held:' .. lease), c)
else
  redis.call('SREM', key(c, 'leases'), lease)
end
redis.call('PUBLISH', topic, 'e' .. table.concat(out))
return 1`)

// livingScript returns the leases that have entries in a channel.
var livingScript = script(`
local t, reply = now(), {}
for _, l in ipairs(redis.call('SMEMBERS', key(ARGV[2], 'leases'))) do
  if alive(l, t) then reply[#reply + 1] = l end
end
table.sort(reply)
return reply`)

var occupyScript = script(`
local lease = ARGV[2]
if not alive(lease, now()) then return 0 end
for i = 3, #ARGV, 2 do
  local c, n = ARGV[i], ARGV[i + 1]
  local subs = key(c, 'subs')
  if n == '0' then
    redis.call('HDEL', subs, lease)
    if redis.call('EXISTS', subs) == 0 then redis.call('ZREM', global('occupied'), c) end
  else
    redis.call('HSET', subs, lease, n)
    redis.call('ZADD', global('occupied'), 0, c)
    redis.call('SADD', global('held:' .. lease), c)
  end
end
return 1`)

// occupiedScript returns a page: the name after which the next page begins, or "" for the last page, and then channels with their
// numbers of subscribers.
var occupiedScript = script(`
local prefix, after, limit = ARGV[2], ARGV[3], tonumber(ARGV[4])
local from = '[' .. prefix
if after ~= '' and after >= prefix then from = '(' .. after end
local names = redis.call('ZRANGEBYLEX', global('occupied'), from, '+', 'LIMIT', 0, limit)
local t, living, reply = now(), {}, {''}
for _, c in ipairs(names) do
  if string.sub(c, 1, #prefix) ~= prefix then return reply end
  local n, subs = 0, redis.call('HGETALL', key(c, 'subs'))
  for i = 1, #subs, 2 do
    if living[subs[i]] == nil then living[subs[i]] = alive(subs[i], t) or false end
    if living[subs[i]] then n = n + subs[i + 1] end
  end
  if n > 0 then
    reply[#reply + 1] = c
    reply[#reply + 1] = int(n)
  end
end
if #names == limit then reply[1] = names[#names] end
return reply`)

var broadcastScript = script(`
event(ARGV[2])
return 1`)

// saveScript saves a position unless a later one is saved already. Offsets have leading zeros, so that Lua can compare them as
// strings.
var saveScript = script(`
local c, device, epoch, offset, keep = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local old = redis.call('HGET', key(c, 'read'), device)
if old and string.sub(old, 22) == epoch and string.sub(old, 1, 20) >= offset then return 0 end
redis.call('HSET', key(c, 'read'), device, offset .. ' ' .. epoch)
redis.call('PEXPIRE', key(c, 'read'), keep)
return 1`)

// sweepScript ends leases, removes the data stored under them, and expires keys, a limited number of each. It returns whether there
// is more to do.
var sweepScript = script(`
local fresh, keep = ARGV[2], tonumber(ARGV[3])
local t, more = now(), 0
if not grace(t) then
  for _, l in ipairs(redis.call('ZRANGEBYSCORE', global('leases'), '-inf', int(t), 'LIMIT', 0, 100)) do endLease(l, t) end
end
redis.call('SET', global('swept'), int(t))
redis.call('ZREMRANGEBYSCORE', global('ended'), '-inf', int(t - 3600000))
local lease = redis.call('LINDEX', global('cleanup'), 0)
if lease then
  more = 1
  local cs = redis.call('SPOP', global('held:' .. lease), 200)
  if #cs == 0 then redis.call('LPOP', global('cleanup')) end
  for _, c in ipairs(cs) do
    redis.call('DEL', key(c, 'who:' .. lease))
    redis.call('SREM', key(c, 'leases'), lease)
    redis.call('HDEL', key(c, 'subs'), lease)
    if redis.call('EXISTS', key(c, 'subs')) == 0 then redis.call('ZREM', global('occupied'), c) end
  end
end
for _, c in ipairs(redis.call('ZRANGEBYSCORE', global('expiring'), '-inf', int(t), 'LIMIT', 0, 20)) do
  more = 1
  local epoch, _, size, age = where(c, fresh, keep)
  for _, k in ipairs(redis.call('ZRANGEBYSCORE', key(c, 'due'), '-inf', int(t), 'LIMIT', 0, 100)) do
    local r = redis.call('HGET', key(c, 'removal'), k)
    redis.call('ZREM', key(c, 'due'), k)
    redis.call('HDEL', key(c, 'removal'), k)
    redis.call('HDEL', key(c, 'keys'), k)
    redis.call('ZREM', key(c, 'index'), k)
    if r then
      local offset, record = 0, string.sub(r, 2)
      if string.sub(r, 1, 1) == '1' and size > 0 then offset = append(c, keep, record, size, age, t) end
      redis.call('PUBLISH', ARGV[1] .. ':{' .. c .. '}', message(offset, t, epoch, record))
    end
  end
  local first = redis.call('ZRANGE', key(c, 'due'), 0, 0, 'WITHSCORES')
  if first[2] then
    redis.call('ZADD', global('expiring'), first[2], c)
  else
    redis.call('ZREM', global('expiring'), c)
  end
end
return more`)
