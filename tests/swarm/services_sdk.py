"""Uses the Docker SDK for Python against the socket and the image named on the command line, on a swarm of one node: services
of every mode, their tasks, what those write, and the node."""

import sys
import time

import docker
from docker.errors import APIError, InvalidArgument, NotFound
from docker.types import Healthcheck, Mount, Resources, RestartPolicy, ServiceMode, UpdateConfig

client = docker.DockerClient(base_url="unix://" + sys.argv[1], version="auto")
image = sys.argv[2]
quick = UpdateConfig(parallelism=0, monitor=10**6)


def shell(text):
    return ["/bin/busybox", "sh", "-c", text]


server = shell("echo up; echo oh >&2; trap 'exit 0' TERM; while :; do /bin/busybox sleep 1 & wait $!; done")


def eventually(what, is_so):
    deadline = time.monotonic() + 40
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def running(service):
    """The tasks that run and are to."""
    tasks = service.tasks(filters={"desired-state": "running"})
    return [task for task in tasks if task["Status"]["State"] == "running"]


def states(service):
    return sorted(task["Status"]["State"] for task in service.tasks())


# One that keeps a number of tasks.
web = client.services.create(
    image,
    server,
    name="web",
    mode=ServiceMode("replicated", 2),
    env=["A=b"],
    labels={"tier": "front"},
    container_labels={"kind": "task"},
    update_config=quick,
)
eventually("two tasks run", lambda: len(running(web)) == 2)
[shown] = client.services.list(filters={"label": "tier=front"}, status=True)
assert shown == web and shown.attrs["ServiceStatus"]["RunningTasks"] == 2, shown.attrs
assert {each.labels["kind"] for each in client.containers.list()} == {"task"}
eventually("both have written", lambda: b"".join(web.logs(stdout=True)) == b"up\nup\n")
assert b"".join(web.logs(stdout=False, stderr=True)) == b"oh\noh\n"
detailed = b"".join(web.logs(stdout=True, details=True, timestamps=True)).splitlines()
assert len(detailed) == 2 and all(f"com.docker.swarm.service.id={web.id}".encode() in line for line in detailed), detailed
assert web.scale(3)
eventually("three tasks run", lambda: len(running(web)) == 3)
before = {task["ID"] for task in running(web)}
web.reload()
assert web.force_update()
eventually("they are replaced", lambda: len(running(web)) == 3 and not before & {task["ID"] for task in running(web)})
eventually("it says so", lambda: (web.reload(), web.attrs["UpdateStatus"]["State"])[1] == "completed")
web.update(env=["A=c"], update_config=quick)
eventually("they have the variable", lambda: [task["Spec"]["ContainerSpec"]["Env"] for task in running(web)] == [["A=c"]] * 3)
web.reload()
assert web.attrs["PreviousSpec"]["TaskTemplate"]["ContainerSpec"]["Env"] == ["A=b"]
followed = web.logs(stdout=True, follow=True)
assert next(followed) == b"up\n"
followed.close()
web.remove()
eventually("no container is left", lambda: client.api.containers(all=True) == [])
try:
    web.reload()
    raise AssertionError("what is removed is found")
except NotFound as error:
    assert error.explanation == f"service {web.id} not found", error

# One on every node, with most of what a task can have.
everywhere = client.services.create(
    image,
    server,
    name="everywhere",
    mode="global",
    hostname="{{.Service.Name}}-{{.Node.Hostname}}",
    resources=Resources(mem_limit=64 << 20, cpu_reservation=10**7),
    restart_policy=RestartPolicy("any", delay=10**9),
    stop_grace_period=2 * 10**9,
    mounts=["kept:/kept:rw", Mount("/scratch", None, type="tmpfs")],
    healthcheck=Healthcheck(test=["CMD", "/bin/busybox", "true"], interval=2 * 10**8),
    init=True,
)
eventually("its task runs", lambda: len(running(everywhere)) == 1)
[container] = client.containers.list(filters={"label": f"com.docker.swarm.service.id={everywhere.id}"})
[node] = client.nodes.list()
assert container.attrs["Config"]["Hostname"] == f"everywhere-{node.attrs['Description']['Hostname']}"
assert container.attrs["HostConfig"]["Memory"] == 64 << 20 and container.health == "healthy", container.attrs
assert container.exec_run(shell("echo x > /kept/x && echo x > /scratch/x && /bin/busybox hostname")).exit_code == 0
try:
    everywhere.scale(2)
    raise AssertionError("a service on every node is scaled")
except InvalidArgument:
    pass
everywhere.remove()

# Jobs, and one that fails.
job = client.services.create(image, shell("echo done"), name="job", mode=ServiceMode("replicated-job", concurrency=2, replicas=3))
eventually("three completions", lambda: states(job) == ["complete"] * 3)
assert b"".join(job.logs(stdout=True)) == b"done\n" * 3
job.reload()
assert job.attrs["Spec"]["Mode"] == {"ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 3}}
assert "LastExecution" in job.attrs["JobStatus"], job.attrs
job.remove()
everyone = client.services.create(image, shell("exit 0"), name="everyone", mode=ServiceMode("global-job"))
eventually("one completion", lambda: states(everyone) == ["complete"])
everyone.remove()
policy = RestartPolicy("on-failure", delay=0, max_attempts=2)
failing = client.services.create(image, shell("exit 3"), name="failing", restart_policy=policy)
eventually("three failures", lambda: states(failing) == ["failed"] * 3)
failed = failing.tasks()[0]["Status"]
assert (failed["Err"], failed["ContainerStatus"]["ExitCode"]) == ("task: non-zero exit (3)", 3), failed
failing.remove()

# The node.
spec = {**node.attrs["Spec"], "Labels": {"disk": "ssd"}, "Availability": "drain"}
assert node.update(spec)
waiting = client.services.create(image, server, name="waiting", constraints=["node.labels.disk == ssd"], maxreplicas=5)
eventually("it waits for a node", lambda: "no suitable node" in waiting.tasks()[0]["Status"].get("Err", ""))
node.reload()
assert node.update({**node.attrs["Spec"], "Availability": "active"})
eventually("it has one", lambda: len(running(waiting)) == 1)
try:
    client.services.create(image, server, name="waiting")
    raise AssertionError("a name is given twice")
except APIError as error:
    assert error.response.status_code == 409, error
waiting.remove()
eventually("no container is left", lambda: client.api.containers(all=True) == [])
print("done")
