"""Uses the Docker SDK for Python for all that it can do with images.

Arguments: the socket, an archive with the image team/app:1, an open registry, a closed one, its user and password.
"""

import io
import sys
import tarfile
import time

import docker
from docker.errors import APIError, ImageNotFound, NotFound

socket, archive, open_registry, closed_registry, user, password = sys.argv[1:]
client = docker.DockerClient(base_url="unix://" + socket, version="auto")


def refused(kind, call, *arguments, **options):
    try:
        call(*arguments, **options)
    except kind as error:
        return error
    raise AssertionError("nothing is refused")


with open(archive, "rb") as file:
    [image] = client.images.load(file)
assert image.tags == ["team/app:1"], image.tags
assert image.labels == {"name": "app"} and image.attrs["Os"] == "linux"
assert [step["Size"] for step in image.history()] == [2, 1], image.history()
assert client.images.list(name="team/app") == [image] == client.images.list(filters={"label": "name=app"})
assert client.images.list(filters={"dangling": True}) == []
assert client.images.get(image.short_id) == client.images.get("team/app:1") == image
refused(ImageNotFound, client.images.get, "nothing")

assert image.tag(open_registry + "/app", tag="2")
image.reload()
assert sorted(image.tags) == sorted(["team/app:1", open_registry + "/app:2"]), image.tags
saved = b"".join(image.save(named="team/app:1"))
with tarfile.open(fileobj=io.BytesIO(saved)) as contents:
    assert "manifest.json" in contents.getnames()

lines = list(client.images.push(open_registry + "/app", tag="2", stream=True, decode=True))
digest = lines[-1]["aux"]["Digest"]
assert any(line.get("status") == "Pushed" for line in lines), lines
data = client.images.get_registry_data(open_registry + "/app:2")
assert data.id == digest, (data.id, digest)
assert data.has_platform("linux/amd64") or data.has_platform("linux/arm64")
client.images.remove(open_registry + "/app:2")
assert refused(APIError, client.images.remove, "nothing").response.status_code == 404
assert client.images.pull(open_registry + "/app", tag="2") == image
assert client.images.pull(open_registry + "/app@" + digest) == image
error = refused(NotFound, client.images.pull, open_registry + "/none", tag="1")
assert "manifest unknown" in error.explanation, error

files = io.BytesIO()
with tarfile.open(fileobj=files, mode="w") as contents:
    contents.addfile(tarfile.TarInfo("empty"))
client.api.import_image_from_data(files.getvalue(), repository="made", tag="1", changes=["ENV A=1"])
made = client.images.get("made:1")
assert made.attrs["Config"]["Env"] == ["A=1"]

name = closed_registry + "/app"
image.tag(name, tag="1")
credentials = {"username": user, "password": password}
[*_, last] = client.images.push(name, tag="1", stream=True, decode=True)
assert "push access denied" in last["error"], last
[*_, last] = client.images.push(name, tag="1", stream=True, decode=True, auth_config=credentials)
assert last.get("aux", {}).get("Tag") == "1", last
refused(NotFound, client.images.pull, name, tag="1")
assert client.images.pull(name, tag="1", auth_config=credentials) == image
assert client.login(user, password, registry=closed_registry)["Status"] == "Login Succeeded"
assert refused(APIError, client.login, user, "guess", registry=closed_registry, reauth=True).response.status_code == 401

past = client.events(since=1, until=int(time.time()) + 1, filters={"type": "image", "event": "load"}, decode=True)
assert [event["Actor"]["ID"] for event in past] == [image.id]
assert refused(APIError, client.images.search, "app").response.status_code == 501
pruned = client.images.prune(filters={"dangling": False})
assert {"Untagged": "team/app:1"} in pruned["ImagesDeleted"] and pruned["SpaceReclaimed"] > 0, pruned
assert client.images.list() == []
print("done")
