"""Deletes the resource group that this machine is in, by the identity of the cluster's managers.

A machine that does not have the identity changes nothing. A timer may be a machine's that was off when the end of the
cluster was moved: what it asks for is left undone while the group's own tag names a later moment. It follows the
beginning that all such programs share (`program.py` of the contract).
"""
ENDPOINT, GROUP, IDENTITY, EXPIRES = sys.argv[1:]


def azure(path, version, **query):
    query["api-version"] = version
    return metadata("metadata/" + path, ("Metadata", "true"), query)


def was_moved(url, token):
    """Whether this is the end of a time that was moved."""
    if os.environ.get("SWARMUP_END") != "expiry":
        return False
    tags = json.loads(call("GET", url, token)).get("tags", {})
    return int(tags.get(EXPIRES, 0)) > time.time()


def delete_group():
    subscription = azure("instance/compute/subscriptionId", "2021-02-01", format="text").strip()
    group = f"/subscriptions/{subscription}/resourceGroups/{GROUP}"
    identity = f"{group}/providers/{IDENTITY}"
    answer = azure("identity/oauth2/token", "2018-02-01", resource=ENDPOINT + "/", msi_res_id=identity)
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


persist(delete_group, is_over)
