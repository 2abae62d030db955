"""What the pages say in words about the experiments is true of the records."""

import json
import re
import statistics
from collections.abc import Callable
from functools import cache
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest
from torch.nn import Linear

from eva.recipe import Recipe
from eva.record import Run

RECORDS = Path(__file__).parents[2] / "docs" / "records"


@cache
def runs(name: str) -> list[Run]:
    found = [Run.load(path) for path in sorted((RECORDS / name).glob("seed*.json"))]
    if not found:
        pytest.skip(f"no record of {name}")
    return found


def recipe_of(name: str) -> Recipe:
    """The recipe of an experiment."""
    recipe: Recipe = import_module(f"eva.experiments.{name}").RECIPE
    return recipe


def mean(name: str, kind: str = "test") -> list[float]:
    """Mean accuracy over seeds, epoch by epoch."""
    rows = zip(*(run.rows for run in runs(name)), strict=True)
    return [statistics.mean(getattr(row, f"{kind}_accuracy") for row in epoch) for epoch in rows]


def rises(name: str) -> list[float]:
    """By how much the mean test accuracy changes in each epoch; the first has no change."""
    values = mean(name)
    return [0.0, *(b - a for a, b in pairwise(values))]


def jumps(name: str, first: int, last: int) -> list[float]:
    """Sizes of the changes of each seed's test accuracy within some epochs."""
    lines = [[row.test_accuracy for row in run.rows[first : last + 1]] for run in runs(name)]
    return [abs(b - a) for line in lines for a, b in pairwise(line)]


def test_1_lies_above_training_in_the_mean_and_jumps_in_each_seed() -> None:
    assert all(a > b for a, b in zip(mean("exp1"), mean("exp1", "train"), strict=True))
    assert max(jumps("exp1", 5, 14)) > 0.2


def test_1_has_nearly_all_of_its_parameters_in_five_convolutions() -> None:
    model = import_module("eva.experiments.exp1").build_model()
    sizes = [sum(p.numel() for p in m.parameters()) for m in model.modules() if not [*m.children()]]
    large = [size for size in sizes if size > 2000]
    assert len(large) == 5 and sum(large) > 0.9 * sum(sizes)


def test_2_crosses_after_three_epochs_and_overfits() -> None:
    pairs = list(zip(mean("exp2"), mean("exp2", "train"), strict=True))
    assert [test > train for test, train in pairs] == [True, True, True] + [False] * 12
    assert pairs[-1][1] > pairs[-1][0] + 0.3


def test_3_underfits_is_restless_and_only_touches_the_target() -> None:
    assert mean("exp3", "train")[-1] < mean("exp3")[-1] - 0.3
    late, middle = jumps("exp3", 9, 14), jumps("exp3", 4, 9)
    assert statistics.mean(late) > 0.7 * statistics.mean(middle)
    assert any(row.test_accuracy >= 99.4 for run in runs("exp3") for row in run.rows)
    assert not any(run.held() for run in runs("exp3"))


@pytest.mark.parametrize("name", ["exp4", "exp5"])
def test_4_and_5_jump_where_the_rate_drops(name: str) -> None:
    found = rises(name)
    assert max(found[3:]) == found[6] > 0.2
    assert found[12] < found[6]


def test_4_lies_below_its_test_curve() -> None:
    assert mean("exp4", "train")[-1] < mean("exp4")[-1]


def test_3_has_little_more_than_half_of_1s_parameters_and_ends_higher() -> None:
    assert 0.5 < runs("exp3")[0].parameters / runs("exp1")[0].parameters < 0.55
    assert mean("exp3")[-1] > mean("exp1")[-1]


def test_the_reference_has_no_jump_and_holds_in_nine_runs_of_ten() -> None:
    assert max(map(abs, rises("reference")[4:])) < 0.1
    assert statistics.mean(run.held() for run in runs("reference")) >= 0.9


def test_3_doubles_the_rate_of_2_and_4_multiplies_it_by_five() -> None:
    rates = [recipe_of(name).optimizer.lr for name in ("exp2", "exp3", "exp4")]
    assert (rates[1] / rates[0], rates[2] / rates[1]) == pytest.approx((2, 5))


def test_3_has_seven_kinds_of_augmentation_of_which_4_keeps_four_unchanged() -> None:
    third, fourth = recipe_of("exp3").augment, recipe_of("exp4").augment
    assert len({part.kind for part in third}) == 7
    assert third[:4] == fourth and recipe_of("exp5") == recipe_of("exp4")


def test_the_reference_rotates_scales_and_shifts_less_than_5_and_does_not_shear() -> None:
    ours = {part.kind: part for part in recipe_of("reference").augment}
    theirs = {part.kind: part for part in recipe_of("exp5").augment}
    assert "shear" not in ours and "shear" in theirs
    assert ours["rotation"].degrees < theirs["rotation"].degrees  # type: ignore[union-attr]
    assert ours["scale"].fraction < theirs["scale"].fraction  # type: ignore[union-attr]
    assert ours["shift"].pixels < theirs["shift"].pixels  # type: ignore[union-attr]


def test_2_has_its_largest_layer_at_the_end() -> None:
    model = import_module("eva.experiments.exp2").build_model()
    sizes = {name: p.numel() for name, p in model.named_parameters()}
    assert isinstance(dict(model.named_modules())[max(sizes, key=sizes.__getitem__)[:-7]], Linear)


