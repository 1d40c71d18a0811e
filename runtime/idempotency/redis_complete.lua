-- KEYS[1] the entry, KEYS[2] its attempts, ARGV[1] the token, ARGV[2] the retention in milliseconds, ARGV[3] the outcome,
-- where there is one. Returns 0 where the token is not that of the last claim.
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then
  return 0
end
if ARGV[3] then
  redis.call('HSET', KEYS[1], 'state', 2, 'outcome', ARGV[3])
else
  redis.call('HSET', KEYS[1], 'state', 3)
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('DEL', KEYS[2])
return 1
