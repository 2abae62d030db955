"""Which buffers are nothing but running statistics, and so are not stored weights.

A statistic is free where the train program does nothing with it but move it, by a normalization of
something that sees the image, and the eval program does nothing with it but normalize the same
input with it. Whether two inputs are the same is a property of the two programs: each value has a
form, made of operations and stored tensors, and equal forms are the same computation. What a
network does in one mode alone (dropout, noise, skipping a branch at random) is no part of a form.
"""

from __future__ import annotations

from typing import Any

from eva.grading.graph.graph import Graph
from eva.grading.graph.helpers import arguments_of, draws, overwritten, seen_values, shared_memory
from eva.grading.graph.nodes import Node, Program, Ref, Role

MIN_MOMENTUM = 1e-3  # a running statistic that moves slower than this is a stored weight
MAX_MOMENTUM = 0.5  # and one that moves faster is a memory of the last batch
_STATISTICS = ("running_mean", "running_var")
_PARTS = {"slice", "narrow", "view", "reshape", "split", "chunk", "select", "mean", "repeat",
          "split_with_sizes", "flatten", "expand", "clone", "unsqueeze", "squeeze"}  # fmt: skip
_MODES = {"training", "train", "use_input_stats", "momentum", "cudnn_enabled", "memory_format"}
"""Arguments in which the two programs of one norm differ."""
_SAME = {"clone", "contiguous", "detach", "alias", "to", "_to_copy", "lift_fresh", "detach_copy",
         "view", "reshape",  # a ghost norm splits its batch
         "dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout",
         "native_dropout"}  # fmt: skip
_DRAWN = {"rand", "randn", "rand_like", "randn_like", "bernoulli", "uniform",
          "normal_functional"}  # fmt: skip
_EMPTY = {"zeros", "ones", "full", "empty", "zeros_like", "ones_like", "full_like", "empty_like",
          "new_zeros", "new_ones", "new_full", "new_empty", "scalar_tensor"}  # fmt: skip

ValueForm = tuple[Any, ...]


def running_statistics(graph: Graph) -> set[str]:
    """Names of the buffers that are nothing but running statistics of a normalization.

    It moves them at a momentum at which they are no memory of one batch and no stored weight.
    Either program may slice them first. With them goes the counter of batches, which nothing else
    reads.
    """
    buffers = {s.name for s in graph.stored if s.role is Role.BUFFER}
    elsewhere: set[str] = set()
    counters: set[str] = set()
    forms = _Forms(graph)
    moved_on: dict[str, set[int]] = {}  # statistic -> forms of what moves it in training
    read_on: dict[str, set[int]] = {}  # statistic -> forms of what it normalizes in evaluation
    for program in (graph.train, graph.eval):
        form = forms.of(program)
        behind = {name: name for name in buffers}  # a part of a buffer -> the buffer
        seen = seen_values(program)
        for node in program.nodes:
            if behind.keys().isdisjoint(node.reads()):
                continue
            given = arguments_of(node)
            read = [given[key] for key in _STATISTICS if isinstance(given.get(key), Ref)]
            statistics = {behind.get(ref.name, "") for ref in read}
            sources = {behind[name] for name in node.reads() if name in behind}
            others = sources - statistics
            if node.op.split(".")[1] in _PARTS and len(set(node.reads())) == 1:
                behind.update(dict.fromkeys(filter(None, node.outputs), next(iter(sources))))
                continue
            if node.op == "aten.add_.Tensor" and node.args[1:] == (1,):
                counters |= others
                others = set()
            elsewhere |= others
            if not statistics:
                continue
            learns = bool(given.get("training") or given.get("use_input_stats"))
            steady = MIN_MOMENTUM <= given.get("momentum", 0) <= MAX_MOMENTUM
            source = given.get("input")
            sees = isinstance(source, Ref) and source.name in seen
            if not sees or learns != (program is graph.train) or (learns and not steady):
                elsewhere |= statistics
                continue
            assert isinstance(source, Ref), "it sees the image"
            found = moved_on if learns else read_on
            for name in statistics:
                found.setdefault(name, set()).add(form[source.name])
    same = {name for name in moved_on if read_on.get(name, set()) <= moved_on[name]}
    scalars = {s.name for s in graph.stored if s.data.numel() == 1}
    return (buffers & same) - elsewhere | (buffers & counters & scalars) - elsewhere


