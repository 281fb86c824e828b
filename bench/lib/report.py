"""What a run has found, as a table and as a plot. Medians over rounds; ratios are paired within a round."""

import platform

from . import stats
from .processes import read
from .workloads import WORKLOADS

#: From there on a core counts as full.
FULL = 0.95
#: A closed loop keeps all its connections busy; below this share of them some were not served.
IN_USE = 0.7
#: More than this share of the gateway's core gone to others is said in the report.
FOREIGN = 0.1


def machine():
    fields = {}
    for line in read("/proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    memory = next((line.split()[1] for line in read("/proc/meminfo").splitlines() if line.startswith("MemTotal")), 0)
    system = next((line.partition("=")[2].strip('"') for line in read("/etc/os-release").splitlines()
                   if line.startswith("PRETTY_NAME")), "unknown")
    return {"cpu": fields.get("model name", platform.machine()),
            "cores": sum(line.startswith("processor") for line in read("/proc/cpuinfo").splitlines()),
            "virtual": "hypervisor" in fields.get("flags", ""), "memory_gib": round(int(memory) / 2**20),
            "kernel": platform.release(), "system": system,
            "tcp_congestion_control": read("/proc/sys/net/ipv4/tcp_congestion_control").strip()}


def siblings(core):
    """The processors that share a physical core with this one, itself among them."""
    found = set()
    for part in read(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list").strip().split(","):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1)) if first else set()
    return found


def columns(workload, field):
    """{target: {round: value}}"""
    found = {}
    for sample in workload["samples"]:
        found.setdefault(sample["target"], {})[sample["round"]] = sample[field]
    return found


def medians(workload, field):
    return {target: stats.median(rounds.values()) for target, rounds in columns(workload, field).items()}


def number(value, digits=3):
    """With so many significant digits, thousands with a k."""
    if value is None:
        return "-"
    if value >= 10000:
        return f"{value / 1000:.1f}k"
    if value >= 1000:
        return f"{value:,.0f}".replace(",", "")
    return f"{value:.{digits}g}" if value < 100 else f"{value:.0f}"


def micros(value):
    if value is None:
        return "-"
    return f"{value / 1000:.3g} ms" if value >= 1000 else f"{value:.0f} µs"


def mebibytes(value):
    return "-" if value is None else f"{value / 2**20:.1f}"


def ratio(mine, theirs):
    ratios = stats.paired(mine, theirs)
    found = stats.quartiles(ratios)
    if found is None:
        return "-"
    return f"{found[1]:.2f} ± {stats.median_error(ratios):.2f} [{found[0]:.2f}-{found[2]:.2f}]"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join(["---"] + ["---:"] * (len(head) - 1)) + " |"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def workload_lines(workload, base):
    lines = [f"## {workload['name']}", ""]
    if workload["kind"] == "idle":
        lines += [f"{workload['what']}.", ""]
        rows = [[name, number(one["bytes_per_connection"]), mebibytes(one["before_bytes"]),
                 mebibytes(one["after_bytes"]), str(one["connections"])] for name, one in workload["idle"].items()]
        return lines + table(["", "bytes per connection", "MiB before", "MiB with them", "connections held"], rows)
    load_text = f"{workload['connections']} connections"
    if workload.get("rate"):
        load_text += f", {workload['rate']:.0f} requests a second for each"
    lines += [f"{workload['what']}; {load_text}.", ""]
    per_cpu, per_second = columns(workload, "per_cpu_second"), columns(workload, "per_second")
    fields = {name: medians(workload, name) for name in (
        "per_cpu_second", "per_second", "p50_us", "p99_us", "p999_us", "resident_bytes", "cores_used",
        "gateway_core_busy", "load_core_busy")}
    rows = []
    for name in per_cpu:
        versus = ["", ""] if name == base or base not in per_cpu else [
            ratio(per_cpu[base], per_cpu[name]), ratio(per_second[base], per_second[name])]
        rows.append([name, number(fields["per_cpu_second"][name]), versus[0], number(fields["per_second"][name]),
                     versus[1], micros(fields["p50_us"][name]), micros(fields["p99_us"][name]),
                     micros(fields["p999_us"][name]), mebibytes(fields["resident_bytes"][name]),
                     number(workload["syscalls"].get(name)), f"{fields['cores_used'][name]:.2f}",
                     f"{fields['gateway_core_busy'][name]:.0%} / {fields['load_core_busy'][name]:.0%}"])
    lines += table(["", "req/CPU-s", f"{base} ÷ it", "req/s", f"{base} ÷ it", "p50", "p99", "p99.9", "MiB",
                    "syscalls/req", "CPU used", "busy: gateway / load core"], rows)
    if workload["kind"] == "open" and base in per_cpu:
        late_by = columns(workload, "p99_us")
        compared = [f"{name} {ratio(late_by[base], late_by[name])}" for name in per_cpu if name != base]
        lines += ["", f"p99, {base} ÷ it: {', '.join(compared)}."]
    limited = [name for name in per_cpu
               if fields["load_core_busy"][name] >= FULL and fields["gateway_core_busy"][name] < FULL]
    shares_cores = WORKLOADS[workload["name"]].shares_cores
    if limited and workload["kind"] == "closed" and not shares_cores:
        lines += ["", f"The load's core was the limit, not the gateway: {', '.join(limited)}. "
                      "Compare req/CPU-s there, not req/s."]
    unserved = [f"{name} ({number(held)})" for name, held in medians(workload, "in_use").items()
                if held is not None and held < IN_USE * workload["connections"]]
    if unserved:
        lines += ["", f"Not all of the {workload['connections']} connections had a request in flight; on average it "
                      f"was so with {', '.join(unserved)}: the others were not accepted in time, or waited unserved. "
                      "Do not compare latencies there."]
    late = [f"{name} ({number(reached)})" for name, reached in fields["per_second"].items()
            if workload.get("rate") and reached < 0.97 * workload["rate"]]
    if late:
        lines += ["", f"The rate was not reached: {', '.join(late)}."]
    if shares_cores:
        lines += ["", "Gateway, load and upstream share the cores here: req/s says how they share, not how the "
                      "gateway scales. More cores (`--load-cores`) show that."]
    return lines + [f"- **FAILED** {text}" for text in workload["failures"]]


def markdown(found):
    """The whole report."""
    machine_text = found["machine"]
    setting = found["settings"]
    virtual = ", virtual" if machine_text["virtual"] else ""
    changed = " with uncommitted changes" if found["changed"] else ""
    origin = f"commit {found['commit']}{changed}" if found["built"] else "gateways given as files"
    stolen = max((one["stolen"] for workload in found["workloads"] for one in workload["samples"]), default=0)
    failures = [f"{one['name']}: {text}" for one in found["workloads"] for text in one["failures"]]
    foreign = stats.quartiles([one["foreign"] for workload in found["workloads"] for one in workload["samples"]])
    warnings = []
    if foreign and foreign[2] > FOREIGN:
        warnings += [f"**This machine was busy with other work**: it took {foreign[2]:.0%} of the gateway's core in a "
                     "quarter of the samples. Trust ratios only, latencies not at all.", ""]
    if siblings(setting["core"]) & set(setting["load_cores"]):
        warnings += ["**Gateway and load run on two threads of one physical core**, and slow each other down; "
                     "choose others with `--core` and `--load-cores`.", ""]
    lines = [
        f"# Benchmark of {found['when']}, {origin}", "",
        f"{machine_text['cpu']}, {machine_text['cores']} cores{virtual}, {machine_text['memory_gib']} GiB; "
        f"Linux {machine_text['kernel']}, {machine_text['system']}; TCP {machine_text['tcp_congestion_control']}.", "",
        f"{setting['rounds']} rounds of {setting['seconds']:g} s; gateway on core {setting['core']}, load and upstream "
        f"on {', '.join(map(str, setting['load_cores']))}. Up to {stolen:.1%} of a sample's time was taken by the "
        "hypervisor.", "", *warnings,
        "; ".join(f"{name}: {version}" for name, version in found["targets"].items()) + ".", "",
        f"Medians over the rounds. “{found['base']} ÷ it”: the ratio within each round, median ± its error [quartiles]. "
        "req/CPU-s: answers for a second of the gateway's processor time.", ""]
    if failures:
        lines += [f"**{len(failures)} FAILED:** {'; '.join(failures)}", ""]
    lines += overview(found) + [""]
    for workload in found["workloads"]:
        lines += workload_lines(workload, found["base"]) + [""]
    return "\n".join(lines)


def overview(found):
    """One line a workload: how many times the requests per CPU-second of each other target."""
    base = found["base"]
    names = [name for name in found["targets"] if name != base]
    rows = []
    for workload in found["workloads"]:
        per_cpu = columns(workload, "per_cpu_second")
        if workload["kind"] == "closed" and base in per_cpu:
            mark = " **FAILED**" if workload["failures"] else ""
            rows.append([workload["name"] + mark, number(stats.median(per_cpu[base].values()))]
                        + [ratio(per_cpu[base], per_cpu[name]) if name in per_cpu else "" for name in names])
    if not rows:
        return []
    return ["Requests per CPU-second, as a multiple of each other gateway's:", "",
            *table(["", base, *(f"÷ {name}" for name in names)], rows)]


COLOURS = ["#1f6feb", "#2da44e", "#bf8700", "#cf222e", "#8250df", "#1b7c83", "#bc4c00", "#57606a", "#a475f9"]


def svg(found):
    """Bars of requests per CPU-second; within a workload the best fills the width."""
    names = list(found["targets"])
    bars, y = [], 46
    for workload in found["workloads"]:
        values = medians(workload, "per_cpu_second")
        if workload["kind"] != "closed" or not values:
            continue
        best = max(filter(None, values.values()), default=1)
        bars.append(f'<text x="10" y="{y + 11}" font-weight="bold">{workload["name"]}</text>')
        for name in names:
            if values.get(name) is None:
                continue
            width = 560 * values[name] / best
            bars.append(f'<rect x="130" y="{y}" width="{width:.1f}" height="13" '
                        f'fill="{COLOURS[names.index(name) % len(COLOURS)]}"/>')
            bars.append(f'<text x="{135 + width:.1f}" y="{y + 11}">{name} {number(values[name])}</text>')
            y += 16
        y += 10
    title = f"Requests per CPU-second, {found['when']}"
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="860" height="{y}" '
            f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
            f'<text x="10" y="24" font-size="15">{title}</text>{"".join(bars)}</svg>\n')
