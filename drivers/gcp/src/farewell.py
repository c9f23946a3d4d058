"""Deletes the machines that carry this cluster's label, by the service account that its managers have.

A machine without a service account changes nothing. Its own machine comes last, once all others are being deleted. Gives
up after ten minutes.
"""
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

ENDPOINT, LABEL, VALUE = sys.argv[1:]
METADATA = "http://169.254.169.254/computeMetadata/v1/"
DEADLINE = time.monotonic() + 600
# The address is the machine's own link: no proxy knows it.
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def metadata(path):
    request = urllib.request.Request(METADATA + path, headers={"Metadata-Flavor": "Google"})
    with direct.open(request, timeout=20) as answer:
        return answer.read().decode()


def call(method, url, token):
    request = urllib.request.Request(url, headers={"Authorization": "Bearer " + token}, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def machines(base, token):
    query = {"filter": f'labels.{LABEL}="{VALUE}"'}
    while True:
        page = call("GET", base + "aggregated/instances?" + urllib.parse.urlencode(query), token)
        for scope, inside in page.get("items", {}).items():
            for machine in inside.get("instances", []):
                if machine.get("labels", {}).get(LABEL) == VALUE:
                    yield f"{scope}/instances/{machine['name']}"
        if not page.get("nextPageToken"):
            return
        query["pageToken"] = page["nextPageToken"]


def delete_all():
    token = json.loads(metadata("instance/service-accounts/default/token"))["access_token"]
    base = f"{ENDPOINT}/compute/v1/projects/{metadata('project/project-id')}/"
    own = f"zones/{metadata('instance/zone').rpartition('/')[2]}/instances/{metadata('instance/name')}"
    failed = None
    for machine in sorted(machines(base, token), key=lambda machine: machine == own):
        if machine == own and failed:
            break
        try:
            call("DELETE", base + machine, token)
        except urllib.error.HTTPError as error:
            if error.code != 404:
                failed = error
    if failed:
        raise failed


pause = 2
while True:
    try:
        delete_all()
        break
    except urllib.error.HTTPError as error:
        print(f"{error.url.partition('?')[0]}: {error}", file=sys.stderr)
        if error.url.startswith(METADATA) and error.code == 404:
            break  # This machine has no service account.
    except (OSError, ValueError, KeyError) as error:
        print(error, file=sys.stderr)
    if time.monotonic() + pause > DEADLINE:
        break
    time.sleep(pause)
    pause = min(2 * pause, 30)
