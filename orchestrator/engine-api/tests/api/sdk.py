"""Uses the Docker SDK for Python against the socket named on the command line: from no swarm to a swarm and back."""

import sys

import docker
from docker.errors import APIError, NotFound

client = docker.DockerClient(base_url="unix://" + sys.argv[1], version="auto")
assert client.ping()
assert client.version()["ApiVersion"] == "1.51"
assert client.info()["Swarm"]["LocalNodeState"] == "inactive"
try:
    client.nodes.list()
    raise AssertionError("a node outside a swarm lists nodes")
except APIError as error:
    assert error.response.status_code == 503, error

node_id = client.swarm.init(advertise_addr="10.0.0.1", listen_addr="0.0.0.0:2377")
assert client.swarm.attrs["JoinTokens"]["Worker"].startswith("SWMTKN-1-")
before = client.swarm.attrs["JoinTokens"]
assert client.swarm.update(rotate_worker_token=True, task_history_retention_limit=7)
client.swarm.reload()
assert client.swarm.attrs["JoinTokens"]["Worker"] != before["Worker"]
assert client.swarm.attrs["JoinTokens"]["Manager"] == before["Manager"]
assert client.swarm.attrs["Spec"]["Orchestration"] == {"TaskHistoryRetentionLimit": 7}
assert client.swarm.get_unlock_key() == {"UnlockKey": ""}

[node] = client.nodes.list(filters={"role": "manager", "name": "node"})
assert node.id == node_id and client.nodes.get("node-1") == node
assert client.nodes.list(filters={"role": "worker"}) == []
spec = {"Availability": "pause", "Role": "manager", "Labels": {"disk": "ssd"}}
assert node.update(spec)
node.reload()
assert node.attrs["Spec"] == spec, node.attrs["Spec"]
try:
    client.api.update_node(node_id, 1, spec)
    raise AssertionError("a stale version is taken")
except APIError as error:
    assert error.response.status_code == 500 and "update out of sequence" in error.explanation, error
try:
    client.nodes.get("nobody")
    raise AssertionError("nobody is found")
except NotFound as error:
    assert error.explanation == "node nobody not found", error
try:
    client.api.remove_node(node_id)
    raise AssertionError("a manager is removed")
except APIError as error:
    assert error.response.status_code == 400, error

assert list(client.events(since=1, until=2, filters={"type": "node"}, decode=True)) == []
assert client.swarm.leave(force=True)
assert client.info()["Swarm"]["LocalNodeState"] == "inactive"
print("done")