def test_5_does_not_show_that_it_is_steadier_than_4() -> None:
    held = {name: sum(run.held() for run in runs(name)) for name in ("exp4", "exp5")}
    last = {name: [run.rows[-1].test_accuracy for run in runs(name)] for name in held}
    assert held["exp5"] <= held["exp4"]
    assert statistics.stdev(last["exp5"]) >= statistics.stdev(last["exp4"])


def test_with_a_fifteenth_of_the_images_all_five_are_worse() -> None:
    for name in ("exp1", "exp2", "exp3", "exp4", "exp5"):
        small = Run.load(RECORDS / "replay" / f"{name}.json")
        assert small.data.train_size == 4_000
        assert small.rows[-1].test_accuracy < min(r.rows[-1].test_accuracy for r in runs(name))


def test_lesson_4s_networks_lie_below_test_while_training_and_above_it_on_clean_images() -> None:
    for run in json.loads((RECORDS / "clean_training.json").read_text())["runs"]:
        assert run["test"] < run["clean"]
        if run["experiment"] in ("exp3", "exp4"):
            assert run["training"] < run["test"]


COMPARES = re.compile(
    r"\b(milder|stronger|steadier|calmer|smoother|largest|smallest|strongest|most|least|best|worst"
    r"|higher|lower|better|worse|larger|faster|slower|same order)\b"
)
# Sentences of the experiments' pages that compare, and say no number made from a record: a test
# above holds each, or it defines a word and claims nothing.
HELD = {
    "It is the largest layer of the network,": test_2_has_its_largest_layer_at_the_end,
    "starts five times higher": test_3_doubles_the_rate_of_2_and_4_multiplies_it_by_five,
    "makes results steadier.": test_5_does_not_show_that_it_is_steadier_than_4,
    "ends higher.": test_3_has_little_more_than_half_of_1s_parameters_and_ends_higher,
    "all five are worse.": test_with_a_fifteenth_of_the_images_all_five_are_worse,
}
CLAIMS_NOTHING = (
    "the published numbers are the best epoch of one run",
    "*Published* numbers are the best epoch of one run",
    "Read the summary from the largest number down",
    "Are they higher?",
    "What about the worst case?",
    "so most candidates got a single seed",
    "need not be a better network",
    "and better below 8,000",
    "the best of 15 looks is a lucky look",
    "the lowest of the last four epochs, of the worst seed",
    "A pool takes the largest of 2x2 neighbors",
    "Aim for a worst late epoch well above",
)


def comparisons(text: str) -> list[str]:
    """Sentences of a page that compare in words; tables, code and pictures left out."""
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    lines = [line for line in text.splitlines() if not line.startswith(("|", "<", "--8<--"))]
    return [s for line in lines for s in re.split(r"(?<=[.:?;])\s", line) if COMPARES.search(s)]


# Sentences of the lessons and of the pages that move: definitions, arithmetic and advice.
TEACHES = (
    "Is it better than the one that said",
    "what most of these changes do",
    "you take the luckiest",
    "the best epoch is never below the mean",
    "keep the one with the best *test* accuracy",
    "not the best one",
    "the worst of them is in the table",
    "one convolution with a larger window",
    "keeps the largest number of each",
    "numbers of the larger one",
    "Its upper row holds -1, its lower row 1.",
    "Only the largest one of each map",
    "in the same order",
    "Start with a larger learning rate",
    "says why a lower rate",
    "The digit with the largest score",
    "so the larger field counts",
    "makes a map larger",
    "A field far larger than the image",
    "makes underfitting worse",
    "test accuracy is clearly lower",
    "training accuracy can be lower than test accuracy",
    "so you can take larger steps",
    "If you lower it at the end",
    "allows a higher peak",
    "in at most a hundred steps",
    "so the peak can be higher",
    "the largest at the end",
    "Tell a better model from a lucky seed",
    "the most confident first",
    "from its own smallest value to its own largest",
)
PAGES = [
    *(
        page
        for folder in ("experiments", "lessons", "interactive")
        for page in sorted((RECORDS.parent / folder).glob("*.md"))
    ),
    RECORDS.parent / "index.md",
    RECORDS.parent / "start.md",
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_a_comparison_is_computed_or_held_by_a_test(page: Path) -> None:
    known = (*HELD, *CLAIMS_NOTHING, *TEACHES)
    loose = [s for s in comparisons(page.read_text()) if not any(k in s for k in known)]
    assert [s for s in loose if "{{" not in s] == []


def test_every_sentence_that_is_let_through_is_still_on_a_page() -> None:
    prose = " ".join(page.read_text() for page in PAGES)
    assert not [s for s in (*HELD, *CLAIMS_NOTHING, *TEACHES) if s not in prose]


def test_a_new_comparison_in_prose_is_noticed() -> None:
    assert comparisons("The augmentation is a little milder. It has {{ exp4.test }} %.") == [
        "The augmentation is a little milder."
    ]


def test_a_claim_that_does_not_hold_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "runs", lambda name: load("exp2" if name == "exp3" else name))
    with pytest.raises(AssertionError):
        test_3_underfits_is_restless_and_only_touches_the_target()


load: Callable[[str], list[Run]] = runs
