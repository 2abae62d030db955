"""A fresh environment: the wheel, what it declares to need, and nothing else.

What pip would download lies in this environment's site-packages already, so its files are linked
rather than fetched: gigabytes in seconds. A distribution that no requirement of the wheel leads to
is not there, and so an undeclared import fails as it would for a stranger.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from email.parser import Parser
from importlib.metadata import Distribution, EntryPoint, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def build(folder: Path) -> tuple[Path, Path]:
    """Build the sdist, and the wheel from what the sdist holds; return both."""
    _hatchling(ROOT, "sdist", folder)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (source,) = (folder / "unpacked").iterdir()
    _hatchling(source, "wheel", folder)
    (wheel,) = folder.glob("*.whl")
    return sdist, wheel


def requirements(wheel: Path) -> list[Requirement]:
    """What the wheel says that it needs, without extras."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
    return _wanted(metadata.get_all("Requires-Dist") or [], {""})


def environment(folder: Path, wheel: Path) -> Path:
    """Make it; return the folder of its programs."""
    venv.create(folder, symlinks=True)
    bin_folder = folder / "bin"
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    command = [str(bin_folder / "python"), "-c", code]
    asked = subprocess.run(command, capture_output=True, text=True, check=True)
    packages = Path(asked.stdout.strip())
    for found in _closure(requirements(wheel)).values():
        for file in found.files or ():
            if ".." not in file.parts:
                _link(Path(str(found.locate_file(file))), packages / file)
        for entry in found.entry_points.select(group="console_scripts"):
            _write_program(bin_folder, entry)
    pip = [sys.executable, "-m", "pip", "--python", str(bin_folder / "python"), "--no-input"]
    subprocess.run([*pip, "install", "-q", "--no-index", "--no-deps", str(wheel)], check=True)
    subprocess.run([*pip, "check"], check=True)
    return bin_folder


def _hatchling(source: Path, target: str, folder: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)


def _wanted(lines: list[str], extras: set[str]) -> list[Requirement]:
    parsed = [Requirement(line) for line in lines]
    return [
        one
        for one in parsed
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras)
    ]


def _closure(first: list[Requirement]) -> dict[str, Distribution]:
    """Every distribution that the requirements lead to, as installed here."""
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    open_ = list(first)
    while open_:
        one = open_.pop()
        name = canonicalize_name(one.name)
        found.setdefault(name, distribution(name))
        for extra in {"", *one.extras}:
            if (name, extra) not in seen:
                seen.add((name, extra))
                open_ += _wanted(found[name].requires or [], {extra})
    return found


def _write_program(bin_folder: Path, entry: EntryPoint) -> None:
    """Write a program as pip does where the path of Python has spaces."""
    program = bin_folder / entry.name
    program.write_text(
        f"#!/bin/sh\n'''exec' \"{bin_folder / 'python'}\" \"$0\" \"$@\"\n' '''\n"
        f"import sys\nfrom {entry.module} import {entry.attr}\nsys.exit({entry.attr}())\n"
    )
    program.chmod(0o755)


def _link(source: Path, target: Path) -> None:
    if target.exists() or not source.is_file():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system
        target.symlink_to(source)
