-- What wrk sends beside plain GETs, and its result as one line of JSON.
-- Arguments: `post BYTES`: a body of that size; `routes COUNT`: /r0/items/7 … in an order that repeats after 4096.

function init(args)
  local job, number = args[1], tonumber(args[2])
  if job == "post" then
    wrk.method = "POST"
    wrk.body = ("x"):rep(number)
    wrk.headers["Content-Type"] = "application/octet-stream"
  elseif job == "routes" then
    local texts, place = {}, 0
    math.randomseed(number)
    for index = 1, 4096 do
      texts[index] = wrk.format(nil, "/r" .. math.random(0, number - 1) .. "/items/7")
    end
    request = function()
      place = place % 4096 + 1
      return texts[place]
    end
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  print(string.format(
    'RESULT {"requests": %d, "seconds": %.6f, "bytes": %d, "mean_us": %d, ' ..
      '"p50_us": %d, "p99_us": %d, "p999_us": %d, ' ..
      '"errors": {"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}}',
    summary.requests, summary.duration / 1e6, summary.bytes,
    latency.mean, latency:percentile(50), latency:percentile(99), latency:percentile(99.9),
    errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
