"""The load: press (ours), or wrk for closed loops and oha for fixed rates; sockets of our own for idle connections."""

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

from . import stats
from .processes import BenchError, need
from .workloads import expected_document

LUA = Path(__file__).with_name("wrk.lua")


def _start(argv, cores):
    return subprocess.Popen([str(part) for part in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, start_new_session=True,
                            preexec_fn=lambda: os.sched_setaffinity(0, cores))


def _finish(child, after_seconds, limit_seconds):
    """Interrupts the generator after that time; it prints what it has counted."""
    try:
        try:
            return child.communicate(timeout=after_seconds)[0]
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGINT)
        return child.communicate(timeout=limit_seconds)[0]
    finally:
        if child.poll() is None:
            child.kill()
            child.communicate()


def closed(port, job, path, workload, seconds, cores, press, rate=None):
    """One run by the program `press`, of a closed loop or at a rate; by wrk where there is no press, and over TLS."""
    threads = min(len(cores), workload.connections)
    arguments = []
    if rate is not None:
        arguments = ["rate", f"{rate:.0f}"]
    elif job.method == "POST":
        arguments = ["post", job.body_bytes]
    elif workload.routes:
        arguments = ["routes", workload.routes]
    elif job.headers and press:
        arguments = ["with", "".join(f"{name}: {value}\r\n" for name, value in job.headers)]
    if press and not workload.tls:
        child = _start([press, port, threads, workload.connections, f"{seconds:g}", path, *arguments], cores)
        after_seconds = seconds + 40
    else:
        scheme = "https" if workload.tls else "http"
        pairs = [*job.headers, ("Connection", "close")] if workload.one_each else job.headers
        headers = [part for name, value in pairs for part in ("-H", f"{name}: {value}")]
        # wrk knows whole seconds only: it is told more and interrupted.
        child = _start([need("wrk"), "-t", threads, "-c", workload.connections, "-d", f"{int(seconds) + 60}s", *headers,
                        "--timeout", "30s", "-s", LUA, f"{scheme}://127.0.0.1:{port}{path}", "--", *arguments], cores)
        after_seconds = seconds
    try:
        return stats.parse_closed(_finish(child, after_seconds, 40))
    except ValueError as error:
        raise BenchError(str(error)) from error


def oha(port, path, workload, rate, seconds, cores):
    """A fixed rate, whose latency counts from when a request was due; as fast as it can without one."""
    at_rate = [] if rate is None else ["--latency-correction", "-q", f"{rate:.0f}"]
    child = _start([need("oha"), "--no-tui", "--output-format", "json", *at_rate, "-c", workload.connections,
                    "-z", f"{seconds:g}s", f"http://127.0.0.1:{port}{path}"], cores)
    try:
        return stats.parse_oha(_finish(child, seconds + 30, 10))
    except json.JSONDecodeError as error:
        raise BenchError(f"oha printed no JSON: {error.doc.strip()[-300:] or 'nothing'}") from error


def ask(port, job, path, is_tls=False):
    """One request of the job: (status, body)."""
    if is_tls:
        # The certificate was made for this run and signs itself.
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=context)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(job.method, path, b"x" * job.body_bytes or None, dict(job.headers))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def check_answer(port, upstream_port, job, path, is_tls=False):
    """Raises if the gateway's answer is not what the job's should be: nobody is measured failing."""
    plain = {"/json": "/10k", "/agg2": "/10k", "/agg4": "/10k", "/seq2": "/10k", "/guarded": "/300"}.get(path, path)
    if plain.startswith("/r0/"):
        plain = "/300"
    _, source = ask(upstream_port, job, plain)
    try:
        status, body = ask(port, job, path, is_tls)
    except (OSError, http.client.HTTPException) as error:
        raise BenchError(f"{path} is not answered: {error}") from error
    if status != 200:
        raise BenchError(f"{path} is answered with {status}: {body[:200]!r}")
    wanted = expected_document(path, json.loads(source)) if plain == "/10k" else None
    if wanted is None:
        if body != source:
            raise BenchError(f"{path} is answered with {len(body)} bytes that are not the upstream's {len(source)}")
    elif json.loads(body) != wanted:
        raise BenchError(f"{path} is answered with another document: {body[:200]!r}")
    return len(body)


class SyscallCounter:
    """Counts the system calls of processes: perf where the kernel lets it, else strace, which slows them down."""

    def __init__(self, pid, wake):
        """Tries them on this process; `wake` makes it do something."""
        self.tool = None
        for tool in ("perf", "strace"):
            try:
                self.path = need(tool)
                self.tool = tool
                self.count([pid], wake)
                return
            except (BenchError, ValueError):
                self.tool = None

    def count(self, pids, run):
        """(calls while `run` ran, what it returned)."""
        texts = [str(pid) for pid in pids]
        argv, parse = {
            "perf": (["stat", "-x,", "-e", "raw_syscalls:sys_enter", "-p", ",".join(texts)], stats.parse_perf),
            "strace": (["-c", "-f", *(f"-p{text}" for text in texts)], stats.parse_strace),
        }[self.tool]
        counter = subprocess.Popen([self.path, *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, start_new_session=True)
        # Until it has attached to every thread.
        time.sleep(0.3)
        try:
            result = run()
        finally:
            text = _finish(counter, 0.01, 10)
        return parse(text), result


def idle_connections(gateway, port, path, count):
    """Resident bytes that the gateway holds for each of so many connections, each after one request."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    before = gateway.resident_bytes()
    held = []
    failed = 0
    try:
        for _ in range(count):
            try:
                one = socket.create_connection(("127.0.0.1", port), 5)
                held.append(one)
                one.sendall(request)
                if not one.recv(4096).startswith(b"HTTP/1.1 200"):
                    failed += 1
            except OSError:
                failed += 1
        # Buffers that a gateway hands back after a while are not the connection's.
        time.sleep(3)
        after = gateway.resident_bytes()
        alive = sum(_is_open(one) for one in held)
    finally:
        for one in held:
            one.close()
    return {"before_bytes": before, "after_bytes": after, "connections": alive,
            "bytes_per_connection": (after - before) / max(alive, 1),
            "errors": {"connection": failed + count - alive} if failed or alive < count else {}}


def _is_open(one):
    one.setblocking(False)
    try:
        return bool(one.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return True
    except OSError:
        return False


class Scraper:
    """Reads a page of metrics once a second, as Prometheus does."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}/metrics"
        self.is_stopped = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.is_stopped.wait(1):
            try:
                with urllib.request.urlopen(self.url, timeout=1) as page:
                    page.read()
            except OSError:
                pass

    def stop(self):
        self.is_stopped.set()
        self.thread.join(2)
