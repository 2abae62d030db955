"""One warm sandbox for all tests here that run strangers' code."""

from collections.abc import Iterator

import pytest

from eva.grading.sandbox.outcome import SandboxLimits
from eva.grading.sandbox.sandbox import Sandbox
from eva.grading.sandbox.tiers import Tier, why_not


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """Of tier A; the limits are those of the product."""
    reason = why_not(Tier.A)
    if reason is not None:
        pytest.skip(f"tier A is impossible here: {reason}")
    with Sandbox(tier=Tier.A, limits=SandboxLimits(wall_seconds=120)) as warm:
        yield warm
