"""Processes of a run: started pinned, watched through /proc, ended for certain."""

import os
import resource
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path


class BenchError(Exception):
    """Something the user can mend; printed without a trace."""


def need(tool):
    """The path of a tool; /usr/sbin and cargo's folder count as well."""
    cargo = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo")) / "bin"
    found = shutil.which(tool, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", str(cargo)]))
    if not found:
        raise BenchError(f"{tool} is missing: run scripts/install-tools {tool}")
    return found


def executable(path):
    if not os.access(path, os.X_OK) or os.path.isdir(path):
        raise BenchError(f"{path} is no program that can be started")
    return os.path.abspath(path)


def raise_descriptor_limit(wanted=65536):
    """As many descriptors as allowed; children inherit them. Returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in ((wanted, max(wanted, hard)), (hard, hard)):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
            return limit[0]
        except (ValueError, OSError):
            continue
    return soft


def check_port(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise BenchError(f"port {port} cannot be used ({error.strerror}); choose others with --port") from error


class Process:
    """A server with its children, pinned to cores."""

    def __init__(self, argv, cores, log_path, env=None):
        self.log_path = log_path
        self.argv = [str(part) for part in argv]
        with open(log_path, "wb") as log:
            self.child = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **(env or {})},
                start_new_session=True, preexec_fn=lambda: os.sched_setaffinity(0, cores))

    def wait_for_port(self, port, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.child.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise BenchError(f"{self.argv[0]} did not start on port {port}: {self.log_tail()}")

    def log_tail(self):
        return Path(self.log_path).read_text(errors="replace").strip()[-800:] or "its log is empty"

    def pids(self):
        """The process and all below it."""
        found, queue = [], [self.child.pid]
        while queue:
            pid = queue.pop()
            found.append(pid)
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                queue += map(int, read(children).split())
        return found

    def cpu_ns(self):
        """Time on a processor of all threads, exact to the nanosecond; what was paid for interrupts is in it."""
        total = 0
        for pid in self.pids():
            for schedstat in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                total += int((read(schedstat).split() or [0])[0])
        return total

    def resident_bytes(self):
        """Resident memory; of child processes only what they do not share."""
        sizes = []
        for pid in self.pids():
            fields = {}
            for line in read(f"/proc/{pid}/smaps_rollup").splitlines()[1:]:
                name, value, *_ = line.split()
                fields[name.rstrip(":")] = int(value) * 1024
            private = fields.get("Private_Clean", 0) + fields.get("Private_Dirty", 0)
            sizes.append((fields.get("Rss", 0), private))
        sizes.sort(reverse=True)
        return sizes[0][0] + sum(private for _, private in sizes[1:])

    def stop(self):
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(3)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()


def read(path):
    """Nothing where the process or thread has just gone."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def core_ticks():
    """Per core: (busy, stolen by the hypervisor, all) in ticks since the start of the machine."""
    found = {}
    for line in read("/proc/stat").splitlines():
        if line.startswith("cpu") and line[3].isdigit():
            name, *fields = line.split()
            user, nice, system, idle, iowait, irq, softirq, steal = map(int, fields[:8])
            busy = user + nice + system + irq + softirq
            found[int(name[3:])] = (busy, steal, busy + steal + idle + iowait)
    return found


def busy_shares(before, after, cores):
    """(busy, stolen) shares of these cores between two looks."""
    busy, stolen, all_ticks = (sum(after[core][part] - before[core][part] for core in cores) for part in range(3))
    return (busy / all_ticks, stolen / all_ticks) if all_ticks else (0.0, 0.0)
