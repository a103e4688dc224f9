-- journal: the last events, newest first.
-- KEYS[1] the journal   ARGV 1 how many events
-- Reply, for each event: the milliseconds of its id, the number of its fields, field, value, …
-- A key that is no stream holds no journal.
local reply = {}
local events = redis.pcall('XREVRANGE', KEYS[1], '+', '-', 'COUNT', ARGV[1])
if events.err then
  if not string.find(events.err, 'WRONGTYPE', 1, true) then error(events.err) end
  events = {}
end
for _, event in ipairs(events) do
  reply[#reply + 1] = string.match(event[1], '^(%d+)')
  reply[#reply + 1] = string.format('%.0f', #event[2] / 2)
  for _, v in ipairs(event[2]) do reply[#reply + 1] = v end
end
local time = redis.call('TIME')
reply[#reply + 1] = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
return reply
