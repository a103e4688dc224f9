-- only: what follows runs only if some keys are as expected. So an admission can be sent
-- in one round trip with the command that it depends on, such as the taking of a lease.
--
-- The last of ARGV is the number of conditions. The last KEYS are their keys, and the ARGV
-- before the number what each must hold: '' if the key must not exist. Both are taken
-- away, so what follows finds KEYS and ARGV as always.
-- Reply {'unmet'} if one is not met; nothing is counted then.
for _ = 1, tonumber(table.remove(ARGV)) do
  local want, key = table.remove(ARGV), table.remove(KEYS)
  if want == '' then
    if redis.call('EXISTS', key) == 1 then return { 'unmet' } end
  else
    local have = redis.pcall('GET', key)
    if type(have) ~= 'string' or have ~= want then return { 'unmet' } end
  end
end
