"""Every model of torchvision, and one of each family of timm: is any field silently wrong?

One command, each model in a process of its own with a limit of memory and time:

    python tests/zoo/run.py docs/records/benchmarks/zoo.json [NAME ...]

Models have random weights and their standard sizes. A model is traced, then some units of sampled
layers are asked what they see: an input row is NaN, and a unit that becomes NaN sees it. A unit
that sees a row which its field leaves out is too small, and must not occur. A unit that NaN does
not reach is only counted: a maximum or an attention kernel can swallow NaN. Seconds and memory
stand beside torchinfo's. Where timm is not installed, torchvision's models alone run.
"""

from __future__ import annotations

import json
import os
import platform
import random
import resource
import subprocess
import sys
import time
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

GIGABYTES = 8
SECONDS = 240
ROWS = 3  # rows of the input that are poisoned, one after the other
LAYERS = 6  # layers that are looked at
UNITS = 12  # units of each


def names() -> list[str]:
    """What to run: ``torchvision:resnet18``, ``timm:resnet18``."""
    import torchvision

    found = [
        f"torchvision:{n}"
        for n in torchvision.models.list_models()
        if not n.startswith("quantized")
    ]
    try:
        import timm
    except ImportError:
        return found
    seen = set()
    for module in timm.list_modules():
        models = timm.list_models(module=module)
        if models and module not in seen:
            seen.add(module)
            found.append(f"timm:{min(models, key=lambda n: (len(n), n))}")
    return found


def build(name: str) -> tuple[Any, Any]:
    """The model, and one input of its standard size (a list of images for detection)."""
    import torch

    home, _, short = name.partition(":")
    if home == "timm":
        import timm

        model = timm.create_model(short, pretrained=False)
        return model.eval(), torch.rand(1, *model.default_cfg["input_size"])
    import torchvision

    options = {"weights": None}
    kind = torchvision.models.get_model_builder(short).__module__
    if "detection" in kind or "segmentation" in kind:
        options["weights_backbone"] = None
    model = torchvision.models.get_model(short, **options).eval()
    if "detection" in kind:
        return model, [torch.rand(3, 320, 320)]
    if "video" in kind:
        size = 224 if short.startswith(("mvit", "swin3d")) else 112
        return model, torch.rand(1, 3, 16, size, size)
    if "optical_flow" in kind:
        return model, torch.rand(1, 3, 128, 128)
    size = {"inception_v3": 299}.get(short, 520 if "segmentation" in kind else 224)
    return model, torch.rand(1, 3, size, size)


