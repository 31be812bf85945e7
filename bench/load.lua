-- Sends one call over and over, each time with another id. Arguments: the file that holds the call, with {id} wherever
-- the id goes, and how the ids of this run begin.

local parts, prefix, number = {}, "", 0

function init(args)
  local file = assert(io.open(args[1], "rb"))
  local call, from = file:read("*a"), 1
  file:close()
  while true do
    local first, last = call:find("{id}", from, true)
    parts[#parts + 1] = call:sub(from, (first or 0) - 1)
    if not first then break end
    from = last + 1
  end
  prefix = args[2]
end

function request()
  number = number + 1
  return table.concat(parts, string.format("%s%09d", prefix, number))
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"answers": %d, "refused": %d, "broken": %d, "microseconds": %d, "p50": %d, "p99": %d}\n',
    summary.requests, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    summary.duration, latency:percentile(50), latency:percentile(99)))
end
