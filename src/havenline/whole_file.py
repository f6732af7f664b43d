"""Files that appear under their name whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def write_whole(path: Path, *, replace: bool) -> Iterator[BinaryIO]:
    """A new file that takes the name `path` when the block ends well, and leaves nothing behind when it
    does not.

    Written beside its place, flushed to the disk, renamed, and the folder flushed, so that a crash or a
    power cut leaves the earlier file or the new one. Readable by its owner alone. Raises FileExistsError
    when `path` exists and `replace` is false, and OSError when it cannot be written.
    """
    if not replace and os.path.lexists(path):
        raise FileExistsError(path)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name[:100]}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if replace:
            Path(temporary).replace(path)
        else:
            _take_free_name(Path(temporary), path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def _take_free_name(temporary: Path, path: Path) -> None:
    """Rename without ever replacing; where the file system has no hard links, as well as it can be done."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:
        if os.path.lexists(path):
            raise FileExistsError(path) from None
        temporary.replace(path)
    else:
        temporary.unlink()


def flush_folder(folder: Path) -> None:
    """Make what was made, renamed or removed in `folder` hold across a power cut. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
