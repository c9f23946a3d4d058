"""Services, tasks and containers: what they take, beside Docker's own swarm in the same run.

Both swarms have five nodes (three managers, two workers) on this machine, the same image by its digest, and the same
client, which asks the leader every 10 ms. They take turns, so that neither runs while the other one is measured.
"""

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import image
import isolation
import rival
import thousand
from swarms import Missed, OurSwarm, TheirSwarm, wait

# Rows that take Docker tens of seconds are measured so often at most.
LONG = 3
STARTS = [1, 6, 20, 50]
REMOVALS = {1: 0.3, 50: 1.5}
ORDERS = {"stop-first": 2.0, "start-first": 1.5}
LOSSES = {"killed": signal.SIGKILL, "frozen": signal.SIGSTOP}
UPDATED = 10
# Tasks while a worker is lost: each node has some.
SPREAD = 10
# What SwarmKit's benchmarks took with its store, and what must be reached: tasks, whether constrained, milliseconds.
SCHEDULING = [
    (1_000, False, 138, 8), (10_000, False, 1_328, 70), (100_000, False, 17_778, 900),
    (1_000, True, 137, 8), (10_000, True, 1_564, 80),
]
AGENTS, TASKS, WITHIN, MEMORY = 1_000, 30_000, 60.0, 500e6
ROWS = ["start", "remove", "killed", "update", "lost", "run", "runtime", "scheduler", "thousand"]
EXAMPLES = {"runtime": "against_runc", "manager": "scheduling", "agent": "thousand_agents"}


class Table:
    """What was measured: printed as it comes, and kept for the end."""

    def __init__(self, output):
        self.rows, self.is_text = [], output == "table"

    def say(self, line):
        print(line, file=sys.stdout if self.is_text else sys.stderr, flush=True)

    def head(self):
        load = " ".join(f"{value:.2f}" for value in os.getloadavg())
        self.facts = {"load": os.getloadavg(), "cores": os.cpu_count(), "began": time.strftime("%FT%TZ", time.gmtime())}
        self.say(f"load average {load} on {os.cpu_count()} cores, {self.facts['began']}; times in milliseconds")
        columns = f"{'':<42} {'runs':>4} {'median':>9} {'worst':>9}   {'Docker':>9} {'worst':>9} {'ratio':>6}"
        self.say(f"{columns}   reach")

    def add(self, name, ours, theirs=(), limit=None, share=None, beside="Docker", unit="ms"):
        """A row: `limit` is what the median may be at most, or `share` what part of the other's median."""
        median = statistics.median(ours)
        other = statistics.median(theirs) if theirs else None
        if share is not None:
            limit = share * other if other else None
        is_hit = None if limit is None else median <= limit
        ratio = None if not other else median / other
        row = {
            "name": name, "unit": unit, "runs": ours, "median": median, "worst": max(ours), "beside": beside,
            "beside_runs": list(theirs), "beside_median": other, "ratio": ratio, "limit": limit, "hit": is_hit,
        }
        self.rows.append(row)
        columns = f"{name:<42} {len(ours):>4} {median:>9.1f} {max(ours):>9.1f}"
        columns += f"   {other:>9.1f} {max(theirs):>9.1f} {ratio:>6.2f}" if other else f"   {'-':>9} {'-':>9} {'-':>6}"
        reach = "" if limit is None else f"   <= {limit:.1f}" + (f" ({share:g} x)" if share else "")
        verdict = {True: "   hit", False: "   MISS", None: ""}[is_hit]
        self.say(columns + reach + verdict + (f"   beside {beside}" if theirs and beside != "Docker" else ""))

    def lack(self, name, why):
        """A row that has no figure."""
        self.rows.append({"name": name, "missing": why})
        self.say(f"{name:<42} not measured: {why}")

    def end(self):
        if not self.is_text:
            print(json.dumps({**self.facts, "rows": self.rows}, indent=1))
        return all(row.get("hit", False) is not False for row in self.rows)


def milliseconds(action):
    begun = time.monotonic()
    action()
    return (time.monotonic() - begun) * 1e3


def start(swarm, count, runs):
    """From the creation of a service until all its tasks run."""
    times = []
    for number in range(runs):
        begun = time.monotonic()
        service = swarm.create_service(f"start-{count}-{number}", count)
        swarm.wait_running(service, count)
        times.append((time.monotonic() - begun) * 1e3)
        swarm.remove_service(service)
        swarm.wait_empty()
    return times


def remove(swarm, count, runs):
    """From the removal of a service until no node has a container of it."""
    times = []
    for number in range(runs):
        service = swarm.create_service(f"remove-{count}-{number}", count)
        swarm.wait_running(service, count)
        begun = time.monotonic()
        swarm.remove_service(service)
        swarm.wait_empty()
        times.append((time.monotonic() - begun) * 1e3)
    return times