def peak() -> float:
    """Megabytes of memory that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def traced(name: str) -> dict[str, Any]:
    """Statuses, seconds and memory of one model, and what NaN says of sampled layers."""
    import torch

    from eva import rf

    torch.set_num_threads(1)
    model, x = build(name)
    started, before = time.perf_counter(), peak()
    flow = "raft" in name
    given = [x, x] if flow else [x]
    found = rf.trace(model, inputs=given) if isinstance(x, list) or flow else rf.trace(
        model, tuple(x.shape[1:])
    )  # fmt: skip
    seconds, memory = time.perf_counter() - started, peak() - before
    fields = {c.name: c.output_rf for c in found.calls if c.output_rf is not None and c.name}
    statuses = Counter(str(f.status) for f in fields.values())
    out = {
        "seconds": round(seconds, 2),
        "megabytes": round(memory),
        "statuses": dict(statuses),
        "real_tensors": found.device_fallback is not None,
    }
    if not isinstance(x, list) and not flow:
        out |= poisoned(model, x, fields, found)
    return out


def poisoned(model: Any, x: Any, fields: dict[str, Any], found: Any) -> dict[str, Any]:
    """Units of sampled layers that contradict NaN in a row of the input."""
    import numpy as np
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    draw = random.Random(0)
    once = Counter(c.name for c in found.calls)
    plain = [
        n for n, f in fields.items()
        if once[n] == 1 and str(f.status) in ("exact", "whole-input", "bound")
    ]  # fmt: skip
    chosen = sorted(draw.sample(plain, min(LAYERS, len(plain))))
    modules = dict(model.named_modules())
    caught: dict[str, Any] = {}

    def catch(layer: str) -> Any:
        def hook(_module: Any, _args: Any, out: Any) -> None:
            out = out if isinstance(out, torch.Tensor) else next(
                (t for t in out if isinstance(t, torch.Tensor)), None
            ) if isinstance(out, (list, tuple)) else None  # fmt: skip
            if out is not None:
                caught[layer] = out.isnan()

        return hook

    handles = [modules[n].register_forward_hook(catch(n)) for n in chosen]
    small, large, asked = [], 0, 0
    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            for _ in range(ROWS):
                row = draw.randrange(x.shape[-2])
                bad = x.clone()
                bad[..., row, :] = torch.nan
                caught.clear()
                model(bad)
                for layer, isnan in caught.items():
                    field = fields[layer]
                    if tuple(isnan.shape) != field.output_shape:
                        continue
                    rows = [i for i, a in enumerate(field.axes) if a.axis == x.ndim - 2]
                    for _ in range(UNITS):
                        dims = field.unit_dims
                        unit = tuple(draw.randrange(isnan.shape[d]) for d in dims)
                        part = isnan
                        for d, i in zip(dims, unit, strict=True):
                            part = part.narrow(d, i, 1)
                        said = field.region(unit)[rows[0]]
                        inside = said.start <= row < said.stop
                        asked += 1
                        if bool(part.any()) and not inside:
                            small.append(f"{layer} {unit}: row {row} is seen, {said} is said")
                        if not bool(part.any()) and inside and str(field.status) != "bound":
                            large += not _is_hole(field.axes[rows[0]], dims, unit, row, np)
    finally:
        for handle in handles:
            handle.remove()
    return {"layers": chosen, "asked": asked, "too_small": small, "not_reached": large}


def _is_hole(axis: Any, dims: Any, unit: Any, row: int, np: Any) -> bool:
    """Whether the field itself says that the row is a hole between what is seen."""
    at = dict(zip(dims, unit, strict=True))
    units = np.asarray(axis.masks, dtype=object).reshape(axis.shape)
    mask = units[tuple(at.get(d, slice(None)) for d in axis.dims)]
    return not any(int(m) >> row & 1 for m in np.ravel(mask))


def beside(name: str) -> dict[str, Any]:
    """torchinfo's seconds and memory."""
    import torch
    import torchinfo

    torch.set_num_threads(1)
    model, x = build(name)
    started, before = time.perf_counter(), peak()
    data = [x, x] if "raft" in name else [x]
    torchinfo.summary(model, input_data=data, verbose=0)
    return {"seconds": round(time.perf_counter() - started, 2), "megabytes": round(peak() - before)}


def alone(name: str, what: str) -> dict[str, Any]:
    """One measurement in a process of its own."""
    limit = GIGABYTES * 1024**3

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    command = [sys.executable, __file__, "--one", what, name]
    try:
        ran = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, preexec_fn=limited,
            check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"failed": f"longer than {SECONDS} s"}
    if ran.returncode:
        lines = ran.stderr.strip().splitlines() or [f"exit code {ran.returncode}"]
        return {"failed": lines[-1][:200]}
    result: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return result


def main(target: Path, chosen: list[str]) -> None:
    """Run them all; the record is written after each."""
    import torch

    record: dict[str, Any] = {
        "what": "fields of whole model zoos, rows of NaN, seconds and memory beside torchinfo",
        "command": f"python tests/zoo/run.py docs/records/benchmarks/{target.name}",
        "limits": {"gigabytes": GIGABYTES, "seconds": SECONDS},
        "load_average": list(os.getloadavg()),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "device": "cpu, 1 thread",
        "date": date.today().isoformat(),
        "models": {},
    }
    for name in chosen or names():
        eva = alone(name, "eva")
        record["models"][name] = {"eva": eva, "torchinfo": alone(name, "torchinfo")}
        models = record["models"].values()
        done = [m["eva"] for m in models if "failed" not in m["eva"]]
        record["totals"] = {
            "models": len(record["models"]),
            "traced": len(done),
            "statuses_of_layers": dict(sum((Counter(m["statuses"]) for m in done), Counter())),
            "units_asked": sum(m.get("asked", 0) for m in done),
            "units_too_small": sum(len(m.get("too_small", ())) for m in done),
            "units_not_reached_by_nan": sum(m.get("not_reached", 0) for m in done),
        }
        target.write_text(json.dumps(record, indent=1) + "\n")
        sys.stderr.write(f"{name}: {eva}\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        measure = {"eva": traced, "torchinfo": beside}[sys.argv[2]]
        sys.stdout.write(json.dumps(measure(sys.argv[3])) + "\n")
    else:
        main(Path(sys.argv[1]), sys.argv[2:])
