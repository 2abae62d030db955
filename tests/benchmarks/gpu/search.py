# ruff: noqa: E501
"""Small networks and their recipes, searched on held-out training images, many at a time.

    python tests/benchmarks/gpu/search.py smoke|search|finals --seconds 500 --out FOLDER

`search` halves each problem of candidates.py on 10,000 held-out training images; the test images
are not touched. `finals` trains ten seeds of each pick on all 60,000 and tests on the test images.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing as mp
import os
import queue
import statistics
import sys
import tarfile
import time
import traceback
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from candidates import PROBLEMS, Candidate, Problem, build, parameters, recipe, with_

SCRATCH = Path("/tmp/evidence")  # outlives a call while the machine is warm
TINY = bool(os.environ.get("EVIDENCE_TINY"))


def make(job: dict[str, Any], data: Any, device: str) -> Any:
    """A trainer for a job."""
    import torch

    from eva.seeds import seeded
    from eva.training.trainer import Trainer

    with seeded(torch.device("cpu"), job["seed"]):
        model = build(job["spec"], job["act"])
    changes = dict(job["changes"])
    if TINY:
        changes["epochs"] = min(2, changes.get("epochs", 15))
    return Trainer(
        model, recipe(changes), data, device=device, seed=job["seed"], name=job["submission"]
    )


def looks(t: Any) -> dict[str, float]:
    """Accuracy of trained weights by how often an image is looked at."""
    from torch import nn

    from eva.experiments.frontier.network import Views
    from eva.training.evaluation import evaluate

    found = {}
    model = t.evaluated
    views = next((m for m in model.modules() if isinstance(m, Views)), None)
    if views is None:
        return {}
    for name, kind in (("one", None), ("nine", Nine)):
        other: nn.Module = views.body if kind is None else kind(views.body)
        if model is not views:
            other = nn.Sequential(model[0], other)
        with t._kernels:
            found[name] = evaluate(other, t.data.test_images, t.data.test_labels).accuracy
    return found


def Nine(body: Any) -> Any:
    """Looks to the corners as well."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    class Looks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = body

        def forward(self, x: Any) -> Any:
            wide = F.pad(x, (1, 1, 1, 1), mode="replicate")
            all_ = []
            for dx in (-0.5, 0, 0.5):
                for dy in (-0.5, 0, 0.5):
                    rows = _axis(wide, 2, dy)
                    all_.append(self.body(_axis(rows, 3, dx)))
            return torch.stack(all_).mean(0)

    def _axis(x: Any, dim: int, by: float) -> Any:
        size = x.shape[dim] - 2
        if by == 0:
            return x.narrow(dim, 1, size)
        start = 0 if by < 0 else 1
        return (x.narrow(dim, start, size) + x.narrow(dim, start + 1, size)) / 2

    return Looks()


def worker(tasks: Any, results: Any, device: str, depthwise: str, stop_at: float) -> None:
    """Train groups of jobs until there are no more."""
    import torch

    import eva
    from eva.data import load_data
    from eva.record import LAST_EPOCHS

    torch.set_num_threads(1)
    if device == "cuda":
        import depthwise as kernels

        kernels.install(depthwise)
    from together import fit_together

    full = load_data("mnist")
    if TINY:
        from dataclasses import replace

        full = replace(
            full,
            train_images=full.train_images[:1100],
            train_labels=full.train_labels[:1100],
            test_images=full.test_images[:500],
            test_labels=full.test_labels[:500],
        )
    held = full.holdout(300 if TINY else 10_000)
    checksum = full.checksum
    full, held = full.to(device), held.to(device)
    for data in (full, held):
        data.__dict__["checksum"] = checksum if data is full else "held-out"
    results.put({"kind": "ready", "eva": eva.__file__})
    while True:
        task = tasks.get()
        if task is None:
            return
        started = time.time()
        final = task["final"]
        out = {"kind": "done", "task": task, "runs": [], "error": None}
        try:
            trainers = [make(job, full if final else held, device) for job in task["jobs"]]
            first = 0 if final else max(0, trainers[0].recipe.epochs - LAST_EPOCHS)
            try:
                runs = fit_together(trainers, evaluate_from=first, deadline=stop_at)
            except TimeoutError:
                raise
            except Exception:
                out["fallback"] = traceback.format_exc()
                if task.get("no_fallback"):
                    raise
                trainers = [make(job, full if final else held, device) for job in task["jobs"]]
                runs = [t.fit() for t in trainers]
            for t, job, run in zip(trainers, task["jobs"], runs, strict=True):
                rows = run.rows[-LAST_EPOCHS:]
                one = {
                    "job": job, "status": run.status, "parameters": run.parameters,
                    "accuracy": [r.test_accuracy for r in rows], "loss": [r.test_loss for r in rows],
                    "train": rows[-1].train_accuracy if rows else None,
                }  # fmt: skip
                if final:
                    folder = Path(task["records"]) / job["problem"]
                    folder.mkdir(parents=True, exist_ok=True)
                    run.save(folder / f"seed{job['seed']}.json")
                elif run.status == "finished":
                    one["looks"] = looks(t)
                out["runs"].append(one)
        except Exception:
            out["error"] = traceback.format_exc()
        trainers = runs = t = None
        if device == "cuda":
            torch.cuda.empty_cache()
        out["seconds"] = time.time() - started
        results.put(out)


