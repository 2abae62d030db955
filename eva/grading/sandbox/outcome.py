"""What a submission may use in the sandbox, what came out of it, and whose fault its end was."""

from __future__ import annotations

import hashlib
import hmac
import signal
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from eva.grading.sandbox.record import MAC_BYTES
from eva.grading.sandbox.tiers import Tier

MIB = 1 << 20
_BUSY = 0.5  # share of the wall clock that a program computes which is slow by its own fault


@dataclass(frozen=True, kw_only=True)
class SandboxLimits:
    """What a submission may use while it is imported and exported.

    Attributes:
        wall_seconds: From the start of its process.
        cpu_seconds: Seconds of processor time for each of its processes.
        memory_bytes: Address space of each of its processes, beyond what torch has mapped.
        file_bytes: Largest file; at tier A all its files together.
        open_files: File descriptors.
        processes: Processes and threads; not limited at tier C.
        output_bytes: Largest record.
        source_bytes: Bytes of all its sources together.
        source_files: How many .py files.
    """

    wall_seconds: float = 60
    cpu_seconds: int = 60
    memory_bytes: int = 4096 * MIB
    file_bytes: int = 64 * MIB
    open_files: int = 256
    processes: int = 16
    output_bytes: int = 32 * MIB
    source_bytes: int = 4 * MIB
    source_files: int = 200


class MemoryLimit(StrEnum):
    """What held the memory of a submission."""

    CONTROL_GROUP = "control group"
    ADDRESS_SPACE = "address space"


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """What came out of the sandbox, still untrusted.

    Attributes:
        tier: Tier of the walls it came out of.
        status: "done"; by the student's fault "crashed", "timeout", "memory", "output" or
            "no-record"; and where it may be the machine's fault "stalled" (the time was up though
            little was computed) or "killed" (nobody knows why).
        captured: Length of the header, JSON header, numbers; empty unless done.
        message: For the student, in a stranger's words perhaps: escape it.
        trace: Their traceback, if there is one outside the record.
        seconds: Wall time of their process.
        memory_limit: The control group, or only the address space of each process.
    """

    tier: Tier
    status: str
    captured: bytes
    message: str
    trace: str | None
    seconds: float
    memory_limit: MemoryLimit = MemoryLimit.ADDRESS_SPACE


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a submission's process ended; see :class:`Extraction`."""

    status: str
    message: str
    seconds: float = 0.0
    captured: bytes = b""


def ending_of(
    record: bytes,
    end: dict[str, Any],
    *,
    key: bytes,
    limits: SandboxLimits,
    out_of_memory: bool,
) -> Ending:
    """Read a record and the guard's words about the process that should have written it.

    Args:
        record: What came through the pipe.
        end: "end" is "exit", "signal" or "timeout", "code" the exit code or signal, "seconds" and
            "cpu" the wall time and what was computed in it.
        key: Key of the record's MAC.
        limits: The limits that held.
        out_of_memory: Whether the control group has killed a process meanwhile.
    """
    seconds, cpu = float(end.get("seconds", 0.0)), float(end.get("cpu", 0.0))
    if len(record) > limits.output_bytes:
        message = f"more than {limits.output_bytes:,} bytes came out of the submission."
        return Ending(status="output", message=message, seconds=seconds)
    body, mac = record[:-MAC_BYTES], record[-MAC_BYTES:]
    whole = hmac.compare_digest(hmac.digest(key, body, hashlib.sha256), mac)
    code = end.get("code")
    match end.get("end"):
        case "exit" if code == 0 and whole and body:
            return Ending(status="done", message="", seconds=seconds, captured=body)
        case "exit":
            status, message = "no-record", (
                f"the program ended itself (exit code {code}) before its model was read. "
                "A submission is imported; it must not call exit()."
            )  # fmt: skip
        case "timeout" if cpu < _BUSY * limits.wall_seconds:
            status, message = "stalled", (
                f"importing and building took more than {limits.wall_seconds:g} s, of which "
                f"{cpu:.1f} s were spent computing: it waits for something, or the grader's "
                "machine was too busy."
            )  # fmt: skip
        case "timeout":
            status, message = "timeout", (
                f"importing and building took more than {limits.wall_seconds:g} s. "
                "Training belongs to the recipe, not to the file."
            )  # fmt: skip
        case "signal" if code == signal.SIGKILL and out_of_memory:
            status = "memory"
            message = f"it took more than {limits.memory_bytes:,} bytes of memory."
        case "signal" if code == signal.SIGXCPU or (
            code == signal.SIGKILL and cpu >= limits.cpu_seconds
        ):
            status = "timeout"
            message = f"importing and building took more than {limits.cpu_seconds} s of CPU."
        case "signal" if code == signal.SIGKILL:
            status, message = "killed", (
                "the program was killed; perhaps the grader's machine had no memory left."
            )  # fmt: skip
        case _:
            status, message = "crashed", f"the program was ended by {_signal_name(code)}."
    return Ending(status=status, message=message, seconds=seconds)


def _signal_name(code: object) -> str:
    try:
        return signal.Signals(code).name if isinstance(code, int) else "a signal"
    except ValueError:
        return f"signal {code}"
