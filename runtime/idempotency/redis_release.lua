-- KEYS[1] the entry, KEYS[2] its attempts, ARGV[1] the token, ARGV[2] what the attempt counts as, ARGV[3] the retention in
-- milliseconds.
if redis.call('HGET', KEYS[2], 'token') ~= ARGV[1] then
  return 1
end
if redis.call('HGET', KEYS[1], 'token') == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
if ARGV[2] == 'dropped' then
  redis.call('DEL', KEYS[2])
  return 1
end
if ARGV[2] == 'failed' then
  local now = redis.call('TIME')
  redis.call('HINCRBY', KEYS[2], 'failed', 1)
  redis.call('HSETNX', KEYS[2], 'first', now[1] * 1000 + math.floor(now[2] / 1000))
end
redis.call('HDEL', KEYS[2], 'token')
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return 1
