"""Creating a swarm at a cloud, with the cloud's own slowness made up: what of it is ours?

Each call takes CALL seconds and each machine BOOT seconds to start; the machines are namespaces, the clouds emulators.
What is measured is the time from the command to the swarm, and what is promised of it is the machines' start, the calls
that wait for one another (which the driver names) with three to spare, and three seconds.
"""

import json
import os
import statistics
import subprocess
import sys
import time

CALL, BOOT, SPARE_CALLS, OURS = 0.2, 10.0, 3, 3.0
PROVIDERS = ["aws", "azure", "gcp"]


def measure(options, root, target, again):
    """Starts a cloud after the other, and measures from a network that has it."""
    with_cloud = build(root, target)
    for provider in PROVIDERS:
        environment = {**os.environ, "CLOUD_LATENCY": str(CALL), "CLOUD_BOOT": str(BOOT)}
        inside = ["--runs", str(options.runs), "--inside-cloud", provider]
        subprocess.run([with_cloud, provider, *again, *inside], cwd=root, env=environment, check=True)


def build(root, target):
    """Builds the program that starts a cloud, as the tests do, so that nothing is compiled twice; tells where it is."""
    options = ["--workspace", "--features", "swarmup/clouds", "--example", "with_cloud"]
    subprocess.run(["cargo", "build", "--quiet", *options], cwd=root, check=True)
    return str(target / "debug/examples/with_cloud")


def measure_inside(options, swarmup):
    provider = options.inside_cloud
    flags = os.environ["CLOUD_OPTIONS"].split()
    # The agent that is built in, as a user would have it.
    environment = {name: value for name, value in os.environ.items() if name != "SWARMUP_AGENT"}

    def run(*arguments):
        done = subprocess.run([swarmup, *arguments], env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"bench: `swarmup {' '.join(arguments)}` failed ({done.returncode}):\n{done.stderr}{done.stdout}")
        return done.stdout

    plan = json.loads(run("plan", "bench", *flags, "--output", "json"))
    path = plan["estimate"]["path"]
    created, destroyed = [], []
    for _ in range(options.runs):
        begun = time.monotonic()
        run("create", "bench", *flags)
        created.append(time.monotonic() - begun)
        begun = time.monotonic()
        run("destroy", "bench", "--yes")
        destroyed.append(time.monotonic() - begun)
    reach = BOOT + (len(path) + SPARE_CALLS) * CALL + OURS
    for what, times, limit in [("create", created, f"reach <= {reach:.1f} s"), ("destroy", destroyed, "")]:
        name = f"{what}, {provider}, 3+2, {CALL} s a call, {BOOT:.0f} s a boot"
        median, worst = statistics.median(times), max(times)
        print(f"{name:<44} {len(times):>2} runs   median {median:6.2f} s   worst {worst:6.2f} s   {limit}", flush=True)
    print(f"  the calls that wait for one another: {', '.join(path)}", flush=True)
