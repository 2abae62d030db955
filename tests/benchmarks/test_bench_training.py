"""What the benchmark of training says of its measurements, and of peers that it can't run."""

import importlib
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def bench() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(HERE)
        yield importlib.import_module("bench_training")


def test_an_unknown_peer_is_skipped_with_its_name(
    bench: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    skipped: dict[str, str] = {}
    chosen = bench.choose("keras, tensorflow", skipped)
    assert list(chosen) == ["keras"]
    assert "pytorch, " in skipped["tensorflow"]
    assert "skipped tensorflow" in capsys.readouterr().out


def test_a_peer_that_is_not_installed_or_broken_is_skipped(
    bench: ModuleType, tmp_path: Path
) -> None:
    peer = bench.PEERS["lightning"]
    with pytest.raises(bench.Skipped, match="make bench"):
        bench.run(peer, tmp_path / "python", tmp_path)
    broken = bench.Contestant(module="nothing_of_this_name")
    with pytest.raises(bench.Skipped, match="nothing_of_this_name"):
        bench.run(broken, Path(sys.executable), tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_without_a_gpu_its_benchmark_says_so_once(tmp_path: Path) -> None:
    out = tmp_path / "cuda.json"
    command = [sys.executable, str(HERE / "bench_cuda.py"), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (line,) = done.stdout.splitlines()
    assert line.startswith("no GPU")
    assert not out.exists()


def test_ratios_are_taken_within_a_round(bench: ModuleType) -> None:
    def rounds(*epochs: float) -> list[dict[str, object]]:
        return [
            {"seconds": [9.0, s], "test_accuracy": 98.0, "process_seconds": 20.0, "versions": {}}
            for s in epochs
        ]

    results = {"eva": rounds(2, 4), "pytorch": rounds(6, 12), "keras": rounds(20, 20)}
    results |= {"eva bf16 compiled": rounds(1, 2), "pytorch bf16": rounds(5, 10)}
    chosen = Namespace(images=1280, rounds=2)
    floors = [{"eager": 0.1, "bf16": 0.2}, {"eager": 0.3, "bf16": 0.2}]
    found = bench.summary(chosen, results, floors)
    assert found["ratios"]["eva"]["best_peer"] == "pytorch"
    assert found["ratios"]["eva"]["to_floor"] == {"median": 2.0, "lowest": 2.0, "highest": 2.0}
    assert found["ratios"]["eva"]["best_peer_to_it"]["median"] == 3.0
    assert found["contestants"]["eva"]["first_epoch_seconds"] == 9.0
    # One that computes in float32 is not held to a peer that does not.
    assert found["ratios"]["eva bf16 compiled"]["best_peer"] == "pytorch bf16"
    assert found["ratios"]["eva bf16 compiled"]["best_peer_to_it"]["median"] == 5.0


def test_a_start_is_timed_by_what_is_typed(bench: ModuleType) -> None:
    found = bench.start_up(1)
    assert set(found) == {"import eva beyond torch", "eva.Trainer beyond torch", "eva --help"}
    assert min(found.values()) > 0
