"""Docker's own swarm, to measure beside ours: five daemons of Debian's docker.io on a network of their own.

Nothing is installed: the packages are unpacked below the target folder, and the daemons run in namespaces that end with
this process. Each keeps its own data, so the daemons know nothing of each other but by the network between them.
"""

import concurrent.futures
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PACKAGES = ["docker.io", "containerd", "runc", "tini", "libdevmapper1.02.1"]
NODES, MANAGERS = 5, 3
# Docker's leader is replaced after 10 to 17 seconds.
PATIENCE = 120.0
# Until the programs in a namespace have begun, and between looks.
PAUSE = 0.02


def fetch(folder, names=PACKAGES):
    """Unpacks Debian's packages below the folder, unless they are there; gives the root of their files."""
    root = folder / "root"
    if root.exists():
        return root
    packages, unpacked = folder / "packages", folder / "unpacked"
    packages.mkdir(parents=True, exist_ok=True)
    download = ["apt-get", "download", "-q", *names]
    if subprocess.run(download, cwd=packages, capture_output=True, check=False).returncode != 0:
        subprocess.run(["apt-get", "update", "-qq"], check=False)
        done = subprocess.run(download, cwd=packages, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"bench: apt-get gives no {', '.join(names)}:\n{done.stderr}")
    for package in packages.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, unpacked], check=True)
    unpacked.rename(root)
    return root


