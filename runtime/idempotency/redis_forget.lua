-- KEYS[1] the entry, KEYS[2] its attempts.
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('DEL', KEYS[2])
end
return 1
