"""A place of its own for a measurement: nothing of it reaches the machine's network, mounts or processes.

The outer process starts an inner one in new namespaces (network, mounts, processes) with no link but `lo`. The inner one
ends, and takes away what it made, when the outer one goes: it reads its standard input, which ends then. Whatever it
leaves is killed with its namespace of processes. What lies outside of namespaces, control groups and files, is removed by
exact name, by the outer one.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
# How long the inner process may take to take its things away before they are killed.
GRACE = 60.0


def run(command):
    """Runs the command as the inner process, with the folder of its own in BENCH_FOLDER; gives its exit code."""
    # The first process collects those whose parents have ended; the words after the command keep it from becoming it.
    first = ["sh", "-c", '"$@"; exit $?', "sh", *command]
    namespaces = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
    folder = Path(tempfile.mkdtemp(prefix="swarmup-bench-", dir="/var/tmp"))
    environment = {**os.environ, "BENCH_FOLDER": str(folder), "TMPDIR": str(folder)}
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit("bench: ended from outside"))
    inner = subprocess.Popen([*namespaces, *first], stdin=subprocess.PIPE, env=environment, start_new_session=True)
    try:
        return inner.wait()
    finally:
        inner.stdin.close()
        try:
            inner.wait(GRACE)
        except subprocess.TimeoutExpired:
            inner.kill()
            inner.wait()
        remove_groups(group_of(folder))
        for cluster in (folder / "lib/swarmup/local").glob("*"):
            remove_groups(f"swarmup/{cluster.name}")
        shutil.rmtree(folder)


def enter():
    """Makes the inner process at home in its namespaces; gives its folder, on a file system that overlays can lie on."""
    end_with_standard_input()
    folder = Path(os.environ["BENCH_FOLDER"])
    if not overlays_can_lie_on(folder):
        call("mount", "-t", "tmpfs", "tmpfs", str(folder))
    (folder / "lib").mkdir()
    # What swarmup and the daemons keep at fixed places.
    call("mount", "--bind", str(folder / "lib"), "/var/lib")
    call("mount", "-t", "tmpfs", "tmpfs", "/run")
    call("ip", "link", "set", "lo", "up")
    return folder


def group_of(folder):
    """The control group, relative to each hierarchy, of what has no other."""
    return folder.name


def end_with_standard_input():
    def end(*_):
        # Only the first word counts: what follows must not end the clearing away.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        sys.exit("bench: ended from outside")

    def watch():
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    threading.Thread(target=watch, daemon=True).start()


def overlays_can_lie_on(folder):
    trial = folder / "trial"
    layers = [trial / name for name in ("lower", "upper", "work", "merged")]
    for layer in layers:
        layer.mkdir(parents=True)
    lower, upper, work, merged = layers
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    mount = ["mount", "-t", "overlay", "overlay", "-o", options, str(merged)]
    is_mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    if is_mounted:
        call("umount", str(merged))
    shutil.rmtree(trial)
    return is_mounted


def remove_groups(relative):
    """Removes a control group and those below it, in every hierarchy."""
    for hierarchy in [CGROUPS, *CGROUPS.iterdir()]:
        top = hierarchy / relative
        if not hierarchy.is_dir() or not top.is_dir():
            continue
        groups = [Path(folder) for folder, _, _ in os.walk(top, topdown=False)]
        for group in groups:
            with contextlib.suppress(OSError):
                group.rmdir()


def call(*command):
    subprocess.run(command, check=True)