class Connection(http.client.HTTPConnection):
    """HTTP on a unix socket."""

    def __init__(self, path, timeout):
        super().__init__("docker", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Daemon:
    """One dockerd, alone in namespaces of its own."""

    def __init__(self, folder, number, network, files, options):
        self.folder, self.number, self.files, self.options = folder / str(number), number, files, options
        self.folder.mkdir()
        self.address = f"10.99.0.{number}"
        self.socket = self.folder / "sock"
        self.holder = hold(["--net", "--pid", "--fork", "--kill-child", "--mount-proc"])
        inside = init_of(self.holder)
        link = f"docker{number}"
        within(network, "ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(inside))
        within(network, "ip", "link", "set", link, "master", "bridge", "up")
        within(inside, "ip", "link", "set", "lo", "up")
        within(inside, "ip", "address", "add", f"{self.address}/24", "dev", "eth0")
        within(inside, "ip", "link", "set", "eth0", "up")
        self.inside = inside
        self.process = None

    def start(self):
        environment = {**os.environ, "PATH": f"{self.files}/usr/sbin:{self.files}/usr/bin:{os.environ['PATH']}"}
        libraries = self.files / "usr/lib/x86_64-linux-gnu"
        environment["LD_LIBRARY_PATH"] = f"{libraries}:{self.files}/lib/x86_64-linux-gnu"
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                ["nsenter", "--target", str(self.inside), "--net", "--pid", "--mount", "dockerd"]
                + ["--data-root", self.folder / "data", "--exec-root", self.folder / "exec"]
                + ["--pidfile", self.folder / "pid", "--host", f"unix://{self.socket}"]
                + ["--iptables=false", "--bridge=none", *self.options],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )

    def start_again(self):
        """Starts what was killed. Its containerd has outlived it, and a new one would wait for that one's lock."""
        self.process.wait()
        for pid in children(self.inside):
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder / "exec")
        self.start()

    def dockerd(self):
        """The daemon's own process, as this machine numbers it."""
        return children(self.process.pid)[0]

    def call(self, method, path, body=None, patience=30.0):
        with contextlib.closing(Connection(self.socket, patience)) as connection:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
        if not content.strip():
            return answer.status, None
        is_json = answer.headers.get("Content-Type", "").startswith("application/json")
        return answer.status, json.loads(content) if is_json else content

    def ask(self, method, path, body=None):
        """A call that must succeed."""
        status, answer = self.call(method, path, body)
        if status != 200:
            sys.exit(f"bench: {method} {path} at Docker's {self.address}: {status} {answer}")
        return answer

    def answers(self):
        try:
            return self.call("GET", "/_ping", patience=1.0)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def join(self, kind, token, leader):
        join = {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": self.address, "JoinToken": token[kind]}
        self.ask("POST", "/swarm/join", {**join, "RemoteAddrs": [f"{leader.address}:2377"]})


class DockerSwarm:
    """Three managers and two workers."""

    def __init__(self, target, options=("--storage-driver=vfs",)):
        self.files, self.options = fetch(target / "tmp" / "docker-daemons"), options

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="bench-")
        self.network = hold(["--net"])
        within(self.network.pid, "ip", "link", "add", "bridge", "type", "bridge")
        within(self.network.pid, "ip", "link", "set", "bridge", "up")
        numbers = range(1, NODES + 1)
        folder, network = Path(self.folder.name), self.network.pid
        self.daemons = [Daemon(folder, n, network, self.files, self.options) for n in numbers]
        return self

    def __exit__(self, *_):
        for holder in [daemon.holder for daemon in self.daemons] + [self.network]:
            for pid in children(holder.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            holder.kill()
            holder.wait()
        for daemon in self.daemons:
            if daemon.process:
                # Stopped with its child, it would not see that one's end.
                daemon.process.kill()
                daemon.process.wait()
        self.folder.cleanup()

    def create(self):
        """Starts the daemons and forms the swarm, both at once for all; gives the seconds until it is complete."""
        start = time.monotonic()
        for daemon in self.daemons:
            daemon.start()
        wait(lambda: all(daemon.answers() for daemon in self.daemons), "Docker's daemons do not answer")
        first, *others = self.daemons
        first.ask("POST", "/swarm/init", {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": first.address})
        token = first.ask("GET", "/swarm")["JoinTokens"]
        kinds = ["Manager"] * (MANAGERS - 1) + ["Worker"] * (NODES - MANAGERS)
        with concurrent.futures.ThreadPoolExecutor(NODES) as pool:
            list(pool.map(lambda pair: pair[0].join(pair[1], token, first), zip(others, kinds)))
        self.wait_until_complete()
        return time.monotonic() - start

    def nodes(self):
        for daemon in self.daemons[:MANAGERS]:
            with contextlib.suppress(OSError, http.client.HTTPException):
                status, nodes = daemon.call("GET", "/nodes", patience=1.0)
                if status == 200:
                    return nodes
        return []

    def is_complete(self):
        nodes = self.nodes()
        standing = [node["ManagerStatus"] for node in nodes if node.get("ManagerStatus")]
        return (
            sum(node["Status"]["State"] == "ready" for node in nodes) == NODES
            and sum(manager["Reachability"] == "reachable" for manager in standing) == MANAGERS
            and any(manager.get("Leader") for manager in standing)
        )

    def wait_until_complete(self):
        wait(self.is_complete, "Docker's swarm is not complete")

    def lose_leader(self, how, number, write_for, between):
        """Seconds from the loss of the leader until a write through another manager succeeds."""
        nodes = self.nodes()
        address = next(n["Status"]["Addr"] for n in nodes if (n.get("ManagerStatus") or {}).get("Leader"))
        address = address if address != "0.0.0.0" else self.daemons[0].address
        lost = next(daemon for daemon in self.daemons if daemon.address == address)
        other = next(daemon for daemon in self.daemons[:MANAGERS] if daemon is not lost)
        node = next(n["ID"] for n in nodes if n["Spec"]["Role"] == "worker")
        pid = lost.dockerd()
        os.kill(pid, how)
        start = time.monotonic()
        try:
            while not write(other, node, f"{how.name}-{number}", write_for):
                if time.monotonic() - start > PATIENCE:
                    sys.exit(f"bench: Docker takes no write for {PATIENCE:.0f} s")
                time.sleep(between)
            return time.monotonic() - start
        finally:
            if how == signal.SIGSTOP:
                os.kill(pid, signal.SIGCONT)
                # It stops and goes on with its child.
                os.kill(lost.process.pid, signal.SIGCONT)
            else:
                lost.start_again()
            wait(lambda: lost.answers() and lost.call("GET", "/nodes")[0] == 200, "Docker's lost manager is not back")
            self.wait_until_complete()


def write(daemon, node, label, patience):
    """One try to change a node's label; says whether it is done."""
    deadline = time.monotonic() + patience
    try:
        status, found = daemon.call("GET", f"/nodes/{node}", patience=patience)
        if status != 200:
            return False
        spec = {**found["Spec"], "Labels": {"bench": label}}
        left = max(deadline - time.monotonic(), 0.001)
        path = f"/nodes/{node}/update?version={found['Version']['Index']}"
        return daemon.call("POST", path, spec, patience=left)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def wait(is_so, complaint):
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > deadline:
            sys.exit(f"bench: {complaint} after {PATIENCE:.0f} s")
        time.sleep(PAUSE)


def hold(namespaces):
    """A process that holds new namespaces until it is killed."""
    holder = subprocess.Popen(["unshare", *namespaces, "sleep", "infinity"], stderr=subprocess.DEVNULL)
    own = os.readlink("/proc/self/ns/net")
    wait(lambda: os.readlink(f"/proc/{holder.pid}/ns/net") != own, "no namespace was made")
    return holder


def init_of(holder):
    """The first process in a holder's namespace of processes."""
    wait(lambda: children(holder.pid), "no namespace was entered")
    return children(holder.pid)[0]


def children(pid):
    with contextlib.suppress(FileNotFoundError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def within(pid, *command):
    subprocess.run(["nsenter", "--target", str(pid), "--net", *command], check=True)
