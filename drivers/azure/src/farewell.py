"""Deletes the resource group that this machine is in, by the identity of the cluster's managers.

A machine that does not have the identity changes nothing. A timer may be a machine's that was off when the end of the
cluster was moved: what it asks for is left undone while the group's own tag names a later moment. Gives up after ten
minutes.
"""
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

ENDPOINT, GROUP, IDENTITY, EXPIRES = sys.argv[1:]
METADATA = "http://169.254.169.254/metadata/"
DEADLINE = time.monotonic() + 600
# The address is the machine's own link: no proxy knows it.
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def metadata(path, version, **query):
    query["api-version"] = version
    url = METADATA + path + "?" + urllib.parse.urlencode(query)
    request = urllib.request.Request(url, headers={"Metadata": "true"})
    with direct.open(request, timeout=20) as answer:
        return answer.read().decode()


def call(method, url, token):
    request = urllib.request.Request(url, headers={"Authorization": "Bearer " + token}, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode()


def was_moved(url, token):
    """Whether this is the end of a time that was moved."""
    if os.environ.get("SWARMUP_END") != "expiry":
        return False
    tags = json.loads(call("GET", url, token)).get("tags", {})
    return int(tags.get(EXPIRES, 0)) > time.time()


def delete_group():
    subscription = metadata("instance/compute/subscriptionId", "2021-02-01", format="text").strip()
    group = f"/subscriptions/{subscription}/resourceGroups/{GROUP}"
    identity = f"{group}/providers/{IDENTITY}"
    answer = metadata("identity/oauth2/token", "2018-02-01", resource=ENDPOINT + "/", msi_res_id=identity)
    token = json.loads(answer)["access_token"]
    url = f"{ENDPOINT}{group}?api-version=2024-11-01"
    if was_moved(url, token):
        print(f"the end of {GROUP} was moved: it stays", file=sys.stderr)
    else:
        call("DELETE", url, token)


def is_over(error):
    """Whether trying again changes nothing."""
    if error.url.startswith(METADATA):
        return error.code == 400  # This machine has no such identity.
    return error.code == 404 or "ResourceGroupBeingDeleted" in error.read().decode(errors="replace")


pause = 2
while True:
    try:
        delete_group()
        break
    except urllib.error.HTTPError as error:
        print(f"{error.url.partition('?')[0]}: {error}", file=sys.stderr)
        if is_over(error):
            break
    except (OSError, ValueError, KeyError) as error:
        print(error, file=sys.stderr)
    if time.monotonic() + pause > DEADLINE:
        break
    time.sleep(pause)
    pause = min(2 * pause, 30)