class _Forms:
    """Forms of the values of both programs as small numbers: equal ones are the same computation.

    A value that is multiplied by noise has the form of the value, and so has the value beside
    which noise is added; a constant factor on the way belongs to the noise. What is written into a
    stored tensor stays that tensor, in whatever state.
    """

    def __init__(self, graph: Graph) -> None:
        self._stored = {s.name for s in graph.stored}
        self._numbers: dict[ValueForm, int] = {}

    def _number(self, form: ValueForm) -> int:
        return self._numbers.setdefault(form, len(self._numbers))

    def of(self, program: Program) -> dict[str, int]:
        """Form of each value of a program, by its name."""
        found = {name: self._number(("stored", name)) for name in self._stored}
        found[program.input] = self._number(("image",))
        noise: set[str] = set()  # random, and made from no image and no stored tensor
        empty: set[str] = set()  # the same, not random
        unscaled: dict[str, int] = {}  # a value times a number -> form of the value
        noisy: set[str] = set()  # values that were multiplied by noise
        shared = shared_memory(program)
        for node in program.nodes:
            name = node.op.split(".")[1].rstrip("_")
            reads = node.reads()
            first = node.args[0].name if node.args and isinstance(node.args[0], Ref) else ""
            nothing = name in _EMPTY or name.endswith(("rand_like", "randn_like"))
            nothing |= node.op.startswith(("aten.sym_size", "py."))
            nothing |= bool(reads) and {*reads} <= noise | empty
            if name in _DRAWN and draws(node) and (nothing or not reads):
                noise.update(node.outputs)
            elif nothing:
                (noise if noise.intersection(reads) else empty).update(node.outputs)
            written = set().union(*(shared.get(n, {n}) for n in overwritten(node)))
            if first in found and (name in _SAME or written & self._stored):
                found.update(dict.fromkeys(filter(None, node.outputs), found[first]))
                continue
            if self._scaled(node, name, found, noise, unscaled, noisy):
                continue
            form = (node.op.rstrip("_").replace("_.", "."), self._settings(node, found))
            for index, output in enumerate(node.outputs):
                if output:
                    found[output] = self._number((*form, index))
            for other in written & found.keys() - {*node.outputs}:
                found[other] = self._number((*form, "written into", found[other]))
        return found

    def _scaled(
        self,
        node: Node,
        name: str,
        found: dict[str, int],
        noise: set[str],
        unscaled: dict[str, int],
        noisy: set[str],
    ) -> bool:
        """Whether a value meets noise here, or a number beside it, and keeps its form."""
        if name not in ("mul", "div", "add", "sub") or len(node.outputs) != 1:
            return False
        (output,) = node.outputs
        one, other = (*node.args, None, None)[:2]
        one, other = ((a.name if isinstance(a, Ref) else a) for a in (one, other))
        if one in noise and name in ("mul", "add"):
            one, other = other, one
        if not isinstance(one, str) or one in noise or one not in found:
            return False
        if isinstance(other, str) and other in noise:
            found[output] = unscaled.get(one, found[one]) if name in ("mul", "div") else found[one]
            noisy.update((output,) if name in ("mul", "div") else ())
            return True
        if name in ("mul", "div") and isinstance(other, (int, float)) and other:
            if one in noisy:
                found[output] = found[one]
                noisy.add(output)
                return True
            unscaled[output] = unscaled.get(one, found[one])
        return False

    def _settings(self, node: Node, found: dict[str, int]) -> ValueForm:
        def plain(value: Any) -> Any:
            if isinstance(value, Ref):
                return ("form", found[value.name])
            if isinstance(value, tuple):
                return tuple(map(plain, value))
            return (type(value).__name__, repr(value))

        given = arguments_of(node)
        return tuple((key, plain(v)) for key, v in sorted(given.items()) if key not in _MODES)
