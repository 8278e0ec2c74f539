import { redisScript } from './redis-client.ts'

/**
 * Every change of a partition is one script, so that it happens whole or not at all, and none of them acts
 * for an owner that has been replaced. The first write of each script is one that Redis refuses when its
 * memory is full: a refused script has changed nothing. Each recognises that it already ran (a token),
 * because a lost answer makes the client send it again.
 */

/** Without an owner nobody took over: somebody emptied Redis. */
const OWNED = `local owner = redis.call('GET', KEYS[1])
if not owner then return 'emptied' end
if owner ~= ARGV[1] then return 'fenced' end`

/** KEYS epoch, position, outbox-offset. ARGV nonce. Returns the new epoch, where the state stands, and the outbox. */
export const OPEN = redisScript(`
local held = redis.call('GET', KEYS[1])
local epoch = 1
if held then epoch = tonumber(string.match(held, '^%d+')) + 1 end
redis.call('SET', KEYS[1], string.format('%d %s', epoch, ARGV[1]))
return { epoch, redis.call('HGET', KEYS[2], 'at') or '-1 ', redis.call('GET', KEYS[3]) or '-1' }
`)

/**
 * KEYS epoch, position, index, keys to put, keys to delete. ARGV owner, expected, position, token, number
 * of puts, length of the common key prefix, values. Chunks stay below what Lua's unpack can take.
 */
export const COMMIT = redisScript(`
${OWNED}
local stored = redis.call('HMGET', KEYS[2], 'at', 'token')
if stored[2] == ARGV[4] then return 'done' end
if (stored[1] or '-1 ') ~= ARGV[2] then return stored[1] or '-1 ' end
redis.call('HSET', KEYS[2], 'at', ARGV[3], 'token', ARGV[4])
local puts = tonumber(ARGV[5])
local skip = tonumber(ARGV[6]) + 1
for first = 1, puts, 1000 do
  local last = math.min(first + 999, puts)
  local pairs, names = {}, {}
  for i = first, last do
    pairs[#pairs + 1] = KEYS[3 + i]
    pairs[#pairs + 1] = ARGV[6 + i]
    names[#names + 1] = string.sub(KEYS[3 + i], skip)
  end
  redis.call('MSET', unpack(pairs))
  redis.call('SADD', KEYS[3], unpack(names))
end
for first = 4 + puts, #KEYS, 1000 do
  local last = math.min(first + 999, #KEYS)
  local gone, names = {}, {}
  for i = first, last do
    gone[#gone + 1] = KEYS[i]
    names[#names + 1] = string.sub(KEYS[i], skip)
  end
  redis.call('DEL', unpack(gone))
  redis.call('SREM', KEYS[3], unpack(names))
end
return 'done'
`)

/** KEYS epoch, ids, seq, outbox, offset. ARGV owner, token, channel, partition, offset, then id, kind, body of each entry. */
export const APPEND_OUTBOX = redisScript(`
${OWNED}
if tonumber(redis.call('GET', KEYS[5]) or '-1') < tonumber(ARGV[5]) then redis.call('SET', KEYS[5], ARGV[5]) end
local added, grew = {}, false
for i = 6, #ARGV, 3 do
  local token = ARGV[2] .. ':' .. i
  if redis.call('HSETNX', KEYS[2], ARGV[i], token) == 1 then
    local seq = redis.call('INCR', KEYS[3])
    redis.call('XADD', KEYS[4], string.format('%d-0', seq), 'id', ARGV[i], 'kind', ARGV[i + 1], 'body', ARGV[i + 2])
    added[#added + 1] = 1
    grew = true
  elseif redis.call('HGET', KEYS[2], ARGV[i]) == token then
    added[#added + 1] = 1
  else
    added[#added + 1] = 0
  end
end
if grew then redis.call('PUBLISH', ARGV[3], ARGV[4]) end
return added
`)