def killed(swarm, runs):
    """From the death of a container's first process until another task runs in its place."""
    service = swarm.create_service("killed", 1)
    swarm.wait_running(service, 1)
    times = []
    for _ in range(runs):
        former = swarm.running(service)[0]["ID"]
        wait(lambda: len(swarm.programs()) == 1, "there is one container")
        [program] = swarm.programs()
        begun = time.monotonic()
        os.kill(program, signal.SIGKILL)
        wait(lambda: [task["ID"] for task in swarm.running(service)] not in ([], [former]), "another task runs")
        times.append((time.monotonic() - begun) * 1e3)
    swarm.clear()
    return times


def update(swarm, order, runs):
    """From the change of a service of ten tasks until the update is completed and only new tasks run."""
    rules = {"Parallelism": 1, "Monitor": 1_000_000, "Order": order, "FailureAction": "pause"}
    service = swarm.create_service(f"update-{order}", UPDATED, rules)
    swarm.wait_running(service, UPDATED)

    def is_updated(force):
        if (swarm.service(service).get("UpdateStatus") or {}).get("State") != "completed":
            return False
        return [task["Spec"].get("ForceUpdate") for task in swarm.running(service)] == [force] * UPDATED

    times = []
    for _ in range(runs):
        begun = time.monotonic()
        force = swarm.update_service(service)
        wait(lambda: is_updated(force), "the update is completed")
        times.append((time.monotonic() - begun) * 1e3)
    swarm.clear()
    return times


def lost(swarm, how):
    """From the loss of a worker until as many tasks run elsewhere."""
    service = swarm.create_service("lost", SPREAD)
    swarm.wait_running(service, SPREAD)
    worker = swarm.nodes[-1]
    name = swarm.node_id(worker)
    if not any(task["NodeID"] == name for task in swarm.running(service)):
        raise Missed("the worker that is to be lost has no task")

    def is_whole():
        elsewhere = [task for task in swarm.running(service) if task["NodeID"] != name]
        return len(elsewhere) == SPREAD

    begun = time.monotonic()
    swarm.lose(worker, how)
    wait(is_whole, "the tasks run elsewhere")
    return (time.monotonic() - begun) * 1e3


def run_container(swarm, docker, runs):
    """`docker run`, from its start to its end, with the same client."""
    command = [docker, "--host", f"unix://{swarm.leader.socket}", "run", "--rm", "--network", "host", swarm.image, "true"]

    def once():
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Missed(f"docker run: {done.stderr.strip()}")

    once()
    return [milliseconds(once) for _ in range(runs)]


