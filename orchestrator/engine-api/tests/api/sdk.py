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

update_config = docker.types.UpdateConfig(parallelism=2, delay=7, failure_action="rollback", max_failure_ratio=0.1)
service = client.services.create(
    "busybox:1",
    ["sleep", "1d"],
    name="web",
    labels={"tier": "front"},
    env=["A=b"],
    mode=docker.types.ServiceMode("replicated", 2),
    restart_policy=docker.types.RestartPolicy(condition="on-failure", delay=5, max_attempts=3),
    update_config=update_config,
    endpoint_spec=docker.types.EndpointSpec(ports={8080: (80, "tcp", "host")}),
)
assert service.name == "web" and client.services.get(service.id[:12]) == service
spec = service.attrs["Spec"]
assert spec["UpdateConfig"] == dict(update_config, Order="stop-first"), spec
assert spec["Mode"] == {"Replicated": {"Replicas": 2}} and spec["Labels"] == {"tier": "front"}, spec
port = {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "host"}
assert spec["EndpointSpec"] == {"Mode": "vip", "Ports": [port]}, spec
assert service.attrs["Endpoint"] == {"Spec": spec["EndpointSpec"], "Ports": [port]}, service.attrs
[listed] = client.services.list(filters={"label": ["tier=front"], "mode": "replicated"}, status=True)
assert listed.attrs["ServiceStatus"] == {"RunningTasks": 0, "DesiredTasks": 2, "CompletedTasks": 0}, listed.attrs
assert service.tasks(filters={"desired-state": "running"}) == [] and client.api.tasks() == []
assert service.update(name="web", image="busybox:2", mode=docker.types.ServiceMode("replicated", 2)) == {"Warnings": None}
service.reload()
assert service.attrs["PreviousSpec"] == spec, service.attrs
assert service.scale(5)
service.reload()
assert service.attrs["Spec"]["Mode"] == {"Replicated": {"Replicas": 5}}
try:
    client.services.create("busybox:1", name="web")
    raise AssertionError("a name is taken twice")
except APIError as error:
    assert error.response.status_code == 409, error
assert service.force_update()
assert service.remove()
try:
    client.services.get("web")
    raise AssertionError("a removed service is found")
except NotFound as error:
    assert error.explanation == "service web not found", error

assert list(client.events(since=1, until=2, filters={"type": "node"}, decode=True)) == []
assert client.swarm.leave(force=True)
assert client.info()["Swarm"]["LocalNodeState"] == "inactive"
print("done")
