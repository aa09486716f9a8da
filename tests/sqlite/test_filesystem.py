"""File systems on which SQLite's write-ahead log would lose data are refused; told apart by a mountinfo of our own."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from taskmill._storage.sqlite import filesystem, opening
from taskmill.errors import UnsafeFileSystem
from tests.conformance.builders import a_job
from tests.sqlite.conftest import OpenStore

ROOT = ("/", "ext4")


def mounts(tmp_path: Path, *points: tuple[str, str], encoding: str = "utf-8") -> Path:
    """A mountinfo in which *points* are mounted, one after the other."""
    lines = (
        f"{number} 1 0:{number} / {point} rw,relatime shared:{number} - {kind} source rw\n"
        for number, (point, kind) in enumerate(points, start=20)
    )
    file = tmp_path / "mountinfo"
    file.write_bytes("".join(lines).encode(encoding, "surrogateescape"))
    return file


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph"])
def test_a_network_file_system_is_refused_with_what_to_do(kind: str, tmp_path: Path) -> None:
    with pytest.raises(UnsafeFileSystem) as caught:
        filesystem.check(Path("/data/jobs.db"), mounts(tmp_path, ROOT, ("/data", kind)))

    assert str(caught.value) == (
        f"/data/jobs.db lies on a {kind} file system, where SQLite loses data when several processes "
        "write; put the file on a local disk"
    )


@pytest.mark.parametrize("kind", ["ext4", "overlay", "tmpfs", "xfs", "btrfs", "zfs"])
def test_a_local_one_is_fine(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    filesystem.check(Path("/data/jobs.db"), mounts(tmp_path, ROOT, ("/data", kind)))

    assert caplog.text == ""


def test_one_that_is_not_known_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="taskmill.storage"):
        filesystem.check(Path("/data/jobs.db"), mounts(tmp_path, ROOT, ("/data", "fuse.marvel")))

    assert "/data/jobs.db lies on a fuse.marvel file system, on which taskmill was never tried" in caplog.text


def test_the_longest_mount_point_decides(tmp_path: Path) -> None:
    table = mounts(tmp_path, ("/data/local", "ext4"), ROOT, ("/data", "nfs"), ("/data/local/net", "cifs"))

    filesystem.check(Path("/data/local/jobs.db"), table)
    filesystem.check(Path("/database/jobs.db"), table)
    with pytest.raises(UnsafeFileSystem, match="nfs"):
        filesystem.check(Path("/data/jobs.db"), table)
    with pytest.raises(UnsafeFileSystem, match="cifs"):
        filesystem.check(Path("/data/local/net/jobs.db"), table)


def test_what_is_mounted_last_hides_what_was_there(tmp_path: Path) -> None:
    filesystem.check(Path("/data/jobs.db"), mounts(tmp_path, ROOT, ("/data", "nfs"), ("/data", "ext4")))
    with pytest.raises(UnsafeFileSystem):
        filesystem.check(Path("/data/jobs.db"), mounts(tmp_path, ROOT, ("/data", "ext4"), ("/data", "nfs")))


@pytest.mark.parametrize(
    "written, folder",
    [
        (r"/my\040data", "/my data"),
        (r"/tab\011here", "/tab\there"),
        (r"/back\134slash", r"/back\slash"),
        (r"/back\134040slash", r"/back\040slash"),
        ("/données", "/données"),
        ("/\udcff", "/\udcff"),
        ("/next\x85line", "/next\x85line"),
    ],
)
def test_unusual_names_of_folders_are_read_as_they_are(written: str, folder: str, tmp_path: Path) -> None:
    with pytest.raises(UnsafeFileSystem):
        filesystem.check(Path(folder) / "jobs.db", mounts(tmp_path, ROOT, (written, "nfs")))


def test_a_symbolic_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "net")
    real = os.path.realpath(tmp_path / "net")

    with pytest.raises(UnsafeFileSystem):
        filesystem.check(tmp_path / "link" / "jobs.db", mounts(tmp_path, ROOT, (real, "nfs")))


def test_where_the_system_does_not_tell_nothing_is_refused(tmp_path: Path) -> None:
    filesystem.check(Path("/data/jobs.db"), tmp_path / "nothing")


def test_a_store_is_refused_before_anything_is_made(
    tmp_path: Path, path: Path, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = mounts(tmp_path, ROOT, (os.path.realpath(tmp_path), "nfs"))
    check = filesystem.check
    monkeypatch.setattr(opening.filesystem, "check", lambda place: check(place, table))

    with pytest.raises(UnsafeFileSystem):
        open_store().jobs.add([a_job()])

    assert not path.exists()


def test_this_machines_own_table_can_be_read() -> None:
    assert filesystem.kind_of(Path("/proc/self/status")) == "proc"
