"""Every model of torchvision, and one of each family of timm: is any field silently wrong?

One command; a model that the record already has is not run again:

    python tests/zoo/run.py docs/records/benchmarks/zoo.json [NAME ...]

Models have random weights and their standard sizes. One process imports everything and builds a
model in a child of its own, with limits of memory and processor time; from there one child runs
``eva.summary``, another torchinfo, so both begin alike. Then some units of sampled layers are asked
what they see: an input row is NaN, and a unit that becomes NaN sees it. A unit that sees a row
which its field leaves out is too small, and must not occur. A unit that NaN does not reach is only
counted: a maximum or an attention kernel can swallow NaN. Seconds are those of the processor, so
that other work on the machine counts little. Where timm is not installed, torchvision's models
alone run.
"""

from __future__ import annotations

import json
import os
import platform
import random
import resource
import signal
import statistics
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

GIGABYTES = 10  # of memory that a model may hold, its weights included
SECONDS = 400  # of the processor, for all that is done with one model
ROWS = 2  # rows of the input that are poisoned, one after the other
LAYERS = 8  # layers that are looked at
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
    for module in timm.list_modules():
        models = timm.list_models(module=module)
        if models:
            found.append(f"timm:{min(models, key=lambda n: (len(n), n))}")
    return found


def build(name: str) -> tuple[Any, list[Any]]:
    """The model, and its inputs at their standard size (a list of images for detection)."""
    import torch

    home, _, short = name.partition(":")
    if home == "timm":
        import timm

        model = timm.create_model(short, pretrained=False)
        return model.eval(), [torch.rand(1, *model.default_cfg["input_size"])]
    import torchvision

    options = {"weights": None}
    kind = torchvision.models.get_model_builder(short).__module__
    if "detection" in kind or "segmentation" in kind:
        options["weights_backbone"] = None
    model = torchvision.models.get_model(short, **options).eval()
    if "detection" in kind:
        return model, [[torch.rand(3, 320, 320)]]
    if "video" in kind:
        size = 224 if short.startswith(("mvit", "swin3d", "s3d")) else 112
        return model, [torch.rand(1, 3, 16, size, size)]
    if "optical_flow" in kind:
        return model, [torch.rand(1, 3, 128, 128)] * 2
    size = {"inception_v3": 299}.get(short, 520 if "segmentation" in kind else 224)
    return model, [torch.rand(1, 3, size, size)]


# -- what is measured of one model, each in a process of its own -----------------------------------


def by_eva(model: Any, inputs: list[Any]) -> dict[str, Any]:
    """Seconds, memory and statuses."""
    import eva

    began = time.process_time()
    found = eva.summary(model, inputs=inputs)
    return cost(began) | {
        "statuses": dict(Counter(str(r.rf.status) for r in found.rows if r.rf is not None)),
        "real_tensors": any(n.startswith("Run on real tensors") for n in found.notes),
        "mult_adds": found.mult_adds,
    }


def by_torchinfo(model: Any, inputs: list[Any]) -> dict[str, Any]:
    """Seconds and memory."""
    import torchinfo

    began = time.process_time()
    torchinfo.summary(model, input_data=inputs, verbose=0)
    return cost(began)


