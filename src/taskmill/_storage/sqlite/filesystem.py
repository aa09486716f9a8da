"""What is asked of the file system: that SQLite's write-ahead log is safe on it, and that something is on the disk."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

from taskmill.errors import UnsafeFileSystem

logger = logging.getLogger("taskmill.storage")

MOUNTS = Path("/proc/self/mountinfo")

# WAL needs memory shared between all processes that have the file open (sqlite.org/wal.html, "all processes using
# a database must be on the same host computer").
NETWORK = frozenset(
    [
        *("9p", "afs", "beegfs", "ceph", "cifs", "davfs", "gfs2", "gpfs", "lustre", "ncpfs", "nfs", "nfs4"),
        *("ocfs2", "smb3", "smbfs", "virtiofs"),
        *("fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs"),
    ]
)
LOCAL = frozenset(
    [
        *(
            "aufs",
            "bcachefs",
            "btrfs",
            "ext2",
            "ext3",
            "ext4",
            "f2fs",
            "jfs",
            "nilfs2",
            "reiserfs",
            "xfs",
            "zfs",
        ),
        *("apfs", "exfat", "hfs", "ntfs", "ntfs3", "ufs", "vfat", "erofs", "squashfs", "ubifs"),
        *("devtmpfs", "overlay", "ramfs", "rootfs", "tmpfs", "fuseblk", "fuse.fuse-overlayfs"),
    ]
)


# mountinfo writes blanks, line ends and backslashes as three octal digits.
_ESCAPED = re.compile(r"\\([0-7]{3})")


def check(path: Path, mounts: Path = MOUNTS) -> None:
    """Raise UnsafeFileSystem if *path* lies on a network file system; warn if on one that is not known."""
    kind = kind_of(path, mounts)
    if kind in NETWORK:
        raise UnsafeFileSystem(str(path), kind)
    if kind and kind not in LOCAL:
        logger.warning("%s lies on a %s file system, on which taskmill was never tried", path, kind)


def kind_of(path: Path, mounts: Path = MOUNTS) -> str:
    """The type of the file system that holds *path*; "" where the system does not tell."""
    try:
        lines = os.fsdecode(mounts.read_bytes()).split("\n")
    except OSError:
        return ""
    best, kind = -1, ""
    target = Path(os.path.realpath(path))
    for line in filter(None, lines):
        before, _, after = line.partition(" - ")
        point = Path(_ESCAPED.sub(_character, before.split(" ")[4]))
        # A later line hides an earlier one of the same length.
        if target.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), after.split(" ")[0]
    return kind


def _character(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 8))


def sync(place: Path) -> None:
    """Have what was written to a file, or the names in a folder, on the disk."""
    descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
