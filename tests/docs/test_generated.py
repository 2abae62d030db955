"""What is drawn from records is up to date with them."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]


def test_the_table_in_the_readme_is_made_from_the_records() -> None:
    result = subprocess.run(COMMAND, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