def cost(began: float) -> dict[str, Any]:
    """Seconds since then, and megabytes that this process held at most, PyTorch included."""
    return {
        "seconds": round(time.process_time() - began, 2),
        "megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def by_nan(model: Any, inputs: list[Any]) -> dict[str, Any]:
    """Units of sampled layers that contradict NaN in a row of the input."""
    import numpy as np
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    from eva import rf

    if len(inputs) > 1 or not isinstance(inputs[0], torch.Tensor):
        return {}
    x = inputs[0]
    found = rf.trace(model, inputs=inputs)
    fields = {c.name: c.output_rf for c in found.calls if c.output_rf is not None and c.name}
    draw = random.Random(0)
    once = Counter(c.name for c in found.calls)
    claimed = [
        n for n, f in fields.items()
        if once[n] == 1 and str(f.status) in ("exact", "whole-input", "bound")
    ]  # fmt: skip
    narrow = [n for n in claimed if str(fields[n].status) != "whole-input"]
    chosen = draw.sample(narrow, min(LAYERS - 1, len(narrow)))
    rest = [n for n in claimed if n not in chosen]
    chosen = sorted([*chosen, *draw.sample(rest, min(LAYERS - len(chosen), len(rest)))])
    modules = dict(model.named_modules())
    caught: dict[str, Any] = {}

    def catch(layer: str) -> Any:
        def hook(_module: Any, _args: Any, out: Any) -> None:
            if isinstance(out, (list, tuple)):
                out = next((t for t in out if isinstance(t, torch.Tensor)), None)
            if isinstance(out, torch.Tensor):
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
                            large += not is_hole(field.axes[rows[0]], dims, unit, row, np)
    finally:
        for handle in handles:
            handle.remove()
    return {"layers": chosen, "asked": asked, "too_small": small, "not_reached": large}


def is_hole(axis: Any, dims: Any, unit: Any, row: int, np: Any) -> bool:
    """Whether the field itself says that the row is a hole between what is seen."""
    at = dict(zip(dims, unit, strict=True))
    units = np.asarray(axis.masks, dtype=object).reshape(axis.shape)
    mask = units[tuple(at.get(d, slice(None)) for d in axis.dims)]
    return not any(int(m) >> row & 1 for m in np.ravel(mask))


# -- processes -------------------------------------------------------------------------------------


def in_child(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a function returns in a forked child; how the child ended, if it did not return."""
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        os.close(reads)
        try:
            answer = work()
        except BaseException as error:
            if os.environ.get("ZOO_DEBUG"):
                traceback.print_exc()
            answer = {"failed": f"{type(error).__name__}: {error}"[:200]}
        with os.fdopen(writes, "w") as pipe:
            pipe.write(json.dumps(answer))
            pipe.flush()
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads) as pipe:
        text = pipe.read()
    _, ended = os.waitpid(child, 0)
    if text:
        answer = json.loads(text)
        return dict(answer)
    number = os.WTERMSIG(ended) if os.WIFSIGNALED(ended) else 0
    if number == signal.SIGXCPU:
        return {"failed": f"longer than {SECONDS} s of the processor"}
    return {"failed": f"ended by signal {number}" if number else "ended without an answer"}


def one(name: str) -> dict[str, Any]:
    """All measurements of one model."""
    limit = GIGABYTES * 1024**3
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 5))
    model, inputs = build(name)
    found = {
        "eva": in_child(lambda: by_eva(model, inputs)),
        "torchinfo": in_child(lambda: by_torchinfo(model, inputs)),
    }
    if "failed" not in found["eva"]:
        found["nan"] = in_child(lambda: by_nan(model, inputs))
    return found


def totals(models: dict[str, Any]) -> dict[str, Any]:
    """Statistics of all models that ran."""
    ours = [m["eva"] for m in models.values() if "failed" not in m.get("eva", {"failed": ""})]
    nan = [m["nan"] for m in models.values() if "asked" in m.get("nan", {})]
    both = [
        (m["eva"], m["torchinfo"]) for m in models.values()
        if "seconds" in m.get("eva", {}) and m["torchinfo"].get("seconds")
    ]  # fmt: skip
    pairs = {key: [a[key] / b[key] for a, b in both] for key in ("seconds", "megabytes")}
    ratios = {
        f"{key}_beside_torchinfo": {
            "models": len(found),
            "median": round(statistics.median(found), 2),
            "largest": round(max(found), 2),
        }
        for key, found in pairs.items()
        if found
    }
    return {
        "models": len(models),
        "summarized": len(ours),
        "statuses_of_rows": dict(sum((Counter(m["statuses"]) for m in ours), Counter())),
        "asked_by_nan": len(nan),
        "units_asked": sum(m["asked"] for m in nan),
        "units_too_small": sum(len(m["too_small"]) for m in nan),
        "units_not_reached_by_nan": sum(m["not_reached"] for m in nan),
        **ratios,
    }


def warm_up() -> None:
    """Import and run everything once, so that the children pay for none of it."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    tiny, x = nn.Sequential(nn.Conv2d(1, 1, 3), nn.GELU(), nn.LayerNorm(4)), torch.rand(1, 1, 6, 6)
    by_eva(tiny, [x])
    by_torchinfo(tiny, [x])
    names()


def main(target: Path, chosen: list[str]) -> None:
    """Run what the record does not have yet; it is written after each model."""
    warm_up()
    import torch
    import torchvision

    models: dict[str, Any] = {}
    if target.exists():
        models = json.loads(target.read_text())["models"]
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    versions["torchvision"] = torchvision.__version__
    if "timm" in sys.modules:
        versions["timm"] = sys.modules["timm"].__version__
    wanted = chosen or names()
    for name in wanted:
        if name in models and not chosen:
            continue
        models[name] = in_child(lambda name=name: one(name))  # type: ignore[misc]
        record = {
            "what": "fields of whole model zoos, rows of NaN, seconds and memory beside torchinfo",
            "command": f"python tests/zoo/run.py docs/records/benchmarks/{target.name}",
            "not_run": len(set(names()) - set(models)),
            "limits": {"gigabytes": GIGABYTES, "seconds": SECONDS},
            "load_average": [round(n, 1) for n in os.getloadavg()],
            "versions": versions,
            "device": "cpu, 1 thread; other work ran beside it",
            "date": date.today().isoformat(),
            "totals": totals(models),
            "models": models,
        }
        text = json.dumps(record, indent=1) + "\n"
        partial = target.with_suffix(".partial")
        partial.write_text(text)
        partial.replace(target)
        sys.stderr.write(f"{name}: {models[name]}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
