"""The gateways: how each is configured and started for the same jobs."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path

from .processes import BenchError, executable, need
from .workloads import key_set, krakend_json

PEER_NAMES = ("nginx", "haproxy", "hyper", "pingora", "krakend", "envoy", "caddy")
PEERS = Path(__file__).resolve().parent.parent / "peers"


@dataclass
class Target:
    name: str
    kind: str
    binary: str
    env: dict = field(default_factory=dict)
    #: the same gateway, which measures nothing
    is_bare: bool = False

    @property
    def merges(self):
        """Makes new bodies; the others only pass them on."""
        return self.kind in ("shoal", "krakend")

    @property
    def measures(self):
        """Can tell Prometheus of its requests."""
        return self.merges and not self.is_bare

    @property
    def bare(self):
        return replace(self, name=f"{self.name}-bare", is_bare=True)

    @property
    def speaks_tls(self):
        """Towards clients, as it is configured here."""
        return self.kind in ("shoal", "krakend", "nginx", "haproxy")

    @property
    def routes(self):
        return self.kind in ("shoal", "krakend", "nginx")

    def start_arguments(self, folder, port, upstream_port, workload):
        """Writes the configuration; returns (argv, environment)."""
        write = {"shoal": _shoal, "krakend": _krakend, "nginx": _nginx, "haproxy": _haproxy, "envoy": _envoy,
                 "caddy": _caddy, "proxy": _proxy}[self.kind]
        if self.is_bare:
            workload = replace(workload, telemetry=False)
        argv, env = write(self.binary, folder, port, upstream_port, workload)
        return argv, {**env, **self.env}

    def version(self):
        if self.kind == "proxy":
            return locked_version(self.name)
        flag = {"nginx": "-v", "haproxy": "-v", "envoy": "--version"}.get(self.kind, "version")
        run = subprocess.run([self.binary, flag], capture_output=True, text=True, timeout=20, check=False)
        found = re.search(r"\d+\.\d+\.\d+[^\s/]*", run.stdout + run.stderr)
        version = found[0] if found else "unknown"
        if self.kind == "shoal":
            # Two builds of a version are two things to compare.
            version += f" ({hashlib.sha256(Path(self.binary).read_bytes()).hexdigest()[:8]})"
        return version


def locked_version(name):
    """Of the crate that a proxy of ours stands for."""
    crate = {"pingora": "pingora-proxy"}.get(name, name)
    found = re.search(f'name = "{crate}"\nversion = "([^"]+)"', (PEERS / "Cargo.lock").read_text())
    return found[1] if found else "unknown"


def pair(folder):
    """A certificate and its key for P-256, the same kind for every target: paths. Both in one file: `both.pem`."""
    certificate, key = folder / "gateway.pem", folder / "gateway.key"
    subprocess.run(
        [need("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
         "2", "-subj", "/CN=gateway", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True, timeout=20)
    (folder / "both.pem").write_text(certificate.read_text() + key.read_text())
    return certificate, key


#: The metrics' page is so far above the gateway's port.
SCRAPED = 100


def _shoal(binary, folder, port, upstream_port, workload):
    config = folder / "krakend.json"
    files = pair(folder) if workload.tls else None
    keys = folder / "keys.json" if workload.guarded else None
    if keys:
        keys.write_text(json.dumps(key_set()))
    config.write_text(json.dumps(krakend_json(port, upstream_port, workload.routes, files, keys,
                                              port + SCRAPED if workload.telemetry else None)))
    return [binary, "run", "-c", config], {"SHOAL_WORKERS": str(workload.workers)}


def _krakend(binary, folder, port, upstream_port, workload):
    argv, _ = _shoal(binary, folder, port, upstream_port, workload)
    # It would report its use over the network.
    return argv, {"GOMAXPROCS": str(workload.workers), "USAGE_DISABLE": "1"}


def _nginx(binary, folder, port, upstream_port, workload):
    routes = "".join(f"location /r{number}/items/ {{ proxy_pass http://upstream/300/; }}\n"
                     for number in range(workload.routes))
    secure, files = "", ""
    if workload.tls:
        certificate, key = pair(folder)
        secure = "ssl"
        files = f"ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;"
    config = folder / "nginx.conf"
    # Bodies stay in memory in both directions, as in the gateways that stream them.
    config.write_text(f"""
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log error;
worker_processes {workload.workers};
events {{ worker_connections 16384; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_timeout 120s;
  keepalive_requests 1000000000;
  client_max_body_size 0;
  client_body_buffer_size 64k;
  {' '.join(f'{kind}_temp_path {folder}/{kind};' for kind in ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'))}
  upstream upstream {{
    server 127.0.0.1:{upstream_port};
    keepalive 8192;
    keepalive_requests 1000000000;
  }}
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_request_buffering off;
  proxy_buffer_size 16k;
  proxy_buffers 64 32k;
  proxy_busy_buffers_size 256k;
  proxy_max_temp_file_size 0;
  server {{
    listen 127.0.0.1:{port} {secure} backlog=4096;
    {files}
    location / {{ proxy_pass http://upstream; }}
    {routes}
  }}
}}
""")
    return [binary, "-e", folder / "error.log", "-c", config], {}


def _haproxy(binary, folder, port, upstream_port, workload):
    secure = ""
    if workload.tls:
        pair(folder)
        secure = f"ssl crt {folder}/both.pem ssl-min-ver TLSv1.3"
    config = folder / "haproxy.cfg"
    config.write_text(f"""
global
  maxconn 12000
  no strict-limits
  nbthread {workload.workers}
defaults
  mode http
  no log
  http-reuse always
  option splice-auto
  timeout connect 5s
  timeout client 120s
  timeout server 120s
  timeout http-keep-alive 120s
listen gateway
  bind 127.0.0.1:{port} backlog 4096 {secure}
  maxconn 12000
  server upstream 127.0.0.1:{upstream_port} pool-purge-delay 120s
""")
    return [binary, "-db", "-f", config], {}


def _caddy(binary, folder, port, upstream_port, workload):
    config = folder / "Caddyfile"
    config.write_text(f"""
{{
  admin off
  auto_https off
}}
http://127.0.0.1:{port} {{
  reverse_proxy 127.0.0.1:{upstream_port} {{
    transport http {{
      keepalive_idle_conns_per_host 8192
      compression off
    }}
  }}
}}
""")
    env = {"GOMAXPROCS": str(workload.workers), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    return [binary, "run", "--config", config, "--adapter", "caddyfile"], env


def _envoy(binary, folder, port, upstream_port, workload):
    def address(number):
        return {"socket_address": {"address": "127.0.0.1", "port_value": number}}

    http = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
    limits = {"max_connections": 32768, "max_pending_requests": 32768, "max_requests": 32768}
    config = folder / "envoy.json"
    config.write_text(json.dumps({"static_resources": {
        "listeners": [{"address": address(port), "filter_chains": [{"filters": [{
            "name": "http", "typed_config": {
                "@type": http, "stat_prefix": "http", "generate_request_id": False,
                "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
                    {"match": {"prefix": "/"}, "route": {"cluster": "upstream", "timeout": "60s"}}]}]},
                "http_filters": [{"name": "router", "typed_config": {"@type": router}}]}}]}]}],
        "clusters": [{"name": "upstream", "type": "STATIC", "connect_timeout": "5s",
                      "circuit_breakers": {"thresholds": [limits]},
                      "load_assignment": {"cluster_name": "upstream", "endpoints": [{"lb_endpoints": [
                          {"endpoint": {"address": address(upstream_port)}}]}]}}]}}))
    return [binary, "-c", config, "--concurrency", str(workload.workers), "--log-level", "error",
            "--disable-hot-restart"], {}


def _proxy(binary, _folder, port, upstream_port, workload):
    return [binary, str(port), str(upstream_port), str(workload.workers)], {}


def gateways(texts, built):
    """From `--gateway`: PATH or NAME=PATH, several times; the built one where none is given."""
    found = []
    for text in texts or [str(built)]:
        name, is_named, path = text.partition("=")
        if not is_named:
            name, path = "shoal", text
        if name in {one.name for one in found} | {*PEER_NAMES}:
            raise BenchError(f"two targets are called {name}: --gateway NAME=PATH names one")
        found.append(Target(name, "shoal", os.path.abspath(path)))
    return found


def epoll_twin(gateway):
    return Target(f"{gateway.name}-epoll", "shoal", gateway.binary, {"SHOAL_DRIVER": "epoll"})


def peers(paths):
    """Every peer that is wanted by name, by path or because it is installed: {name: function that finds it}."""
    found = {"nginx": lambda: Target("nginx", "nginx", need("nginx")),
             "haproxy": lambda: Target("haproxy", "haproxy", need("haproxy"))}
    for name in ("hyper", "pingora"):
        binary = PEERS / "target" / "release" / f"{name}-proxy"
        found[name] = lambda name=name, binary=binary: Target(name, "proxy", str(binary))
    for name in PEER_NAMES[4:]:
        path = paths.get(name) or shutil.which(name)
        if path:
            found[name] = lambda name=name, path=path: Target(name, name, executable(path))
    return found
