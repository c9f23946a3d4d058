"""Two swarms behind one interface: five nodes of swarmup's provider `local`, and five of Docker's daemons.

Both are asked by the same client, over the node's own socket, and looked at as often.
"""

import concurrent.futures
import contextlib
import http.client
import json
import os
import signal
import subprocess
import time
import urllib.parse
from pathlib import Path

import rival

NODES = 5
# Between two looks, and how long anything may take.
PERIOD, PATIENCE = 0.010, 120.0


class Missed(Exception):
    """Something did not come, or was refused: the row has no figure."""


def wait(is_so, what, patience=PATIENCE):
    """Looks every PERIOD until it is so."""
    deadline = time.monotonic() + patience
    while True:
        began = time.monotonic()
        with contextlib.suppress(OSError, http.client.HTTPException):
            if is_so():
                return
        if began > deadline:
            raise Missed(f"waited {patience:.0f} s in vain until {what}")
        time.sleep(max(0.0, PERIOD - (time.monotonic() - began)))


class Node:
    """A node: its socket, and the first process in its namespace."""

    def __init__(self, socket, init):
        self.socket, self.init = socket, init

    def call(self, method, path, body=None, content="application/json", patience=30.0):
        with contextlib.closing(rival.Connection(self.socket, patience)) as connection:
            sent = body if body is None or isinstance(body, bytes) else json.dumps(body)
            connection.request(method, path, sent, {"Content-Type": content})
            answer = connection.getresponse()
            text = answer.read()
        if answer.status >= 300:
            raise Missed(f"{method} {path}: {answer.status} {text.decode(errors='replace').strip()}")
        is_json = answer.headers.get("Content-Type", "").startswith("application/json")
        return json.loads(text) if is_json and text.strip() and not isinstance(body, bytes) else None

    def processes(self):
        """All processes of the node: on its network, which its containers share, and within its namespace of processes."""
        network, depth = os.readlink(f"/proc/{self.init}/ns/net"), len(numbers(self.init))
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.readlink(process / "ns/net") == network and len(numbers(process.name)) >= depth:
                    found.append(int(process.name))
        return found

    def containers(self):
        return len(self.call("GET", "/containers/json?all=1"))


class Swarm:
    """What is measured of either; `nodes` begins with the managers, `leader` is the one that is asked."""

    name, nodes, leader, image = "", (), None, ""

    def load(self, archive, image):
        """Has the image on all nodes."""
        self.image = image
        with concurrent.futures.ThreadPoolExecutor(NODES) as pool:
            load = lambda node: node.call("POST", "/images/load?quiet=1", archive, "application/x-tar")
            list(pool.map(load, self.nodes))
        self.host_network = self.leader.call("GET", "/networks/host")["Id"]

    def create_service(self, name, replicas, update=None):
        spec = {
            "Name": name,
            "TaskTemplate": {
                "ContainerSpec": {"Image": self.image},
                "RestartPolicy": {"Condition": "any", "Delay": 0},
                "Networks": [{"Target": self.host_network}],
            },
            "Mode": {"Replicated": {"Replicas": replicas}},
        }
        if update:
            spec["UpdateConfig"] = update
        return self.leader.call("POST", "/services/create", spec)["ID"]

    def service(self, service):
        return self.leader.call("GET", f"/services/{service}")

    def update_service(self, service):
        """Has every task replaced, as `docker service update --force` does."""
        seen = self.service(service)
        template = seen["Spec"]["TaskTemplate"]
        template["ForceUpdate"] = template.get("ForceUpdate", 0) + 1
        path = f"/services/{service}/update?version={seen['Version']['Index']}"
        self.leader.call("POST", path, seen["Spec"])
        return template["ForceUpdate"]

    def running(self, service):
        """The tasks that run and are to run."""
        filters = urllib.parse.quote(json.dumps({"service": {service: True}, "desired-state": {"running": True}}))
        tasks = self.leader.call("GET", f"/tasks?filters={filters}")
        return [task for task in tasks if task["Status"]["State"] == "running"]

    def wait_running(self, service, count):
        wait(lambda: len(self.running(service)) == count, f"{count} tasks run")

    def remove_service(self, service):
        self.leader.call("DELETE", f"/services/{service}")

    def wait_empty(self):
        wait(lambda: all(node.containers() == 0 for node in self.nodes), "no container is left")

    def clear(self):
        """Takes all services away, whatever became of a measurement."""
        for service in self.leader.call("GET", "/services"):
            self.remove_service(service["ID"])
        self.wait_empty()

    def programs(self):
        """The first processes of containers on any node, as the bench counts processes."""
        return [pid for node in self.nodes for pid in node.processes() if is_program(pid)]

    def elect(self):
        """Whom to ask: the leader."""
        for node in self.nodes:
            with contextlib.suppress(OSError, http.client.HTTPException, Missed):
                if self.is_leader(node):
                    self.leader = node
                    return True
        return False

    def is_leader(self, node):
        own = node.call("GET", "/info")["Swarm"]["NodeID"]
        nodes = node.call("GET", "/nodes")
        return any(one["ID"] == own and (one.get("ManagerStatus") or {}).get("Leader") for one in nodes)

    def node_id(self, node):
        return node.call("GET", "/info")["Swarm"]["NodeID"]

    def lose(self, node, how):
        """Kills every process of a node, or stops it."""
        if how == signal.SIGKILL:
            # The first process of a namespace takes all the others with it.
            os.kill(node.init, how)
            return
        for pid in node.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, how)


def numbers(pid):
    """The numbers that a process has, in each namespace from the bench's down to its own."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:"))


def is_program(pid):
    """Whether a process is the first one of a container: of a namespace of its own, in a shell that runs PROGRAM."""
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return numbers(pid)[-1] == "1" and words[:2] == [b"sh", b"-c"]
    return False


class OurSwarm(Swarm):
    """Three managers and two workers of the provider `local`."""

    name = "swarmup"

    def __init__(self, swarmup, folder):
        self.command, self.home = swarmup, folder / "home"

    def swarmup(self, *arguments):
        environment = {**os.environ, "SWARMUP_HOME": str(self.home), "CI": ""}
        done = subprocess.run([self.command, *arguments], env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Missed(f"`swarmup {' '.join(arguments)}` failed ({done.returncode}): {done.stderr}{done.stdout}")
        return done.stdout

    def __enter__(self):
        try:
            self.swarmup("create", "bench", "--provider", "local", "--managers", "3", "--workers", "2")
            machines = json.loads(self.swarmup("inspect", "bench"))["journal"]["machines"].values()
            inits = {m["instance"]["name"].rsplit("-", 1)[1]: m["instance"]["access"]["pid"] for m in machines}
            inits = [inits[number] for number in sorted(inits)]
            self.nodes = [Node(f"/proc/{init}/root/run/swarmd/swarmd.sock", init) for init in inits]
            wait(self.elect, "swarmup's swarm has a leader")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        # One that is stopped could not be asked to end.
        for node in self.nodes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(node.init, signal.SIGCONT)
        self.swarmup("destroy", "bench", "--yes")


class TheirSwarm(Swarm):
    """The same of Docker's daemons, with the storage driver that they choose themselves."""

    name = "Docker"

    def __init__(self, target, group):
        self.daemons = rival.DockerSwarm(target, ["--storage-driver=overlay2", f"--cgroup-parent=/{group}"])

    def __enter__(self):
        self.daemons.__enter__()
        try:
            self.daemons.create()
            self.nodes = [Node(daemon.socket, daemon.inside) for daemon in self.daemons.daemons]
            wait(self.elect, "Docker's swarm has a leader")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.daemons.__exit__()
