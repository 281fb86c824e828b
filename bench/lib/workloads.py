"""What is measured: one line a workload, and the configuration that makes a gateway do these jobs."""

import base64
import hmac
import json
from dataclasses import dataclass

PICKED = ["id", "name", "email"]


@dataclass(frozen=True)
class Job:
    """What a gateway does with one request."""

    path: str
    method: str = "GET"
    body_bytes: int = 0
    #: what a gateway that only passes requests on is asked instead, as the reference
    reference: str = ""
    #: count bytes, not answers: too few answers end within a sample
    by_bytes: bool = False
    #: sent with each request; the guards of the gateway want them
    headers: tuple = ()


#: What signs the tokens of a run.
SECRET = b"a key of the benchmark, 32 bytes"


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token():
    """A token that is good for years (HS256)."""
    head = {"alg": "HS256", "kid": "bench", "typ": "JWT"}
    claims = {"sub": "bench", "aud": ["bench"], "iss": "bench", "roles": ["user"], "exp": 4_000_000_000}
    text = ".".join(base64url(json.dumps(part).encode()) for part in (head, claims))
    return f"{text}.{base64url(hmac.digest(SECRET, text.encode(), 'sha256'))}"


def key_set():
    return {"keys": [{"kty": "oct", "kid": "bench", "alg": "HS256", "k": base64url(SECRET)}]}


JOBS = {
    "300": Job("/300"),
    "10k": Job("/10k"),
    "1m": Job("/1m", by_bytes=True),
    "64m": Job("/64m", by_bytes=True),
    "json": Job("/json", reference="/10k"),
    "agg2": Job("/agg2", reference="/300"),
    "agg4": Job("/agg4", reference="/300"),
    "seq2": Job("/seq2", reference="/300"),
    "post10k": Job("/post", "POST", 10 << 10),
    "post10m": Job("/post", "POST", 10 << 20),
    "routes": Job("/r0/items/7"),
    "guarded": Job("/guarded", reference="/300",
                   headers=(("Origin", "https://a.example"), ("Authorization", f"Bearer {token()}"))),
}

#: Endpoints that make a new body: backends asked, each with its fields picked and grouped.
MERGED = {"/agg2": 2, "/agg4": 4}


@dataclass(frozen=True)
class Workload:
    name: str
    what: str
    job: str
    connections: int = 64
    #: closed: as fast as answers come; open: at a fixed rate, a share of the reference's peak; idle: connections held
    kind: str = "closed"
    share: float = 0
    routes: int = 0
    workers: int = 1
    #: gateway, load and upstream may use any of the cores
    shares_cores: bool = False
    #: a sample takes so many times the seconds that are asked for
    stretch: float = 1
    #: clients speak TLS 1.3 with the gateway
    tls: bool = False
    #: every request opens its own connection
    one_each: bool = False

    #: Prometheus scrapes once a second; everything that OpenTelemetry knows is measured
    telemetry: bool = False

    @property
    def guarded(self):
        """With a token, a limit for each client, and CORS."""
        return self.job == "guarded"


def _table():
    yield Workload("300", "300 B passed through", "300")
    yield Workload("10k", "10 KiB passed through", "10k")
    yield Workload("1m", "1 MiB passed through", "1m")
    yield Workload("64m", "64 MiB passed through", "64m", 4, stretch=2)
    yield Workload("json", "one backend of 10 KiB, read as JSON, unchanged", "json")
    yield Workload("agg2", "2 backends of 10 KiB merged, 3 fields of each", "agg2")
    yield Workload("agg4", "4 backends of 10 KiB merged, 3 fields of each", "agg4")
    yield Workload("seq2", "2 backends of 10 KiB, the second asked with a field of the first", "seq2")
    yield Workload("post10k", "bodies of 10 KiB taken in", "post10k")
    yield Workload("post10m", "bodies of 10 MiB taken in", "post10m", 8, stretch=2)
    for job, counts in (("300", (16, 256, 4096)), ("10k", (16, 256)), ("1m", (16, 256))):
        for count in counts:
            # Thousands of connections are opened within the sample.
            stretch = 2 if count > 1000 else 1
            yield Workload(f"{job}-c{count}", f"the same as {job}", job, count, stretch=stretch)
    yield Workload("300-tls", "300 B passed through, over TLS 1.3", "300", tls=True)
    yield Workload("1m-tls", "1 MiB passed through, over TLS 1.3", "1m", tls=True)
    yield Workload("handshakes", "a connection and a full handshake of TLS 1.3 for each 300 B", "300", tls=True,
                   one_each=True)
    yield Workload("guarded", "300 B behind a token, a limit for each client, and CORS", "guarded")
    yield Workload("telemetry", "300 B passed through, everything measured and scraped each second", "300",
                   telemetry=True)
    for count in (10, 100, 1000, 10000):
        yield Workload(f"routes-{count}", f"300 B through one of {count} routes at random", "routes", routes=count)
    yield Workload("idle", "10,000 connections that have made one request each", "300", 10000, "idle")
    for share in (50, 80):
        yield Workload(f"rate-{share}", f"300 B at {share} % of the reference's peak rate", "300", 64, "open",
                       share / 100, stretch=2)
    yield Workload("workers-1", "300 B, 1 worker on any core: the load shares the cores", "300", 256, workers=1,
                   shares_cores=True)
    yield Workload("workers-2", "300 B, 2 workers on any core: the load shares the cores", "300", 256, workers=2,
                   shares_cores=True)


