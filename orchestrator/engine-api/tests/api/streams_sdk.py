"""Uses the Docker SDK for Python against the socket and the image named on the command line: streams and files of containers."""

import io
import socket
import sys
import tarfile
import time

import docker
from docker.errors import ContainerError

client = docker.DockerClient(base_url="unix://" + sys.argv[1], version="auto")
image = sys.argv[2]
offline = {"network_mode": "none"}


def shell(text):
    return ["sh", "-c", text]


def until_end(stream):
    """All that comes on a socket until the engine ends it."""
    received = b""
    while piece := stream.recv(4096):
        received += piece
    return received


# Programs that are run to their end.
assert client.containers.run(image, ["echo", "hi"], remove=True, **offline) == b"hi\n"
try:
    client.containers.run(image, shell("echo bad >&2; exit 3"), **offline)
    raise AssertionError("a program that fails is fine")
except ContainerError as error:
    assert (error.exit_status, error.stderr) == (3, b"bad\n"), error
pieces = client.containers.run(image, shell("for i in 1 2 3; do echo $i; done"), stream=True, **offline)
assert b"".join(pieces) == b"1\n2\n3\n"

# Programs that are added.
one = client.containers.run(image, ["sleep", "1000"], detach=True, name="one", **offline)
assert one.exec_run("echo hi") == (0, b"hi\n")
both = one.exec_run(shell("echo out; echo err >&2; exit 4"), demux=True)
assert both == (4, (b"out\n", b"err\n")), both
where = one.exec_run(shell("pwd; echo $A"), workdir="/tmp", environment={"A": "b"})
assert where == (0, b"/tmp\nb\n"), where
assert b"".join(one.exec_run(shell("for i in 1 2 3; do echo $i; done"), stream=True).output) == b"1\n2\n3\n"
assert one.exec_run("nothing").exit_code == 127
stream = one.exec_run("cat", stdin=True, socket=True).output._sock
stream.sendall(b"hello\n")
stream.shutdown(socket.SHUT_WR)
assert until_end(stream) == b"\x01\0\0\0\0\0\0\x06hello\n"
added = client.api.exec_create(one.id, "cat", stdin=True, tty=True, detach_keys="ctrl-x,q")["Id"]
stream = client.api.exec_start(added, tty=True, socket=True)._sock
stream.sendall(b"words\n")
while b"words\r\nwords\r\n" not in (shown := stream.recv(4096, socket.MSG_PEEK)):
    assert shown
one.reload()
assert one.attrs["ExecIDs"] == [added], one.attrs["ExecIDs"]
stream.sendall(b"\x18q")
assert until_end(stream) == b"words\r\nwords\r\n"
assert client.api.exec_inspect(added)["Running"] is True
one.remove(force=True)

# Clients on the streams of a container, with what was written before.
for _ in range(10):
    written = client.containers.run(image, shell("echo one; echo two >&2"), detach=True, **offline)
    written.wait()
    assert sorted(written.attach(logs=True).split()) == [b"one", b"two"]
    assert written.attach(logs=True, demux=True) == (b"one\n", b"two\n")
    written.remove()
    talking = client.containers.run(image, shell("echo before; read line; echo after $line"), detach=True, stdin_open=True, **offline)
    while talking.logs() != b"before\n":
        pass
    shown = talking.attach(stream=True, logs=True)
    keys = talking.attach_socket(params={"stdin": 1, "stream": 1})._sock
    keys.sendall(b"all\n")
    assert b"".join(shown) == b"before\nafter all\n"
    talking.remove(force=True)
echo = client.containers.create(image, "cat", stdin_open=True, **offline)
stream = echo.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})._sock
echo.start()
stream.sendall(b"line\n")
assert stream.recv(100) == b"\x01\0\0\0\0\0\0\x05line\n"
echo.remove(force=True)
sized = client.containers.create(image, shell("trap 'busybox stty size; exit' WINCH; echo ready; while :; do sleep 1 & wait $!; done"), tty=True, **offline)
shown = sized.attach(stream=True)
sized.start()
assert next(shown) == b"ready\r\n"
sized.resize(30, 90)
assert b"".join(shown) == b"30 90\r\n"
sized.wait()
sized.remove()

# Logs.
late = client.containers.run(image, shell("echo 1; echo 2; read line; echo late"), detach=True, stdin_open=True, **offline)
lines = late.logs(stream=True, follow=True)
assert (next(lines), next(lines)) == (b"1\n", b"2\n")
assert late.logs(tail=1) == b"2\n" and late.logs(stdout=False) == b""
assert late.logs(since=int(time.time()) - 60, timestamps=True).endswith(b"Z 2\n")
late.attach_socket(params={"stdin": 1, "stream": 1})._sock.sendall(b"go\n")
assert b"".join(lines) == b"late\n"
late.remove(force=True)

# Files, and what becomes of them.
since = int(time.time())
made = client.containers.create(image, "true", name="made", **offline)
packed = io.BytesIO()
with tarfile.open(fileobj=packed, mode="w") as archive:
    entry = tarfile.TarInfo("file")
    entry.size = 3
    archive.addfile(entry, io.BytesIO(b"abc"))
assert made.put_archive("/tmp", packed.getvalue())
content, stat = made.get_archive("/tmp/file")
with tarfile.open(fileobj=io.BytesIO(b"".join(content))) as archive:
    assert archive.extractfile("file").read() == b"abc"
assert (stat["name"], stat["size"]) == ("file", 3), stat
assert {"Path": "/tmp/file", "Kind": 1} in made.diff(), made.diff()
committed = made.commit("made", "1", message="by hand", changes='CMD ["cat", "/tmp/file"]')
assert client.containers.run("made:1", remove=True, **offline) == b"abc"
assert committed.history()[0]["Comment"] == "by hand"
client.api.import_image_from_data(b"".join(made.export()), repository="imported", tag="1")
assert client.containers.run("imported:1", ["cat", "/tmp/file"], remove=True, **offline) == b"abc"
saved = b"".join(committed.save(named=True))
client.images.remove("made:1")
[loaded] = client.images.load(saved)
assert loaded.tags == ["made:1"] and loaded.id == committed.id
usage = client.df()
assert [each["Names"] for each in usage["Containers"]][0] == ["/made"], usage["Containers"]
made.remove()
actions = [event["Action"] for event in client.events(since=since, until=int(time.time()) + 1, decode=True)]
for action in ["extract-to-dir", "archive-path", "commit", "export", "import", "save", "load", "destroy"]:
    assert action in actions, (action, actions)
removed = client.images.prune(filters={"dangling": False})
assert {"Untagged": "made:1"} in removed["ImagesDeleted"], removed
print("done")