class Bench:
    """The rows, over both swarms."""

    def __init__(self, options, swarmup, swarmd, examples, target, folder):
        self.options, self.swarmup, self.swarmd, self.examples = options, swarmup, swarmd, examples
        self.target, self.folder, self.table = target, folder, Table(options.output)
        self.files = rival.fetch(target / "tmp/docker-daemons")
        busybox = rival.fetch(target / "tmp/busybox", ["busybox-static"])
        self.archive = image.make(next(path for path in (busybox / "bin/busybox", busybox / "usr/bin/busybox") if path.exists()))

    @contextlib.contextmanager
    def swarm(self, is_ours):
        group = isolation.group_of(self.folder)
        swarm = OurSwarm(self.swarmup, self.folder) if is_ours else TheirSwarm(self.target, group)
        with swarm:
            swarm.load(*self.archive)
            yield swarm

    def measure(self):
        self.table.head()
        rows = self.options.rows or ROWS
        if shared := [row for row in rows if row in ("start", "remove", "killed", "update", "run")]:
            self.attempt(", ".join(shared), lambda: self.measure_shared(shared))
        if "lost" in rows:
            self.measure_lost()
        for row in ("runtime", "scheduler", "thousand"):
            if row in rows:
                self.attempt(row, getattr(self, f"measure_{row}"))
        return self.table.end()

    def attempt(self, name, action):
        try:
            return action()
        except Missed as missed:
            self.table.lack(name, str(missed))
            return None

    def cases(self, rows):
        """What is measured of one swarm while it stands: a name, a function of it, and what must be reached."""
        runs, docker = self.options.runs, str(self.files / "usr/bin/docker")
        long = min(runs, LONG)
        cases = {
            "start": [(f"service create to {n} running", lambda s, n=n: start(s, n, runs), {"share": 0.25}) for n in STARTS],
            "remove": [
                (f"service rm of {n} until none is left", lambda s, n=n: remove(s, n, long), {"limit": limit * 1e3})
                for n, limit in REMOVALS.items()
            ],
            "killed": [("killed container replaced, no delay", lambda s: killed(s, runs), {"limit": 150})],
            "update": [
                (f"update of {UPDATED}, {order}", lambda s, order=order: update(s, order, long), {"limit": limit * 1e3})
                for order, limit in ORDERS.items()
            ],
            "run": [("docker run --rm, host network", lambda s: run_container(s, docker, 2 * runs), {"limit": 80})],
        }
        return [case for row in rows for case in cases[row]]

    def measure_shared(self, rows):
        cases, found = self.cases(rows), {}
        for is_ours in (True, False):
            with self.swarm(is_ours) as swarm:
                for name, function, _ in cases:
                    try:
                        found[name, is_ours] = function(swarm)
                        median = statistics.median(found[name, is_ours])
                        self.table.say(f"  {swarm.name}: {name}: median {median:.1f}")
                    except Missed as missed:
                        found[name, is_ours] = f"{swarm.name}: {missed}"
                        swarm.clear()
        for name, _, reach in cases:
            ours, theirs = found[name, True], found[name, False]
            if missed := [times for times in (ours, theirs) if isinstance(times, str)]:
                self.table.lack(name, "; ".join(missed))
            else:
                self.table.add(name, ours, theirs, **reach)

    def measure_lost(self):
        for name, how in LOSSES.items():
            self.attempt(f"worker {name}", lambda: self.measure_loss(name, how))

    def measure_loss(self, name, how):
        times = {}
        for is_ours in (True, False):
            times[is_ours] = []
            for _ in range(min(self.options.runs, LONG)):
                with self.swarm(is_ours) as swarm:
                    times[is_ours].append(lost(swarm, how))
        self.table.add(f"worker {name} until its tasks run elsewhere", times[True], times[False], limit=4_000)

    def example(self, name, *arguments):
        environment = {
            **os.environ,
            "PATH": f"{os.environ['PATH']}:{self.files}/usr/sbin",
            "LD_LIBRARY_PATH": f"{self.files}/usr/lib/x86_64-linux-gnu",
        }
        command = [str(self.examples / name), *arguments]
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)
        except subprocess.TimeoutExpired as missed:
            raise Missed(f"{name} has not ended after {missed.timeout} s") from missed
        if done.returncode != 0:
            raise Missed(f"{name} failed ({done.returncode}): {done.stderr}{done.stdout}")
        return done.stdout

    def measure_runtime(self):
        medians = {}
        for line in self.example("against_runc").splitlines():
            name, mark, rest = line.partition("median")
            if mark:
                medians[name.strip()] = [float(rest.split()[0])]
        self.table.add("container by the shim", medians["whole"], medians["runc run"], share=0.7, beside="runc run")

    def measure_scheduler(self):
        lines = [json.loads(line) for line in self.example("scheduling", "/dev/stdout").splitlines()]
        for tasks, is_constrained, theirs, limit in SCHEDULING:
            for has_store in (False, True):
                found = [
                    line["median_ms"] for line in lines
                    if (line["tasks"], line["services"], line["constrained"], line["store"])
                    == (tasks, 1, is_constrained, has_store)
                ]
                if found:
                    name = f"scheduler, {tasks} tasks" + ", constrained" * is_constrained + ", store" * has_store
                    reach = {} if has_store else {"limit": limit}
                    self.table.add(name, found, [theirs], beside="SwarmKit, as published", **reach)

    def measure_thousand(self):
        program = str(self.examples / "thousand_agents")
        arguments = (self.folder, AGENTS, TASKS, lambda line: self.table.say(f"  {line}"))
        _, took, memory = thousand.measure(program, self.swarmd, *arguments)
        self.table.add(f"{AGENTS} agents, {TASKS} tasks running", [took * 1e3], limit=WITHIN * 1e3)
        self.table.add("  the leader's memory, MB", [memory / 1e6], limit=MEMORY / 1e6, unit="MB")


def measure(options, root, target, again):
    """Builds and fetches what is missing, and measures in namespaces."""
    rival.fetch(target / "tmp/docker-daemons")
    rival.fetch(target / "tmp/busybox", ["busybox-static"])
    if not options.examples:
        packages = [word for package in EXAMPLES for word in ("--package", package)]
        build = ["cargo", "build", "--release", "--locked", *packages, "--examples"]
        subprocess.run(build, cwd=root, check=True)
        options.examples = str(target / "release/examples")
    inside = ["--inside-services", "--runs", str(options.runs), "--output", options.output]
    inside += ["--examples", options.examples, *(word for row in options.rows or [] for word in ("--row", row))]
    code = isolation.run([*again, *inside])
    if code != 0:
        sys.exit(code)


def measure_inside(options, target, swarmup):
    folder = isolation.enter()
    examples = Path(options.examples)
    swarmd = os.environ.get("SWARMUP_AGENT", str(target / "bundle/release/swarmd-x86_64"))
    is_reached = Bench(options, swarmup, swarmd, examples, target, folder).measure()
    sys.exit(0 if is_reached else 1)
