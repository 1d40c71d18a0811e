-- KEYS[1] the entry, ARGV[1] the token.
local entry = redis.call('HMGET', KEYS[1], 'state', 'token')
if entry[1] == '1' and entry[2] == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
return 1
