"""Deletes the machines that carry this cluster's label, by the service account that its managers have.

A machine without a service account changes nothing. Its own machine comes last, once all others are being deleted. It
follows the beginning that all such programs share (`program.py` of the contract).
"""
ENDPOINT, LABEL, VALUE = sys.argv[1:]


def google(path):
    return metadata("computeMetadata/v1/" + path, ("Metadata-Flavor", "Google"))


def machines(base, token):
    query = {"filter": f'labels.{LABEL}="{VALUE}"'}
    while True:
        page = json.loads(call("GET", base + "aggregated/instances?" + urllib.parse.urlencode(query), token))
        for scope, inside in page.get("items", {}).items():
            for machine in inside.get("instances", []):
                if machine.get("labels", {}).get(LABEL) == VALUE:
                    yield f"{scope}/instances/{machine['name']}"
        if not page.get("nextPageToken"):
            return
        query["pageToken"] = page["nextPageToken"]


def delete_all():
    token = json.loads(google("instance/service-accounts/default/token"))["access_token"]
    base = f"{ENDPOINT}/compute/v1/projects/{google('project/project-id')}/"
    own = f"zones/{google('instance/zone').rpartition('/')[2]}/instances/{google('instance/name')}"
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


# The metadata server knows no account where this machine has none.
persist(delete_all, lambda error: error.url.startswith(METADATA) and error.code == 404)