/** KEYS epoch, seq, control. ARGV owner, token, attempt, afterOffset, kind, body. */
export const APPEND_CONTROL = redisScript(`
${OWNED}
if tonumber(ARGV[3]) > 1 then
  for _, entry in ipairs(redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 256)) do
    if entry[2][2] == ARGV[2] then return tonumber(string.match(entry[1], '^%d+')) end
  end
end
local seq = redis.call('INCR', KEYS[2])
redis.call('XADD', KEYS[3], string.format('%d-0', seq), 'token', ARGV[2], 'after', ARGV[4], 'kind', ARGV[5], 'body', ARGV[6])
return seq
`)

/** KEYS requests, seq. ARGV id, the request as JSON, most waiting. */
export const REQUEST = redisScript(`
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 'done' end
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then return 'full' end
local seq = redis.call('INCR', KEYS[2])
redis.call('HSET', KEYS[1], ARGV[1], string.format('%d ', seq) .. ARGV[2])
return 'done'
`)

/** KEYS epoch, requests. ARGV owner, ids. */
export const SETTLE_REQUESTS = redisScript(`
${OWNED}
for i = 2, #ARGV do redis.call('HDEL', KEYS[2], ARGV[i]) end
return 'done'
`)

/** KEYS epoch, outbox, ids, control. ARGV owner, outbox bound, control bound. Returns 1 while more is left. */
export const TRIM = redisScript(`
${OWNED}
local function bounded(key, bound)
  local entries = redis.call('XRANGE', key, '-', bound .. '-18446744073709551615', 'COUNT', 1000)
  for _, entry in ipairs(entries) do redis.call('XDEL', key, entry[1]) end
  return entries
end
local sent = bounded(KEYS[2], ARGV[2])
for _, entry in ipairs(sent) do redis.call('HDEL', KEYS[3], entry[2][2]) end
local passed = bounded(KEYS[4], ARGV[3])
if #sent == 1000 or #passed == 1000 then return 1 end
return 0
`)

/** KEYS document. ARGV expected version, token, body. Returns the new version, or -1. */
export const PUT_DOCUMENT = redisScript(`
local stored = redis.call('HMGET', KEYS[1], 'version', 'token')
local version = tonumber(stored[1] or '0')
if stored[2] == ARGV[2] then return version end
if version ~= tonumber(ARGV[1]) then return -1 end
redis.call('HSET', KEYS[1], 'version', string.format('%d', version + 1), 'token', ARGV[2], 'body', ARGV[3])
return version + 1
`)

/** KEYS seq, lines. ARGV token, attempt, body. Returns the sequence number. */
export const APPEND_LINE = redisScript(`
if tonumber(ARGV[2]) > 1 then
  for _, entry in ipairs(redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 256)) do
    if entry[2][2] == ARGV[1] then return tonumber(string.match(entry[1], '^%d+')) end
  end
end
local seq = redis.call('INCR', KEYS[1])
redis.call('XADD', KEYS[2], string.format('%d-0', seq), 'token', ARGV[1], 'body', ARGV[3])
return seq
`)

/**
 * KEYS lines. ARGV bound. The last line stays. Redis only marks what it removes from a block that it goes on using,
 * and saves it with the block: where few lines are left they are written anew.
 */
export const TRIM_LINES = redisScript(`
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if #last == 0 then return 0 end
local first = math.min(tonumber(ARGV[1]) + 1, tonumber(string.match(last[1][1], '^%d+')))
local removed = redis.call('XTRIM', KEYS[1], 'MINID', string.format('%d-0', first))
if removed == 0 or redis.call('XLEN', KEYS[1]) > 1000 then return removed end
local kept = redis.call('XRANGE', KEYS[1], '-', '+')
redis.call('DEL', KEYS[1])
for _, entry in ipairs(kept) do redis.call('XADD', KEYS[1], entry[1], unpack(entry[2])) end
return removed
`)
