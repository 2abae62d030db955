"""Workers that are started here can make the fakes of ``tests/fakes``."""

import pytest


@pytest.fixture(autouse=True)
def _fakes(fakes_in_workers: None) -> None: ...
