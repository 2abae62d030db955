"""The rubric of mnist_8k, one test a line. The checks themselves live in eva/grading."""

from collections.abc import Callable

import pytest

Answer = Callable[[str], None]


def test_imports_and_builds_a_module(answer: Answer) -> None:
    """The file imports, and build_model() returns an nn.Module."""
    answer("imports")


def test_gives_ten_finite_numbers_an_image(answer: Answer) -> None:
    """(batch, 1, 28, 28) becomes (batch, 10), in train and eval mode, for batches of 1, 2, 128."""
    answer("shapes")


def test_fewer_than_10_000_parameters(answer: Answer) -> None:
    """Everything that is stored counts, trained or not."""
    answer("under_10k")


def test_fewer_than_8_000_parameters(answer: Answer) -> None:
    """The same, for two points more."""
    answer("under_8k")


def test_pools_globally_by_averages(answer: Answer) -> None:
    """Every path from image to scores passes through a mean over all positions of a map."""
    answer("pooling")


def test_recipe_is_legal(answer: Answer) -> None:
    """At most 15 epochs, and nothing but what eva.recipe offers."""
    answer("recipe")


@pytest.mark.slow
def test_reaches_the_accuracy_in_some_epoch(answer: Answer) -> None:
    """99.4 % of the test images, in one epoch at least."""
    answer("reaches")


@pytest.mark.slow
def test_holds_the_accuracy_over_the_last_epochs(answer: Answer) -> None:
    """99.4 % of the test images, in each of the last four epochs."""
    answer("holds")
