"""The site, built once for all workers, and served to a browser that may not leave it."""

import functools
import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 300.0  # seconds that a worker waits for the one that builds


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """Files of the site, and axe-core for the tests that look at pages."""

    def log_message(self, format: str, *args: object) -> None:
        pass

    def translate_path(self, path: str) -> str:
        if path == "/_axe.js":
            return str(resources.files("axe_playwright_python") / "axe.min.js")
        return super().translate_path(path)

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "max-age=600")
        super().end_headers()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the site; building it strictly is the first thing that must hold."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, result = shared / "site", shared / "site.json"
    try:
        (shared / "site.lock").mkdir()
    except FileExistsError:
        end = time.monotonic() + PATIENCE
        while not result.exists() and time.monotonic() < end:
            time.sleep(0.2)
    else:
        command = [
            sys.executable,
            "-m",
            "mkdocs",
            "build",
            "--strict",
        ]  # --quiet would hush --strict
        done = subprocess.run(
            [*command, "--site-dir", str(folder)],
            cwd=ROOT,
            env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        part = shared / "site.part"
        part.write_text(json.dumps([done.returncode, done.stdout + done.stderr]))
        part.rename(result)
    code, output = json.loads(result.read_text())
    assert code == 0, f"`mkdocs build --strict` failed:\n{output}"
    return folder


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    """Where the site is served, without a slash at the end."""
    handler = functools.partial(_Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()
