-- KEYS[1] the entry, ARGV[1] the token, ARGV[2] the lease in milliseconds.
-- Returns the state, how many milliseconds another's claim still lasts (0: it is ours), and the outcome of a completed entry.
local entry = redis.call('HMGET', KEYS[1], 'state', 'token', 'outcome')
local state = tonumber(entry[1])
if not state or (state == 1 and entry[2] == ARGV[1]) then
  redis.call('HSET', KEYS[1], 'state', 1, 'token', ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return {1, 0}
end
if state == 1 then
  return {1, math.max(1, redis.call('PTTL', KEYS[1]))}
end
return {state, 0, entry[3]}
