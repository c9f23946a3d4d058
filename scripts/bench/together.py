"""Ten clusters created at once from one workstation: does its pace cost more than the provider's own limit?

The clouds are emulators that let calls through by token buckets of the published rates and count what they let through.
No workstation can be faster than max over buckets of (calls - what it begins with) / (what comes back a second); what is
promised is twice that. Calls end long before the swarms stand, for hosts and agents share this machine's cores: the last
call is what is held against the promise, and the last swarm is shown beside.

Each provider is measured with the buckets open and a home of its own for each command, so that nobody waits for anybody;
with full buckets of the published rates, and one home; and, where those hold more than ten creates take, once more with
buckets that have LEFT calls at the beginning, as after other work of the same workstation, which its pace knows of.
"""

import collections
import concurrent.futures
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import clouds

CREATES, CALL, LEFT, WITHIN = 10, 0.1, 10, 2.0
PROVIDERS = ["aws", "azure", "gcp"]
# How a refusal for the rate looks in the log of each.
THROTTLED = {"aws": ("code", "RequestLimitExceeded"), "azure": ("status", 429), "gcp": ("status", 403)}
# The buckets of the workstation's own pace, as `drivers/azure/src/rates.rs` and `drivers/gcp/src/cloud.rs` have them:
# what one holds, and what comes back a second. EC2's are emptied by ten creates as they are.
PACES = {
    "azure": {"azure-reads": (250, 25), "azure-writes": (200, 10), "azure-deletes": (200, 10)},
    "gcp": {"gcp.changes": (300, 20), "gcp.reads": (300, 20), "gcp.lists": (150, 10), "gcp.operations": (300, 20)},
}


def measure(options, root, target, again):
    """Starts a cloud after the other, and measures from a network that has it."""
    with_cloud = clouds.build(root, target)
    hosts = CREATES * sum(int(count) for count in options.machines.split("+"))
    swarmup = again[1].partition("=")[2]
    print(f"{hosts} hosts on {os.cpu_count()} cores, {CALL} s a call, swarmup is {swarmup}", flush=True)

    def start(provider, buckets):
        inside = ["--inside-ten", provider, buckets, "--machines", options.machines]
        environment = {**os.environ, "CLOUD_LATENCY": str(CALL), "CLOUD_BUCKETS": buckets}
        command = [with_cloud, provider, *again, *inside]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        *lines, found = done.stdout.splitlines()
        print("\n".join(lines), flush=True)
        return json.loads(found)

    for provider in options.providers or PROVIDERS:
        start(provider, "open")
        if start(provider, "published")["bound"] == 0 and provider in PACES:
            print(f"  the buckets hold more than {CREATES} creates take: with {LEFT} calls left in each", flush=True)
            start(provider, str(LEFT))


def measure_inside(options, swarmup):
    """Creates ten clusters at once; the last line is what was found, as JSON."""
    provider, buckets = options.inside_ten
    managers, workers = options.machines.split("+")
    flags = [*os.environ["CLOUD_OPTIONS"].split(), "--managers", managers, "--workers", workers]
    home = Path(os.environ["SWARMUP_HOME"])
    if buckets.isdigit():
        spend(home / "drivers" / provider, PACES[provider], int(buckets))

    def create(number):
        own = home / str(number) if buckets == "open" else home
        environment = {**os.environ, "SWARMUP_HOME": str(own)}
        command = [swarmup, "create", f"ten-{number}", *flags]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            print(f"bench: `{' '.join(command)}` failed ({done.returncode}):\n{done.stderr}", file=sys.stderr)
        return done.returncode == 0, time.time() - begun

    begun = time.time()
    with concurrent.futures.ThreadPoolExecutor(CREATES) as pool:
        created = list(pool.map(create, range(1, CREATES + 1)))
    calls, throttled, last_call = read_log(provider)
    succeeded = sum(is_done for is_done, _ in created)
    ends = [end for _, end in created]
    bound, narrowest = bound_of(calls, json.loads(os.environ["CLOUD_RATES"]))
    name = f"{CREATES} creates at once, {provider}, {options.machines}, " + {
        "open": "buckets open", "published": "published buckets"
    }.get(buckets, f"{buckets} calls left")
    print(
        f"{name:<56} {succeeded:>2} of {CREATES} done   last call {last_call - begun:6.2f} s   swarms: median "
        f"{statistics.median(ends):6.2f} s, last {max(ends):6.2f} s   {sum(throttled.values())} throttled"
    )
    counted = [f"{bucket} {count}" for bucket, count in sorted(calls.items())]
    counted += [f"{count} {bucket} throttled" for bucket, count in sorted(throttled.items())]
    print(f"  calls let through: {', '.join(counted)}")
    if buckets != "open":
        print("  " + verdict(last_call - begun, max(ends), bound, narrowest, succeeded))
    print(json.dumps({"bound": bound}))


def spend(folder, paces, left):
    """Has the workstation's pace know that all but so many calls of each bucket were made just now."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    full_at = {bucket: time.time() + (burst - left) / per_second for bucket, (burst, per_second) in paces.items()}
    (folder / "pace.json").write_text(json.dumps(full_at))


def read_log(provider):
    """The calls that were let through and those that were not, by bucket, and when the last one was answered."""
    log = os.environ["CLOUD_LOG"]
    if provider == "aws":
        with urllib.request.urlopen(log, timeout=30) as answer:
            entries = [{**entry, "bucket": entry["action"]} for entry in json.load(answer)]
    else:
        entries = [json.loads(line) for line in Path(log).read_text().splitlines()]
        entries = [entry for entry in entries if entry["bucket"] and entry["kind"] != "token"]
    field, value = THROTTLED[provider]
    throttled = collections.Counter(entry["bucket"] for entry in entries if entry[field] == value)
    calls = collections.Counter(entry["bucket"] for entry in entries if entry[field] != value)
    return calls, throttled, max(entry["at"] or 0 for entry in entries)


def bound_of(calls, rates):
    """The least that any workstation needs for these calls, and the bucket for which."""
    waits = [(0.0, "")]
    for bucket, count in calls.items():
        if rate := rates.get(bucket) or rates.get("*"):
            begin, per_second = rate
            waits.append((max(0.0, (count - begin) / per_second), bucket))
    return max(waits)


def verdict(last_call, last_swarm, bound, narrowest, succeeded):
    reach = f"reach {CREATES} done, last call <= {WITHIN:g} x"
    if bound == 0:
        return f"max of (calls - begin) / refill is 0: no bucket is emptied; {reach.split(',')[0]}"
    holds = "holds" if succeeded == CREATES and last_call <= WITHIN * bound else "DOES NOT HOLD"
    return (
        f"max of (calls - begin) / refill is {bound:.2f} s ({narrowest}): last call {last_call / bound:.2f} x, "
        f"last swarm {last_swarm / bound:.2f} x   {reach}: {holds}"
    )
