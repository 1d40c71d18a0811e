-- KEYS[1] the entry. Its time to live stays as it is.
if redis.call('HGET', KEYS[1], 'state') == '2' then
  redis.call('HSET', KEYS[1], 'state', 3)
  redis.call('HDEL', KEYS[1], 'outcome')
end
return 1
