"""Uses the Docker SDK for Python against the socket and the image named on the command line: containers from end to end."""

import sys

import docker
from docker.errors import APIError, ImageNotFound, NotFound
from docker.types import Healthcheck, LogConfig, Mount, Ulimit

client = docker.DockerClient(base_url="unix://" + sys.argv[1], version="auto")
image = sys.argv[2]

container = client.containers.create(
    image,
    ["sh", "-c", "trap 'exit 5' TERM; echo out; echo err >&2; while :; do sleep 1 & wait $!; done"],
    name="web",
    network_mode="none",
    environment={"A": "b"},
    labels={"tier": "front"},
    mem_limit="64m",
    healthcheck=Healthcheck(test=["CMD", "true"], interval=1000000000),
    log_config=LogConfig(type=LogConfig.types.JSON, config={"max-size": "1m"}),
    mounts=[Mount("/data", "kept", type="volume")],
    ulimits=[Ulimit(name="nofile", soft=64, hard=128)],
    restart_policy={"Name": "on-failure", "MaximumRetryCount": 1},
    ports={"80/tcp": 8080},
    stop_signal="TERM",
    tty=False,
)
assert container.status == "created" and container.name == "web", container.attrs
container.start()
container.reload()
assert container.status == "running"
assert container.attrs["HostConfig"]["Memory"] == 64 << 20
assert container.attrs["HostConfig"]["Ulimits"] == [{"Name": "nofile", "Hard": 128, "Soft": 64}]
assert container.attrs["Config"]["Healthcheck"]["Test"] == ["CMD", "true"]
assert "A=b" in container.attrs["Config"]["Env"]
assert container.image.tags == [image], container.image.tags
assert [each.name for each in client.containers.list(filters={"label": "tier=front"})] == ["web"]
assert client.containers.list(filters={"name": "nobody"}) == []
for line in container.logs(stream=True, follow=True, stderr=False):
    assert line == b"out\n", line
    break
assert container.top()["Titles"][-1] == "CMD"
stats = container.stats(stream=False)
assert stats["cpu_stats"]["cpu_usage"]["total_usage"] > 0 and stats["memory_stats"]["limit"] == 64 << 20, stats
for _, reading in zip(range(2), container.stats(decode=True)):
    assert reading["name"] == "/web"
container.pause()
container.unpause()
updated = container.update(mem_limit="96m", memswap_limit="192m")
assert updated == {"Warnings": []}, updated
container.rename("shop")
assert client.containers.get("shop").attrs["HostConfig"]["Memory"] == 96 << 20
try:
    container.remove()
    raise AssertionError("a container that runs is removed")
except APIError as error:
    assert error.response.status_code == 409, error
container.stop(timeout=20)
assert container.wait() == {"StatusCode": 5}
assert container.logs(stdout=True, stderr=False) == b"out\n"
assert container.logs(stdout=False, stderr=True, tail=1) == b"err\n"
container.remove(v=True)
try:
    client.containers.get("shop")
    raise AssertionError("what is removed is found")
except NotFound as error:
    assert error.explanation == "No such container: shop", error

once = client.containers.run(image, ["sh", "-c", "exit 3"], detach=True, network_mode="none")
assert once.wait()["StatusCode"] == 3
pruned = client.containers.prune(filters={"label!": "keep"})
assert pruned["ContainersDeleted"] == [once.id], pruned
try:
    client.containers.create("nothing:1", network_mode="none")
    raise AssertionError("an image that is not there is found")
except ImageNotFound as error:
    assert error.explanation == "No such image: nothing:1", error
print("done")
