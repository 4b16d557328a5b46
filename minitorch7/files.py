"""Files that are written whole or not at all.

A reader, or the same run started again after a power cut, must never meet half a file. So the bytes
go to a temporary file in the same folder (a rename works only inside one file system), are pushed
down to the disk, and take the final name in one step that the operating system makes indivisible.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

writes = True  # False in the further processes of a distributed lesson: the first writes for all


def write_atomically(path: Path, content: bytes, function: str) -> None:
    """Make `path` hold `content`, and create the folders on the way.

    Where that fails, `path` is as it was before, the temporary file is gone, and the OSError (of
    the same kind: PermissionError, no space left) names `function` and the file.
    """
    if not writes:
        return
    temporary = path.with_name(f".{path.name}.partial")  # one name: a later write clears it up
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # the bytes are on the disk before the name points to them
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise _explained(error, path, len(content), function) from error
        raise


def _sync_folder(folder: Path) -> None:
    """Push the folder's own entry, the new name, down to the disk."""
    if os.name != "posix":
        return  # Windows cannot open a folder, and renames there are journalled
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _explained(error: OSError, path: Path, size: int, function: str) -> OSError:
    """The same error, saying which file it was, that nothing was changed, and what to do."""
    return type(error)(
        error.errno,
        f"{function}: cannot write {path} ({size} bytes): {error.strerror or error}; what stood "
        "there before is unchanged; choose a folder that can be written, or make room on the disk",
    )
