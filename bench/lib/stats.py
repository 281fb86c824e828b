"""The statistics of the benchmark: quartiles, ratios paired within a round, and what the load generators print."""

import json


def quantile(values, share):
    """Linear interpolation between the two nearest values."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def quartiles(values):
    """(lower quartile, median, upper quartile), or None where nothing was measured."""
    values = [value for value in values if value is not None]
    if not values:
        return None
    return tuple(quantile(values, share) for share in (0.25, 0.5, 0.75))


def median(values):
    found = quartiles(values)
    return None if found is None else found[1]


def median_error(values):
    """How far the true median may lie from that of these values: the notch of a box plot (McGill and others, 1978)."""
    lower, _, upper = quartiles(values)
    return 1.57 * (upper - lower) / len(values) ** 0.5


def paired(mine, theirs):
    """Ratios mine / theirs of the rounds that both have; each argument maps a round to a value."""
    return [mine[one] / theirs[one] for one in sorted(mine)
            if mine[one] is not None and theirs.get(one)]


def parse_closed(text):
    """The line that press and wrk.lua print at the end."""
    for line in text.splitlines():
        if line.startswith("RESULT "):
            found = json.loads(line[len("RESULT "):])
            found["errors"] = {kind: count for kind, count in found["errors"].items() if count}
            return found
    raise ValueError(f"the load generator printed no result: {text.strip()[-300:] or 'nothing'}")


def parse_oha(text):
    """oha's JSON in the shape of parse_closed. Requests that the end of the run cut off are no errors."""
    found = json.loads(text)
    percentiles = found["latencyPercentiles"]
    errors = {kind: count for kind, count in found["errorDistribution"].items()
              if "deadline" not in kind}
    statuses = found["statusCodeDistribution"]
    for status, count in statuses.items():
        if not status.startswith("2"):
            errors[f"status {status}"] = count
    micros = {name: percentiles[name] and percentiles[name] * 1e6 for name in ("p50", "p99", "p99.9")}
    return {"requests": sum(statuses.values()), "seconds": found["summary"]["total"],
            "bytes": found["summary"]["totalData"], "errors": errors,
            "p50_us": micros["p50"], "p99_us": micros["p99"], "p999_us": micros["p99.9"]}


def parse_perf(text):
    """Calls counted by `perf stat -x, -e raw_syscalls:sys_enter`."""
    for line in text.splitlines():
        fields = line.split(",")
        if len(fields) > 2 and fields[2].startswith("raw_syscalls:sys_enter") and fields[0].isdigit():
            return int(fields[0])
    raise ValueError(f"perf counted nothing: {text.strip()[-300:]}")


def parse_strace(text):
    """Calls in the line `total` of `strace -c`; the column is found by its head, older versions leave others empty."""
    end = None
    for line in text.splitlines():
        if " calls " in line:
            end = line.index(" calls ") + len(" calls")
        elif end and line.split()[-1:] == ["total"]:
            return int(line[:end].split()[-1])
    raise ValueError(f"strace counted nothing: {text.strip()[-300:]}")
