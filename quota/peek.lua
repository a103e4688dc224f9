-- peek: the whole state, for people. It changes nothing.
-- Reply {now, field, value, field, value, …}
local reply = { int(now) }
for field, value in pairs(state) do
  reply[#reply + 1] = field
  reply[#reply + 1] = value
end
return reply
