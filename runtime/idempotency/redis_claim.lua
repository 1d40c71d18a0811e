-- KEYS[1] the entry, KEYS[2] its attempts, ARGV[1] the token, ARGV[2] the lease and ARGV[3] the retention in milliseconds.
-- Returns the state, how many milliseconds another's claim still lasts (0: it is ours), and of a completed entry the outcome;
-- of a claim that is ours nothing, how many attempts failed and how many crashed before, and when the first failed, in
-- milliseconds since 1970.
local entry = redis.call('HMGET', KEYS[1], 'state', 'token', 'outcome')
local state = tonumber(entry[1])
if state == 1 and entry[2] ~= ARGV[1] then
  return {1, math.max(1, redis.call('PTTL', KEYS[1]))}
end
if state and state ~= 1 then
  return {state, 0, entry[3]}
end
local last = redis.call('HGET', KEYS[2], 'token')
if last and last ~= ARGV[1] then
  redis.call('HINCRBY', KEYS[2], 'crashed', 1)
end
redis.call('HSET', KEYS[1], 'state', 1, 'token', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('HSET', KEYS[2], 'token', ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[2] + ARGV[3])
local past = redis.call('HMGET', KEYS[2], 'failed', 'crashed', 'first')
return {1, 0, false, tonumber(past[1]) or 0, tonumber(past[2]) or 0, tonumber(past[3]) or 0}
