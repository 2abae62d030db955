"""Reads one archive in a process of its own, which may take so much time and memory and no more.

It is run as a script, imports nothing but the standard library, and writes what it finds to
stdout: for each entry a line of JSON and then its content, and a last line that says how it ended.

References:
    PKWARE, APPNOTE.TXT; POSIX.1-2001, pax interchange format. Both let a few bytes say that much
    more is to come: what they say is believed by nobody here.
"""

from __future__ import annotations

import io
import json
import stat
import sys
import tarfile
import zipfile
from collections.abc import Callable
from typing import IO

Read = Callable[[int], bytes]

MAX_ITEMS = 20_000  # entries of one folder or archive
MAX_UNPACKED = 1_000_000_000  # bytes that an archive may unpack to
MAX_MEMBER = 2_000_000  # bytes of a .py file; larger ones are listed, never read
MAX_NOTEBOOK = 10_000_000  # bytes of a notebook, with its pictures; likewise
MAX_INNER = 50_000_000  # bytes of an archive in an archive; a larger one is listed, never opened
MAX_DEPTH = 2  # archives in an archive, one in the other
MAX_NAME = 1000  # characters of a name
SECONDS = 8  # of computing, for one archive
MEMORY = 512_000_000  # bytes of address space, likewise

FILE, LINK, OTHER = "file", "link", "device, pipe or socket"


class Refused(Exception):
    """A submission that can't be graded, and why; becomes a row of the gradebook."""


class Writer:
    """Writes entries, and content of Python files and notebooks up to so many bytes together."""

    def __init__(self, most_bytes: int) -> None:
        self._left = most_bytes
        self._count = 0

    def entry(self, name: str, kind: str, size: int, read: Read) -> None:
        """Write one; ``read`` gives at most so many bytes of its content."""
        self._count += 1
        if self._count > MAX_ITEMS:
            raise Refused(f"the archive holds more than {MAX_ITEMS:,} files")
        if len(name) > MAX_NAME:
            raise Refused(f"the name {name[:60]!r}... in the archive is too long")
        content = b""
        read_here = (".py", ".ipynb", "_metadata.yml")
        wanted = kind == FILE and name.lower().endswith(read_here) and self._left > 0
        if wanted:
            content = read(min(most_of(name), self._left) + 1)
            self._left -= len(content)
        value = {
            "name": name,
            "kind": kind,
            "size": max(size, len(content)),
            "bytes": len(content),
            "read": wanted,
        }
        sys.stdout.buffer.write(json.dumps(value).encode() + b"\n" + content)


def most_of(name: str) -> int:
    """Bytes that a file of this name may have."""
    return MAX_NOTEBOOK if name.lower().endswith(".ipynb") else MAX_MEMBER


def read_zip(path: str | IO[bytes], writer: Writer, inside: str = "", depth: int = 0) -> None:
    """Write all entries of a zip archive, and those of zip archives in it below their names."""
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        if len(infos) > MAX_ITEMS:
            raise Refused(f"the archive holds {len(infos):,} files; at most {MAX_ITEMS:,}")
        if sum(info.file_size for info in infos) > MAX_UNPACKED:
            raise Refused(f"the archive unpacks to more than {MAX_UNPACKED:,} bytes")
        for info in infos:
            if info.is_dir():
                continue

            def read(most: int, info: zipfile.ZipInfo = info) -> bytes:
                if info.flag_bits & 1:
                    raise Refused("the archive is encrypted")
                with archive.open(info) as file:
                    return file.read(most)

            kind = LINK if stat.S_ISLNK(info.external_attr >> 16) else FILE
            name = inside + zip_name(info)
            small = info.file_size <= MAX_INNER and depth < MAX_DEPTH
            if kind == FILE and small and name.lower().endswith(".zip"):
                content = io.BytesIO(read(MAX_INNER))
                if zipfile.is_zipfile(content):
                    read_zip(content, writer, f"{name}/", depth + 1)
                    continue
            writer.entry(name, kind, info.file_size, read)


def zip_name(info: zipfile.ZipInfo) -> str:
    """Name of an entry, whose encoding old programs do not say.

    Python reads it as CP437. Where its bytes are UTF-8, or Chinese of GBK, they are read as that.
    """
    if info.flag_bits & 0x800 or info.filename.isascii():
        return info.filename
    try:
        raw = info.filename.encode("cp437")
    except UnicodeEncodeError:
        return info.filename
    for encoding in ("utf-8", "gb2312", "gbk"):
        try:
            name = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding != "gbk" or _common_chinese(name):
            return name
    return info.filename


def _common_chinese(name: str) -> bool:
    """Whether half of a name's letters beyond ASCII are in GB2312, so that GBK is no accident."""
    letters = [char for char in name if ord(char) > 127]
    common = 0
    for char in letters:
        try:
            char.encode("gb2312")
        except UnicodeEncodeError:
            continue
        common += 1
    return 2 * common >= len(letters)


def read_tar(path: str, writer: Writer) -> None:
    """The same of a tar archive, as a stream: a member is unpacked once."""
    with tarfile.open(path, "r|*") as archive:
        unpacked = 0
        for info in archive:
            unpacked += info.size
            if unpacked > MAX_UNPACKED:
                raise Refused(f"the archive unpacks to more than {MAX_UNPACKED:,} bytes")
            if info.isdir():
                continue

            def read(most: int, info: tarfile.TarInfo = info) -> bytes:
                file = archive.extractfile(info)
                assert file is not None, "a regular member has content"
                return file.read(most)

            kind = LINK if info.issym() or info.islnk() else OTHER
            writer.entry(info.name, FILE if info.isreg() else kind, info.size, read)


def main() -> None:
    """Arguments: the archive, the bytes of Python to give at most, seconds, bytes of memory."""
    path, most_bytes, seconds, memory = sys.argv[1], *map(int, sys.argv[2:5])
    try:
        import resource
    except ImportError:  # not Unix: the clock of the other side is all there is
        pass
    else:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        writer = Writer(most_bytes)
        (read_zip if path.lower().endswith(".zip") else read_tar)(path, writer)
        end = ""
    except Refused as why:
        end = str(why)
    except MemoryError:
        end = f"unpacking it takes more than {memory:,} bytes of memory"
    except Exception as error:  # parsers of archives raise whatever hostile bytes lead them to
        detail = error.strerror if isinstance(error, OSError) and error.strerror else error
        end = f"the archive can't be read: {detail}"
    sys.stdout.buffer.write(json.dumps({"end": end[:MAX_NAME]}).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