def job_of(problem: Problem, c: Candidate, seed: int) -> dict[str, Any]:
    """A training, in plain values."""
    return {
        "problem": problem.name, "submission": problem.submission, "name": c.name, "seed": seed,
        "spec": c.spec, "act": c.act, "changes": [list(p) for p in c.changes],
    }  # fmt: skip


def candidate_of(job: dict[str, Any]) -> Candidate:
    """The way back."""
    return Candidate(job["spec"], job["act"], tuple((k, v) for k, v in job["changes"]))


class Scores:
    """Results by problem and candidate."""

    def __init__(self) -> None:
        self.runs: dict[str, dict[Candidate, dict[int, dict[str, Any]]]] = defaultdict(
            lambda: defaultdict(dict)
        )

    def add(self, run: dict[str, Any]) -> None:
        """Note a result."""
        job = run["job"]
        self.runs[job["problem"]][candidate_of(job)][job["seed"]] = run

    def score(self, problem: str, c: Candidate) -> float:
        """Mean of the last epochs over seeds, less a share of the loss; failed runs count as 0."""
        values = []
        for run in self.runs[problem][c].values():
            if run["status"] != "finished" or not run["accuracy"]:
                values.append(0.0)
                continue
            ls = dict(c.changes).get("ls", 0.0)
            loss = statistics.mean(run["loss"]) if not ls else 0.03
            values.append(statistics.mean(run["accuracy"]) - 15 * loss)
        return statistics.mean(values) if values else 0.0

    def ranked(self, problem: str, fewest: int = 1) -> list[Candidate]:
        """Best first, of those with so many seeds."""
        found = [c for c, seeds in self.runs[problem].items() if len(seeds) >= fewest]
        return sorted(found, key=lambda c: -self.score(problem, c))

    def pick(self, problem: str) -> Candidate | None:
        """The best of those with most seeds (at least two thirds of the most)."""
        most = max((len(s) for s in self.runs[problem].values()), default=0)
        ranked = self.ranked(problem, max(1, (2 * most + 2) // 3))
        return ranked[0] if ranked else None


def crosses(problem: Problem, scores: Scores) -> list[Candidate]:
    """The best networks by the best changes, and the best changes by each other."""
    ranked = scores.ranked(problem.name)
    base = problem.base
    networks = [c for c in ranked if c.changes == base.changes][:3]
    own = dict(base.changes)
    changed = [
        c
        for c in ranked
        if (c.spec, c.act) == (base.spec, base.act)
        and c != base
        and scores.score(problem.name, c) > scores.score(problem.name, base) - 0.02
    ][:3]
    deltas = [{k: v for k, v in c.changes if own.get(k) != v} for c in changed]
    found = [with_(n, **d) for n in networks for d in deltas]
    if len(deltas) > 1:
        found += [with_(n, **(deltas[1] | deltas[0])) for n in networks[:2]]
    return [c for c in dict.fromkeys(found) if parameters(c.spec) <= problem.limit]


def halving(problem: Problem, scores: Scores) -> Generator[list[tuple[Candidate, int]], None, None]:
    """Yield (candidate, seed) rung by rung; results are in ``scores`` when it goes on."""
    start = problem.start()
    yield [(c, 0) for c in start] + [(problem.base, 1)]
    chosen: list[Candidate] = crosses(problem, scores)[: problem.rungs[0][0]]
    if chosen:
        yield [(c, 0) for c in chosen]
    seed = 1
    for keep, more in problem.rungs[1:]:
        top = scores.ranked(problem.name)[:keep]
        yield [(c, s) for c in top for s in range(seed, seed + more)]
        seed += more
    while True:  # as long as there is time
        most = max(len(s) for s in scores.runs[problem.name].values())
        top = scores.ranked(problem.name, (most + 1) // 2)[:3]
        yield [(c, s) for c in top for s in range(seed, seed + 3)]
        seed += 3


def start_workers(
    number: int, device: str, depthwise: str, stop_at: float
) -> tuple[list[Any], Any, Any]:
    """Processes with one queue of tasks."""
    context = mp.get_context("spawn")
    tasks, results = context.Queue(), context.Queue()
    found = [
        context.Process(
            target=worker, args=(tasks, results, device, depthwise, stop_at), daemon=True
        )
        for _ in range(number)
    ]
    for process in found:
        process.start()
    return found, tasks, results


def together(job: dict[str, Any]) -> tuple[Any, ...]:
    """What jobs must have in common to be trained together."""
    c = dict(job["changes"])
    alone = (job["name"], job["seed"]) if "q" in job["spec"] else None  # dropout is seeded globally
    return c.get("bs", 64), c.get("epochs", 15), alone


def take(backlog: list[Any], size: int) -> list[dict[str, Any]]:
    """The first job, and others that can be trained with it; they leave the backlog."""
    key = together(backlog[0][-1])
    chosen = [item for item in backlog if together(item[-1]) == key][:size]
    for item in chosen:
        backlog.remove(item)
    return [item[-1] for item in chosen]


def say(text: str) -> None:
    print(f"[{time.time() - BEGAN:6.1f}] {text}", flush=True)


def log(out: Path, value: dict[str, Any]) -> None:
    for folder in (out, SCRATCH):
        with (folder / "results.jsonl").open("a") as file:
            file.write(json.dumps(value) + "\n")


def search(seconds: float, out: Path, device: str, size: int, number: int, depthwise: str) -> None:
    """Halve all problems until the time is over, then write the picks."""
    stop_at = BEGAN + seconds
    processes, tasks, results = start_workers(number, device, depthwise, stop_at)
    scores = Scores()
    problems = {p.name: p for p in PROBLEMS}
    steps = {p.name: halving(p, scores) for p in PROBLEMS}
    waiting: dict[str, int] = {}
    backlog: list[tuple[float, int, dict[str, Any]]] = []
    if device == "cuda":
        networks = list(dict.fromkeys((c.spec, c.act) for p in PROBLEMS for c in p.start()))
        context = mp.get_context("spawn")
        for i in range(12):
            context.Process(target=compile_kernels, args=(networks[i::12],), daemon=True).start()
    rung: dict[str, int] = defaultdict(int)
    serial = 0
    weight = {"reference": -0.6, "mnist_20k": 0.4}

    def refill(name: str) -> None:
        nonlocal serial
        for _ in range(4):
            wanted = [(c, s) for c, s in next(steps[name]) if s not in scores.runs[name][c]]
            if wanted:
                break
        else:
            return
        rung[name] += 1
        waiting[name] = len(wanted)
        for c, seed in wanted:
            serial += 1
            job = job_of(problems[name], c, seed)
            backlog.append((rung[name] + weight.get(name, 0.0), serial, job))
        backlog.sort(key=lambda item: item[:2])

    for name in steps:
        refill(name)
    flying = trained = errors = 0
    last = time.time()
    while time.time() < stop_at:
        while flying < number + 1 and backlog:
            tasks.put({"jobs": take(backlog, size), "final": False})
            flying += 1
        try:
            got = results.get(timeout=1)
        except queue.Empty:
            if not any(p.is_alive() for p in processes):
                say("all workers are dead")
                break
            continue
        if got["kind"] != "done":
            say(f"worker ready {got['eva']}")
            continue
        flying -= 1
        if got["error"] or got.get("fallback"):
            errors += 1
            log(
                out,
                {
                    "error": got["error"],
                    "fallback": got.get("fallback"),
                    "jobs": got["task"]["jobs"],
                },
            )
            if errors < 4:
                say(f"ERROR {(got['error'] or got['fallback'])[-700:]}")
        for run in got["runs"]:
            scores.add(run)
            log(out, run)
            trained += 1
        for job in got["task"]["jobs"]:
            waiting[job["problem"]] -= 1
        for name in sorted({job["problem"] for job in got["task"]["jobs"]}):
            if waiting[name] == 0:
                refill(name)
        if time.time() - last > 20:
            last = time.time()
            say(f"{trained} trained, {errors} errors, rungs {dict(rung)}, backlog {len(backlog)}")
    picks = {}
    for p in PROBLEMS:
        best = scores.pick(p.name)
        if best is None:
            continue
        picks[p.name] = job_of(p, best, 0)
        say(f"== {p.name}")
        for c in scores.ranked(p.name, max(1, len(scores.runs[p.name][best]) // 2))[:5]:
            runs = list(scores.runs[p.name][c].values())
            accuracy = [statistics.mean(r["accuracy"]) for r in runs if r["accuracy"]]
            lows = [min(r["accuracy"]) for r in runs if r["accuracy"]]
            nine = [r["looks"]["nine"] - r["accuracy"][-1] for r in runs if r.get("looks")]
            say(
                f"{statistics.mean(accuracy):.3f} low {min(lows):.2f} n {len(runs)} score {scores.score(p.name, c):.3f} "
                f"{parameters(c.spec)} {c.name}"
                + (f" nine {statistics.mean(nine):+.3f}" if nine else "")
            )
    for folder in (out, SCRATCH):
        (folder / "picks.json").write_text(json.dumps(picks, indent=1))
    say(f"{trained} trained in all, {errors} errors")
    for p in processes:
        p.terminate()


def finals(
    seconds: float,
    out: Path,
    device: str,
    size: int,
    number: int,
    depthwise: str,
    picks: Path,
    only: str,
    seeds: int,
) -> None:
    """Ten seeds of each pick, with the test images."""
    stop_at = BEGAN + seconds
    processes, tasks, results = start_workers(number, device, depthwise, stop_at)
    chosen = json.loads(picks.read_text())
    records = SCRATCH / "records"
    flying = 0
    names = only.split(",") if only else [p.name for p in PROBLEMS]
    jobs = [(chosen[name] | {"seed": s},) for name in names if name in chosen for s in range(seeds)]
    while jobs:
        tasks.put({"jobs": take(jobs, size), "final": True, "records": str(records)})
        flying += 1
    found = defaultdict(list)
    while flying and time.time() < stop_at + 3:
        try:
            got = results.get(timeout=1)
        except queue.Empty:
            if not any(p.is_alive() for p in processes):
                say("all workers are dead")
                break
            continue
        if got["kind"] != "done":
            continue
        flying -= 1
        if got["error"] or got.get("fallback"):
            say(f"ERROR {(got['error'] or got['fallback'])[-700:]}")
        for run in got["runs"]:
            log(out, run | {"final": True})
            found[run["job"]["problem"]].append(run)
        for name in dict.fromkeys(job["problem"] for job in got["task"]["jobs"]):
            last = [r["accuracy"][-1] for r in found[name] if r["accuracy"]]
            low = [min(r["accuracy"]) for r in found[name] if r["accuracy"]]
            if not last:
                continue
            say(
                f"{name}: n {len(last)} mean {statistics.mean(last):.3f} last {sorted(last)} low {sorted(low)} ({got['seconds']:.1f} s)"
            )
        with tarfile.open(out / "records.tar.gz", "w:gz") as tar:
            tar.add(records, "records")
    for p in processes:
        p.terminate()


def compile_kernels(specs: list[tuple[str, str]]) -> None:
    """Have Triton compile what these networks need."""
    import depthwise
    import torch

    from eva.kernels.gpu_dispatch import small_convolutions

    depthwise.install("triton")
    device = torch.device("cuda")
    for spec, act in specs:
        model = build(spec, act).to(device, memory_format=torch.channels_last)
        with small_convolutions(device):
            model(torch.randn(64, 1, 28, 28, device=device)).sum().backward()
    torch.cuda.synchronize()


def probe(kind: str, m: int, spec: str, steps: int = 400, bs: int = 64) -> float:
    """Milliseconds of a step of m trainings together."""
    import depthwise
    import torch
    from together import fit_together

    depthwise.install(kind)
    from eva.data import load_data

    data = load_data("mnist").to("cuda")
    data.__dict__["checksum"] = ""
    job = {"spec": spec, "act": "silu", "changes": [["bs", bs]], "submission": "probe"}
    trainers = [make(job | {"seed": s}, data, "cuda") for s in range(m)]
    fit_together(trainers, only_steps=40)  # compiles
    trainers = [make(job | {"seed": s}, data, "cuda") for s in range(m)]
    torch.cuda.synchronize()
    took = []
    for n in (60, 60 + steps):
        trainers = [make(job | {"seed": s}, data, "cuda") for s in range(m)]
        started = time.perf_counter()
        fit_together(trainers, only_steps=n)
        torch.cuda.synchronize()
        took.append(time.perf_counter() - started)
    return 1000 * (took[1] - took[0]) / steps


def probe_process(kind: str, m: int, spec: str, ready: Any, go: Any, results: Any) -> None:
    import torch

    torch.set_num_threads(1)
    probe(kind, m, spec, 20)
    ready.release()
    go.wait()
    results.put(probe(kind, m, spec, 1500))


def smoke(out: Path) -> None:
    """Try everything once on the GPU, and measure what is fastest."""
    import depthwise
    import torch
    import torch.nn.functional as F

    say(f"torch {torch.__version__} {torch.cuda.get_device_name()}")
    found: dict[str, Any] = {}
    x = (
        torch.randn(64, 42, 10, 10, device="cuda")
        .to(memory_format=torch.channels_last)
        .requires_grad_()
    )
    w = torch.randn(42, 1, 3, 3, device="cuda", requires_grad=True)
    y, z = depthwise.Depthwise.apply(x, w), F.conv2d(x.double(), w.double(), groups=42)
    g = torch.randn_like(y)
    pairs = zip(
        torch.autograd.grad(y, (x, w), g), torch.autograd.grad(z, (x, w), g.double()), strict=True
    )
    say(f"depthwise error {[float((a - b).norm() / b.norm()) for a, b in pairs]}")
    specs = list(dict.fromkeys((c.spec, c.act) for p in PROBLEMS for c in p.start()))
    context = mp.get_context("spawn")
    compilers = [context.Process(target=compile_kernels, args=(specs[i::12],)) for i in range(12)]
    for p in compilers:
        p.start()
    for p in compilers:
        p.join(60)
    say(f"compiled {len(specs)} networks, exits {[p.exitcode for p in compilers]}")
    spec = "c10 c14 m d42 d44 d44x2"
    for kind, m in (
        ("cudnn", 1),
        ("triton", 1),
        ("native", 1),
        ("triton", 4),
        ("triton", 8),
        ("triton", 16),
        ("cudnn", 8),
        ("native", 8),
    ):
        try:
            ms = probe(kind, m, spec)
            found[f"{kind} {m}"] = ms
            say(
                f"{kind} {m} together: {ms:.3f} ms a step, {ms / m:.4f} each, {14070 * ms / m / 1000:.2f} s a training"
            )
        except Exception:
            say(f"{kind} {m}: {traceback.format_exc()[-600:]}")
        (out / "probe.json").write_text(json.dumps(found))
    singles = {k: v for k, v in found.items() if k.endswith(" 8")}
    kind = min(singles, key=lambda k: singles[k]).split()[0] if singles else "cudnn"
    for number, m in ((2, 8), (3, 8)):
        try:
            ready, go, results = context.Semaphore(0), context.Event(), context.Queue()
            processes = [
                context.Process(
                    target=probe_process, args=(kind, m, spec, ready, go, results), daemon=True
                )
                for _ in range(number)
            ]
            for p in processes:
                p.start()
            for _ in processes:
                if not ready.acquire(timeout=40):
                    raise TimeoutError
            go.set()
            ms = [results.get(timeout=40) for _ in processes]
            found[f"{number} processes, {kind} {m}"] = ms
            say(
                f"{number} processes of {m}: {ms} ms a step, {14070 * statistics.mean(ms) / m / number / 1000:.2f} s a training"
            )
            for p in processes:
                p.terminate()
        except Exception:
            say(f"{number} processes: {traceback.format_exc()[-400:]}")
        (out / "probe.json").write_text(json.dumps(found))


BEGAN = time.time()

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=["smoke", "search", "finals"])
    parser.add_argument("--seconds", type=float, default=500)
    parser.add_argument(
        "--out", type=Path, default=Path(os.environ.get("OUT", "/tmp/evidence-out"))
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", type=int, default=8, help="Trainings in a graph.")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--depthwise", default="triton")
    parser.add_argument("--picks", type=Path, default=SCRATCH / "picks.json")
    parser.add_argument("--only", default="")
    parser.add_argument("--seeds", type=int, default=10)
    o = parser.parse_args()
    for folder in (o.out, SCRATCH):
        folder.mkdir(parents=True, exist_ok=True)
    if o.mode == "smoke":
        smoke(o.out)
    elif o.mode == "search":
        search(o.seconds, o.out, o.device, o.size, o.processes, o.depthwise)
    else:
        finals(
            o.seconds, o.out, o.device, o.size, o.processes, o.depthwise, o.picks, o.only, o.seeds
        )
