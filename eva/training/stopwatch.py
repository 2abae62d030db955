"""How long the parts of an epoch take, on a CPU or a GPU."""

from __future__ import annotations

import time

import torch


class Stopwatch:
    """Add up the time between laps by what was done, without making a GPU wait."""

    def __init__(self, device: torch.device) -> None:
        self.seconds: dict[str, float] = {}
        self._cuda = device.type == "cuda"
        self._laps: list[tuple[str, torch.cuda.Event]] = []
        self._last = time.perf_counter()
        if self._cuda:
            self._start = self._event()

    def lap(self, what: str) -> None:
        """Book the time since the last lap under ``what``."""
        if self._cuda:
            self._laps.append((what, self._event()))
            return
        now = time.perf_counter()
        self.seconds[what] = self.seconds.get(what, 0.0) + now - self._last
        self._last = now

    def stop(self) -> None:
        """Wait for the device and sum the laps up."""
        if not self._cuda:
            return
        torch.cuda.synchronize()
        before = self._start
        for what, event in self._laps:
            milliseconds = before.elapsed_time(event)
            self.seconds[what] = self.seconds.get(what, 0.0) + milliseconds / 1000
            before = event

    @staticmethod
    def _event() -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event