WORKLOADS = {one.name: one for one in _table()}
QUICK = ["300", "10k", "agg2"]


def krakend_json(port, upstream_port, routes, pair=None, keys=None, scraped=None):
    """The configuration of Shoal and of KrakenD: the same text for both. `pair`: certificate and key, to speak TLS.
    `keys`: a file with a key set, for the guarded endpoint. `scraped`: the port of the metrics' page."""
    def backend(path, **more):
        return {"url_pattern": path, **more}

    def passed(path, method="GET", to=None):
        return {"endpoint": path, "method": method, "output_encoding": "no-op",
                "backend": [backend(to or path, method=method, encoding="no-op")]}

    endpoints = [passed(path) for path in ("/300", "/10k", "/1m", "/64m")]
    endpoints.append(passed("/post", "POST"))
    endpoints.append({"endpoint": "/json", "backend": [backend("/10k")]})
    for path, count in MERGED.items():
        endpoints.append({"endpoint": path, "backend": [
            backend("/10k", allow=PICKED, group=f"part{number}") for number in range(count)]})
    endpoints.append({"endpoint": "/seq2", "extra_config": {"proxy": {"sequential": True}}, "backend": [
        backend("/10k", allow=PICKED), backend("/10k/{resp0_id}", allow=PICKED, group="second")]})
    endpoints += [passed(f"/r{number}/items/{{item}}", to="/300/{item}") for number in range(routes)]
    tls = {"tls": {"keys": [{"public_key": str(pair[0]), "private_key": str(pair[1])}]}} if pair else {}
    cors = {}
    if keys:
        cors = {"security/cors": {"allow_origins": ["https://a.example"], "allow_methods": ["GET"]}}
        limits = {"max_rate": 1_000_000, "client_max_rate": 1_000_000, "strategy": "ip"}
        validator = {"alg": "HS256", "jwk_local_path": str(keys), "disable_jwk_security": True, "audience": ["bench"],
                     "issuer": "bench", "roles": ["user"], "roles_key": "roles"}
        endpoints.append({**passed("/guarded", to="/300"), "extra_config": {
            "auth/validator": validator, "qos/ratelimit/router": limits}})
    metrics = {}
    if scraped:
        exporter = {"name": "bench", "host": "127.0.0.1", "port": scraped, "process_metrics": True}
        metrics = {"telemetry/opentelemetry": {"exporters": {"prometheus": [exporter]}}}
    return {
        **tls,
        "version": 3, "port": port, "listen_ip": "127.0.0.1", "timeout": "60s",
        "host": [f"http://127.0.0.1:{upstream_port}"], "max_idle_connections_per_host": 8192,
        "extra_config": {"router": {"disable_access_log": True}, **cors, **metrics},
        "endpoints": endpoints,
    }


def expected_document(path, document):
    """What a gateway makes of the upstream's document of 10 KiB; None: the body is passed on as it is."""
    picked = {name: document[name] for name in PICKED}
    if path == "/json":
        return document
    if path in MERGED:
        return {f"part{number}": picked for number in range(MERGED[path])}
    if path == "/seq2":
        return {**picked, "second": picked}
    return None
