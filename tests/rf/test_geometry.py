"""Windows, checked by hand."""

import itertools
import subprocess
import sys
from fractions import Fraction

import pytest

from eva.rf import geometry as g
from eva.rf.aten.interpolation import cubic, linear_weights, nearest, padded


def test_two_convolutions_see_five_pixels() -> None:
    window = g.sliding(3).after(g.sliding(3))
    assert (window.size, window.jump, window.start) == (5, 1, 2)


def test_a_strided_convolution_leaves_holes() -> None:
    window = g.sliding(3).after(g.sliding(1, stride=3))
    assert (window.size, window.density) == (7, Fraction(3, 7))


def test_dilation_leaves_holes() -> None:
    window = g.sliding(3, dilation=2).after(g.sliding(3, dilation=2))
    assert (window.size, window.density) == (9, Fraction(5, 9))


def test_a_transposed_convolution_alternates_between_one_and_two_pixels() -> None:
    window = g.transposed(3, stride=2, padding=1)
    assert [window.at(u).span for u in range(4)] == [1, 2, 1, 2]
    assert (window.size, window.min_size, window.jump) == (2, 1, Fraction(1, 2))


def test_a_transposed_convolution_with_gaps_sees_nothing_at_every_second_unit() -> None:
    assert [g.transposed(1, stride=2).at(u).span for u in range(4)] == [1, 0, 1, 0]


def test_stride_then_upsampling_is_at_the_old_speed() -> None:
    double = nearest(8, 16).window
    assert double is not None
    assert double.after(g.sliding(2, stride=2)).jump == 1


def test_windows_compose_like_their_positions() -> None:
    parts = [
        g.sliding(3, 2, 1),
        g.transposed(4, 3, 1),
        g.sliding(2, 3),
        g.offset(2, -1),
        g.adaptive(10, 7),
        linear_weights(7, 10).window,
    ]
    for outer, inner in itertools.product(parts, parts):
        assert outer is not None and inner is not None
        both = outer.after(inner)
        for u in range(-7, 40):
            step_by_step = {p for i in outer.at(u).positions() for p in inner.at(i).positions()}
            assert set(both.at(u).positions()) == step_by_step


def test_a_union_of_unequal_speeds_has_no_window() -> None:
    assert g.sliding(3, 2).union(g.sliding(3)) is None


def test_a_union_keeps_what_both_branches_see() -> None:
    both = g.sliding(3, padding=1).union(g.offset(4))
    assert both is not None
    assert both.at(0).positions() == [-1, 0, 1, 4]


def test_effective_padding_of_a_same_convolution_is_its_padding() -> None:
    window = g.sliding(3, padding=1)
    assert window.start is not None
    assert g.effective_padding(window.start, window.size) == 1


@pytest.mark.parametrize(
    ("axis_map", "expected"),
    [
        (nearest(3, 6), [[0], [0], [1], [1], [2], [2]]),
        (linear_weights(3, 6), [[0], [0, 1], [0, 1], [1, 2], [1, 2], [2]]),
        (linear_weights(3, 5, align_corners=True), [[0], [0, 1], [1], [1, 2], [2]]),
        (cubic(4, 4), [[0], [1], [2], [3]]),
        (padded(4, 2, 1, "reflect"), [[2], [1], [0], [1], [2], [3], [2]]),
        (padded(2, 1, 1, "replicate"), [[0], [0], [1], [1]]),
    ],
)
def test_borders_are_read_as_pytorch_reads_them(
    axis_map: g.AxisMap, expected: list[list[int]]
) -> None:
    size = {6: 3, 5: 3, 4: 4, 7: 4}[axis_map.count] if expected != [[0], [0], [1], [1]] else 2
    assert [list(axis_map.inputs(u, size)) for u in range(axis_map.count)] == expected


def test_geometry_does_without_torch() -> None:
    code = (
        "import runpy, sys;"
        f"runpy.run_path({g.__file__!r});"
        "print([m for m in sys.modules if m.startswith(('torch', 'eva'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
