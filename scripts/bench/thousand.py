"""One real manager, a thousand real agents on loopback, thirty thousand tasks whose containers only say that they run.

The manager is `swarmd` as it is installed, alone in its process: its memory is the leader's. The agents are those of
`orchestrator/agent/examples/thousand_agents.rs`, some hundreds a process, on the same cores as the manager.
"""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import rival
from swarms import Missed, Node, wait

PROCESSES = 4
SERVICES = 30
# The whole, with what comes before the measurement.
PATIENCE = 300.0
LOOK = 0.25


def measure(program, swarmd, folder, agents, tasks, note):
    """Gives the seconds until all agents are Ready and until all tasks run, and the leader's peak of memory in bytes."""
    folder = folder / "thousand"
    folder.mkdir()
    holder = rival.hold(["--net", "--pid", "--fork", "--kill-child", "--mount-proc"])
    inside = rival.init_of(holder)
    try:
        rival.within(inside, "ip", "link", "set", "lo", "up")
        rival.within(inside, program, "make", str(folder), str(agents))
        with open(folder / "log", "wb") as log:
            return run(Inside(inside, log), program, swarmd, folder, agents, tasks, note)
    finally:
        # The first process of the namespace takes the others with it.
        with contextlib.suppress(ProcessLookupError):
            os.kill(inside, signal.SIGKILL)
        holder.kill()
        holder.wait()


class Inside:
    """Starts programs in the namespaces."""

    def __init__(self, init, log):
        self.enter, self.log = ["nsenter", "--target", str(init), "--net", "--pid", "--mount"], log

    def start(self, *command):
        process = subprocess.Popen([*self.enter, *command], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        wait(lambda: rival.children(process.pid) != [], f"{command[0]} starts")
        return rival.children(process.pid)[0]


def run(inside, program, swarmd, folder, agents, tasks, note):
    places = ["--data-dir", folder / "data", "--run-dir", folder / "run", "--docker-socket", folder / "docker.sock"]
    pid = inside.start(swarmd, "run", *map(str, places), "--hostname", "node-0")
    leader = Node(folder / "run/swarmd.sock", pid)
    wait(lambda: leads(leader), "the manager leads", PATIENCE)

    begun = time.monotonic()
    step = -(-agents // PROCESSES)
    others = [
        inside.start(program, "run", str(folder), str(first), str(min(first + step, agents)))
        for first in range(0, agents, step)
    ]
    look_until(lambda: ready(leader) == agents + 1, others, "all agents are Ready")
    registered = time.monotonic() - begun
    note(f"{agents} agents Ready after {registered:.1f} s: {describe(pid)}; agents {describe(*others)}")

    before, others_before = busy(pid), sum(map(busy, others))
    begun = time.monotonic()
    for number in range(SERVICES):
        leader.call("POST", "/services/create", service(number, tasks // SERVICES))
    created = time.monotonic() - begun
    look_until(lambda: running(leader) == tasks // SERVICES * SERVICES, others, "all tasks run")
    took = time.monotonic() - begun
    spent, others_spent = busy(pid) - before, sum(map(busy, others)) - others_before
    note(
        f"{SERVICES} services created in {created:.1f} s, {tasks} tasks run after {took:.1f} s; processor time: "
        f"leader {spent:.1f} s, agents {others_spent:.1f} s; {describe(pid)}; agents {describe(*others)}"
    )
    return registered, took, memory(pid, "VmHWM")


def look_until(is_so, processes, what):
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > deadline:
            raise Missed(f"waited {PATIENCE:.0f} s in vain until {what}")
        if not all(Path(f"/proc/{pid}").exists() for pid in processes):
            raise Missed("agents have ended; why stands in their log")
        time.sleep(LOOK)


def leads(leader):
    with contextlib.suppress(Missed):
        return bool(leader.call("GET", "/nodes"))
    return False


def ready(leader):
    return sum(node["Status"]["State"] == "ready" for node in leader.call("GET", "/nodes"))


def running(leader):
    services = leader.call("GET", "/services?status=true")
    return sum(service["ServiceStatus"]["RunningTasks"] for service in services)


def service(number, replicas):
    return {
        "Name": f"thousand-{number}",
        "TaskTemplate": {
            "ContainerSpec": {"Image": "bench:1"},
            "Placement": {"Constraints": ["node.role==worker"]},
        },
        "Mode": {"Replicated": {"Replicas": replicas}},
    }


def memory(pid, field):
    """A field of memory in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise Missed(f"process {pid} has no {field}")


def describe(*pids):
    now, peak = (sum(memory(pid, field) for pid in pids) / 1e6 for field in ("VmRSS", "VmHWM"))
    return f"RSS {now:.0f} MB, peak {peak:.0f}"


def busy(pid):
    """Seconds that a process has spent on processors."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
