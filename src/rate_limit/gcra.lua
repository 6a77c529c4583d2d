-- One decision, in the server's time. KEYS[1]: the theoretical time of the next call, as "us:part", where a part is
-- 1/parts of a microsecond: all whole numbers below 2^53, so nothing is rounded.
-- ARGV: parts, cell us, cell part, tolerance us, tolerance part, longest wait of this call in us, and of any in us.
-- Answers {1, wait in us} or {0, retry after in us}.
local parts = tonumber(ARGV[1])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local us, part = now, 0
local function keep()
  redis.call('SET', KEYS[1], string.format('%.0f:%.0f', us, part), 'PX', string.format('%.0f', math.ceil((us - now) / 1000) + 1))
end
local kept = redis.call('GET', KEYS[1])
local too_late = false
if kept then
  local kept_us, kept_part = string.match(kept, '^(%d+):(%d+)$')
  kept_us = tonumber(kept_us)
  if kept_us and kept_us >= now then
    -- Another limit has other parts.
    us, part = kept_us, math.min(tonumber(kept_part), parts - 1)
    -- Later than any call could have made it (rounded up): the clock has been set back, or the limit was another.
    local latest = now + tonumber(ARGV[4]) + tonumber(ARGV[2]) + tonumber(ARGV[7]) + 1
    if us > latest then
      us, part, too_late = latest, 0, true
    end
  end
end
local wait, wait_part = us - now - tonumber(ARGV[4]), part - tonumber(ARGV[5])
if wait_part > 0 then
  wait = wait + 1
end
wait = math.max(wait, 0)
if wait > tonumber(ARGV[6]) then
  if too_late then
    -- Or it would be as late for the next.
    keep()
  end
  return {0, wait}
end
us, part = us + tonumber(ARGV[2]), part + tonumber(ARGV[3])
if part >= parts then
  us, part = us + 1, part - parts
end
keep()
return {1, wait}
