"""A run: every workload in turn, its targets side by side, in rounds whose order rotates."""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import load, stats
from .processes import BenchError, Process, busy_shares, check_port, core_ticks
from .targets import SCRAPED
from .workloads import JOBS

#: Before each sample the same load runs for that long, and is not counted.
WARM_UP_SECONDS = 0.3
SYSCALL_SECONDS = 0.5


class Runner:
    def __init__(self, targets, reference, pong, press_path, options):
        self.targets = targets
        #: whose peak sets the rate of open loops
        self.reference = reference
        self.pong = pong
        #: none: wrk and oha
        self.press_path = press_path
        self.options = options
        self.running = []
        self.counter = None
        self.scrapers = []
        # The workers of nginx give up root's rights and must still enter.
        self.folder = Path(tempfile.mkdtemp(prefix="gateway-bench-"))
        self.folder.chmod(0o755)
        self.done = 0
        self.planned = 1
        self.began = time.monotonic()

    def close(self):
        """Ends every process that was started."""
        for process in self.running:
            process.stop()
        self.running = []
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, workloads):
        plan = [(one, self.takers(one)) for one in workloads]
        self.planned = sum(len(takers) * (self.options.rounds if one.kind != "idle" else 1) for one, takers in plan)
        for number in range(len(self.targets) + 1):
            check_port(self.options.port + number)
        upstream = self.start([self.pong, self.options.port, len(self.options.load_cores)], self.options.load_cores,
                              self.options.port, "pong")
        if not self.options.no_syscalls:
            self.counter = load.SyscallCounter(
                upstream.child.pid, lambda: load.ask(self.options.port, JOBS["300"], "/300"))
            if not self.counter.tool:
                print("neither perf nor strace may look at processes here: no system calls are counted",
                      file=sys.stderr)
        return [self.measure(one, takers) for one, takers in plan if takers]

    def start(self, argv, cores, port, name, env=None):
        process = Process(argv, cores, self.folder / f"{name}.log", env)
        self.running.append(process)
        process.wait_for_port(port)
        return process

    def start_gateway(self, target, workload, port, cores):
        """What it takes to press it: (process, port, job, path, size of an answer). Its answer has been checked."""
        folder = self.folder / f"{target.name}-{workload.name}"
        folder.mkdir()
        argv, env = target.start_arguments(folder, port, self.options.port, workload)
        process = self.start(argv, cores, port, target.name, env)
        job = JOBS[workload.job]
        path = job.path if target.merges or not job.reference else job.reference
        size = load.check_answer(port, self.options.port, job, path, workload.tls)
        if workload.telemetry and target.measures:
            self.scrapers.append(load.Scraper(port + SCRAPED))
        return process, port, job, path, size

    def takers(self, workload):
        """The targets that can do the job, or stand in as its reference."""
        job = JOBS[workload.job]
        if workload.telemetry:
            # Each beside itself: what measuring costs.
            return [twin for one in self.targets if one.measures for twin in (one, one.bare)]
        return [one for one in self.targets
                if (one.routes or not workload.routes)
                and (one.speaks_tls or not workload.tls)
                and (one.merges or not job.reference or one is self.reference)]

    def measure(self, workload, takers):
        options = self.options
        found = {"name": workload.name, "what": workload.what, "connections": workload.connections,
                 "kind": workload.kind, "samples": [], "idle": {}, "syscalls": {}, "failures": []}
        gateways = {}
        shared = set(options.load_cores) | {options.core}
        cores, load_cores = (shared, shared) if workload.shares_cores else ({options.core}, set(options.load_cores))
        try:
            for place, target in enumerate(takers):
                try:
                    gateways[target.name] = self.start_gateway(target, workload, options.port + 1 + place, cores)
                except BenchError as error:
                    # The others are measured all the same; the run ends with a failure.
                    found["failures"].append(f"{target.name}: {error}")
                    print(f"\n{workload.name}: {target.name} is left out: {error}", file=sys.stderr)
            if workload.kind == "idle":
                self.hold(found, gateways, workload)
                return found
            rate = self.rate(gateways, workload, load_cores) if workload.kind == "open" else None
            found["rate"] = rate
            names = list(gateways)
            for number in range(options.rounds):
                for place in range(len(names)):
                    name = names[(number + place) % len(names)]
                    self.progress(f"{workload.name}: round {number + 1} of {options.rounds}, {name}")
                    try:
                        sample = self.sample(*gateways[name], workload, cores, load_cores, rate)
                    except BenchError as error:
                        found["failures"].append(f"{name}, round {number + 1}: {error}")
                        continue
                    found["samples"].append({"target": name, "round": number, **sample})
                    if sample["errors"]:
                        found["failures"].append(f"{name}, round {number + 1}: {sample['errors']}")
            if workload.kind == "closed" and self.counter and self.counter.tool:
                for name in names:
                    self.count_syscalls(found, name, gateways[name], workload, load_cores)
            return found
        finally:
            for scraper in self.scrapers:
                scraper.stop()
            self.scrapers.clear()
            # All but the upstream.
            for process in self.running[1:]:
                process.stop()
            del self.running[1:]

    def press(self, port, job, path, workload, seconds, cores, rate):
        if workload.kind == "open" and not self.press_path:
            return load.oha(port, path, workload, rate, seconds, cores)
        return load.closed(port, job, path, workload, seconds, cores, self.press_path, rate)

    def sample(self, process, port, job, path, size, workload, cores, load_cores, rate):
        if rate is None or self.press_path:
            load.closed(port, job, path, workload, WARM_UP_SECONDS, load_cores, self.press_path, rate)
        seconds = self.options.seconds * workload.stretch
        ticks, cpu_ns = core_ticks(), process.cpu_ns()
        found = self.press(port, job, path, workload, seconds, load_cores, rate)
        cpu_s = (process.cpu_ns() - cpu_ns) / 1e9
        after = core_ticks()
        gateway_busy, gateway_stolen = busy_shares(ticks, after, cores)
        load_busy, load_stolen = busy_shares(ticks, after, load_cores)
        requests = found["bytes"] / size if job.by_bytes else found["requests"]
        errors = dict(found["errors"])
        if not requests:
            errors["answers"] = "none"
        return {
            "requests": requests, "seconds": found["seconds"], "per_second": requests / found["seconds"],
            "cpu_s": cpu_s, "per_cpu_second": requests / cpu_s if cpu_s else None,
            "cores_used": cpu_s / found["seconds"],
            # In a closed loop, rate times latency is how many connections have a request in flight.
            "in_use": None if job.by_bytes or rate is not None or "mean_us" not in found
                      else found["requests"] / found["seconds"] * found["mean_us"] / 1e6,
            "p50_us": found["p50_us"], "p99_us": found["p99_us"], "p999_us": found["p999_us"],
            "resident_bytes": process.resident_bytes(),
            "gateway_core_busy": gateway_busy, "load_core_busy": load_busy,
            # What else ran on the gateway's core; unknown where the load may run there as well.
            "foreign": None if workload.shares_cores else max(0.0, gateway_busy - cpu_s / found["seconds"]),
            "stolen": max(gateway_stolen, load_stolen), "errors": errors,
        }

    def rate(self, gateways, workload, load_cores):
        """A share of what the reference does when it is pressed as hard as the generator can; the same for every target."""
        name = self.reference.name if self.reference.name in gateways else next(iter(gateways), None)
        if name is None:
            return 0
        _, port, job, path, _ = gateways[name]
        self.progress(f"{workload.name}: the peak of {name}", step=0)
        peaks = [self.press(port, job, path, workload, self.options.seconds, load_cores, None) for _ in range(3)]
        return workload.share * stats.median([one["requests"] / one["seconds"] for one in peaks])

    def hold(self, found, gateways, workload):
        for name, (process, port, _, path, _) in gateways.items():
            self.progress(f"{workload.name}: {name}")
            held = load.idle_connections(process, port, path, workload.connections)
            found["idle"][name] = held
            if held["errors"]:
                found["failures"].append(f"{name}: {held['errors']}")

    def count_syscalls(self, found, name, gateway, workload, load_cores):
        process, port, job, path, size = gateway
        self.progress(f"{workload.name}: system calls of {name}", step=0)
        calls, result = self.counter.count(
            process.pids(), lambda: load.closed(port, job, path, workload, SYSCALL_SECONDS * workload.stretch, load_cores,
                                                self.press_path))
        requests = result["bytes"] / size if job.by_bytes else result["requests"]
        found["syscalls"][name] = calls / requests if requests else None

    def progress(self, text, step=1):
        share = self.done / self.planned
        self.done += step
        spent = time.monotonic() - self.began
        left = f", {spent / share * (1 - share) / 60:.1f} min to go" if share > 0.05 else ""
        line = f"[{share:4.0%}{left}] {text}"
        if sys.stderr.isatty():
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
        elif "round 1 of" in text or "round" not in text:
            print(line, file=sys.stderr, flush=True)


def commit(root):
    """(short commit, whether the tree has changes)."""
    def git(*arguments):
        run = subprocess.run(["git", "-C", root, *arguments], capture_output=True, text=True, check=False)
        return run.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "src", "Cargo.toml", "Cargo.lock")
    return git("rev-parse", "--short", "HEAD") or "unknown", bool(changed)
