"""The image that both run: Debian's static busybox, in one layer, in the form that `docker load` takes."""

import hashlib
import io
import json
import tarfile

# Its first process ends when it is asked to.
PROGRAM = "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done"
NAMES = ["sh", "sleep", "true"]


def make(busybox):
    """The archive, and the image's id: the digest by which it is named everywhere."""
    with io.BytesIO() as layer:
        with tarfile.open(fileobj=layer, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for folder in ("bin", "dev", "etc", "proc", "sys", "tmp"):
                add(archive, folder, kind=tarfile.DIRTYPE, mode=0o755)
            add(archive, "bin/busybox", busybox.read_bytes(), mode=0o755)
            for name in NAMES:
                add(archive, f"bin/{name}", kind=tarfile.SYMTYPE, target="busybox")
        content = layer.getvalue()
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["sh", "-c", PROGRAM]},
        "created": "1970-01-01T00:00:00Z",
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(content).hexdigest()}"]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "busybox"}],
    }
    text = json.dumps(config).encode()
    digest = hashlib.sha256(text).hexdigest()
    manifest = [{"Config": f"{digest}.json", "RepoTags": ["bench:1"], "Layers": ["layer.tar"]}]
    with io.BytesIO() as whole:
        with tarfile.open(fileobj=whole, mode="w") as archive:
            add(archive, f"{digest}.json", text)
            add(archive, "layer.tar", content)
            add(archive, "manifest.json", json.dumps(manifest).encode())
        return whole.getvalue(), f"sha256:{digest}"


def add(archive, name, content=b"", kind=tarfile.REGTYPE, mode=0o644, target=""):
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.size, member.linkname = kind, mode, len(content), target
    archive.addfile(member, io.BytesIO(content))
