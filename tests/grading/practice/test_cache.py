"""Practice grades: what is trained, what is remembered, and what is never trusted."""

import json
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import eva.grading.practice.cache
from eva.data import Dataset
from eva.errors import GradingError
from eva.grading.checks.report import Report
from eva.grading.checks.rubric import load_assignment
from eva.grading.checks.verdict import Status
from eva.grading.graph.capture import capture
from eva.grading.practice.cache import Facts, RunCache
from eva.grading.practice.grade import Grading, grade

NET = """
from torch import nn
from eva.blocks import gap_head
from eva.recipe import Recipe, SGD

def build_model():
    return nn.Sequential(nn.MaxPool2d(4), nn.Conv2d(1, 4, 3), nn.ReLU(), gap_head(4))

RECIPE = Recipe(epochs=2, batch_size=64, optimizer=SGD(lr=0.1))
"""

Grade = Callable[..., Report]


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / "cache" / name)
    return tmp_path / "cache" / "eva-course" / "grades"


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.py"
    path.write_text(NET)
    return path


@pytest.fixture
def data(tiny: Dataset) -> Dataset:
    """Few images under the name of the real ones: what is tested here is not how good they are."""
    return replace(tiny, name="mnist")


def blank_pictures(run: object, model: object, data: object, folder: Path) -> list[Path]:
    """Drawing takes a second, and is tested elsewhere."""
    (folder / "curves.png").write_bytes(b"")
    return [folder / "curves.png"]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eva.plots.save_training_plots", blank_pictures)


@pytest.fixture
def graded(cache: Path, net: Path, data: Dataset) -> Callable[..., tuple[Report, list[str]]]:
    def graded(**options: object) -> tuple[Report, list[str]]:
        lines: list[str] = []
        report = grade(net, **{"data": data, "show": lines.append} | options)  # type: ignore[arg-type]
        return report, lines

    return graded


def trained(lines: list[str]) -> int:
    return sum(line.startswith("epoch") for line in lines)


def test_an_unchanged_submission_is_trained_once(graded: Grade, net: Path, cache: Path) -> None:
    first, lines = graded()
    assert trained(lines) == 2
    assert [row.verdict.status for row in first.rows[6:]] == [Status.FAILED, Status.FAILED]
    names = ["record.json", "curves.png", "confusion.png", "misclassified.png"]
    assert [file.name for file in first.files] == names
    assert all(file.is_file() for file in first.files)
    assert not list(cache.rglob("checkpoint.pt"))

    net.write_text(f"# A comment changes nothing that is computed.\n{NET}")
    again, lines = graded()
    assert lines == ["Nothing changed since this was trained; --no-cache trains it again."]
    assert again == first


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("gap_head(4)", "gap_head(4), nn.Flatten()"),
        ("nn.Conv2d(1, 4, 3)", "nn.Conv2d(1, 4, 3, padding=1)"),
        ("lr=0.1", "lr=0.2"),
        ("def build_model():", "def build_model():\n    nn.Linear(2, 2)"),
    ],
    ids=["graph", "argument", "recipe", "first weights"],
)
def test_another_submission_has_another_key(old: str, new: str, net: Path, data: Dataset) -> None:
    before = Facts.of(capture(net), data, 0)
    assert Facts.of(capture(net), data, 0) == before
    assert old in NET
    net.write_text(NET.replace(old, new))
    assert Facts.of(capture(net), data, 0).key != before.key


def test_another_world_has_another_key(
    net: Path, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    captured = capture(net)
    keys = {
        Facts.of(captured, data, 0).key,
        Facts.of(captured, data, 1).key,
        Facts.of(captured, replace(data, test_labels=data.test_labels.flip(0)), 0).key,
    }
    with monkeypatch.context() as patch:
        patch.setattr(eva, "__version__", "9.9")
        keys.add(Facts.of(captured, data, 0).key)
    monkeypatch.setattr("torch.__version__", "9.9")
    keys.add(Facts.of(captured, data, 0).key)
    assert len(keys) == 5


@pytest.mark.usefixtures("quick")
def test_without_the_cache_it_is_trained_again(graded: Grade) -> None:
    first, _ = graded()
    again, lines = graded(cache=False)
    assert trained(lines) == 2
    assert [r.verdict for r in again.rows] == [r.verdict for r in first.rows]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def promise_more(path: Path) -> None:
    record = json.loads(path.read_text())
    record["rows"][0]["test_accuracy"] = 99.9
    path.write_text(json.dumps(record))


def other_schema(path: Path) -> None:
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 99'))


def other_facts(path: Path) -> None:
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 5'))


@pytest.fixture(scope="module")
def entry(tiny: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Facts]:
    """A finished training, with the facts that it is found by."""
    folder = tmp_path_factory.mktemp("entry")
    net = folder / "net.py"
    net.write_text(NET)
    data = replace(tiny, name="mnist")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("eva.plots.save_training_plots", blank_pictures)
        patch.setattr("platformdirs.user_cache_path", lambda name: folder / name)
        grade(net, data=data)
    return folder / "eva-course" / "grades", Facts.of(capture(net), data, 0)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("result.json", cut),
        ("record.json", cut),
        ("curves.png", Path.unlink),
        ("result.json", Path.unlink),
        ("result.json", lambda path: path.write_text("[]")),
        ("result.json", other_schema),
        ("result.json", other_facts),
        ("record.json", promise_more),
    ],
)
def test_a_damaged_entry_is_as_good_as_none(
    entry: tuple[Path, Facts], tmp_path: Path, name: str, damage: Callable[[Path], object]
) -> None:
    root, facts = entry
    cache = RunCache(shutil.copytree(root, tmp_path / "grades"))
    assert cache.find(facts) is not None
    damage(cache.folder(facts) / name)
    assert cache.find(facts) is None


@pytest.mark.usefixtures("quick")
def test_a_damaged_entry_is_made_anew(graded: Grade, cache: Path) -> None:
    first, _ = graded()
    (file,) = cache.rglob("record.json")
    promise_more(file)
    again, lines = graded()
    assert trained(lines) == 2
    assert [r.verdict for r in again.rows] == [r.verdict for r in first.rows]
    assert trained(graded()[1]) == 0


@pytest.mark.usefixtures("quick")
def test_an_interrupted_training_goes_on(graded: Grade, cache: Path) -> None:
    def interrupt(line: str) -> None:
        if line.startswith("epoch  1"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        graded(show=interrupt)
    report, lines = graded()
    assert "Going on after epoch 1." in lines
    assert trained(lines) == 1
    straight, _ = graded(cache=False)
    assert [r.verdict for r in report.rows] == [r.verdict for r in straight.rows]


@pytest.mark.usefixtures("quick")
def test_a_damaged_checkpoint_is_forgotten(graded: Grade, cache: Path) -> None:
    def interrupt(line: str) -> None:
        if line.startswith("epoch  1"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        graded(show=interrupt)
    (checkpoint,) = cache.rglob("checkpoint.pt")
    cut(checkpoint)
    _, lines = graded()
    assert trained(lines) == 2


@pytest.mark.usefixtures("quick")
def test_nothing_is_stored_before_it_is_whole(
    graded: Grade, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(eva.grading.practice.cache, "write_atomically", full)
        with pytest.raises(OSError, match="disk full"):
            graded()
    assert not list(cache.rglob("result.json"))
    graded()
    assert list(cache.rglob("result.json"))


def test_a_loss_that_explodes_fails_with_advice_and_is_not_remembered(
    graded: Grade, net: Path, cache: Path
) -> None:
    net.write_text(NET.replace("lr=0.1", "lr=1e30"))
    report, _ = graded()
    reaches, holds = report.rows[6:]
    assert reaches.verdict.status is Status.FAILED
    assert "NaN or infinite in epoch" in reaches.verdict.message
    assert "learning rate" in reaches.explain()
    assert holds.verdict.status is Status.SKIPPED
    assert not list(cache.rglob("result.json"))


def test_mnist_mini_never_counts(graded: Grade, mini: Dataset) -> None:
    report, lines = graded(data=mini)
    assert trained(lines) == 0
    assert [row.verdict.status for row in report.rows[6:]] == [Status.SKIPPED] * 2
    assert "only full MNIST counts" in report.rows[6].verdict.message
    assert report.exit_code == 3
    assert "eva data fetch" in report.next_step()


def test_without_mnist_training_is_skipped_with_the_reason(graded: Grade, no_network: Path) -> None:
    report, _ = graded(data="mnist")
    assert "could not be downloaded" in report.rows[6].verdict.message
    assert report.exit_code == 3
    assert report.points == 7


def test_training_waits_for_the_checks_before_it(graded: Grade, net: Path) -> None:
    net.write_text(NET.replace("epochs=2", "epochs=16"))
    report, lines = graded()
    assert lines == []
    assert report.rows[5].verdict.status is Status.FAILED
    assert report.rows[6].verdict.details["note"] == "needs 6"
    assert report.exit_code == 1


def test_a_network_that_has_no_graph_waits_for_a_person(graded: Grade, net: Path) -> None:
    forward = (
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.head = gap_head(1)\n"
        "    def forward(self, x):\n"
        "        return self.head(x if x.mean() > -9 else x * 2)\n"
    )
    text = NET.replace("def build_model", f"{forward}\ndef build_model")
    start, end = text.index("nn.Sequential"), text.index("\n\nRECIPE")
    net.write_text(f"{text[:start]}Net(){text[end:]}")
    report, lines = graded()
    assert lines == []
    assert report.rows[4].verdict.status is Status.NEEDS_REVIEW
    assert report.rows[6].verdict.details["note"] == "needs review"
    assert report.exit_code == 1


def test_a_verdict_runs_no_more_than_it_needs(net: Path, cache: Path, data: Dataset) -> None:
    grading = Grading(net, load_assignment("mnist_8k"), data=data)
    assert grading.verdict("under_8k").status is Status.PASSED
    assert not cache.exists()


def test_two_gradings_of_one_network_take_turns(tmp_path: Path) -> None:
    facts = Facts(submission="net", data="mnist", seed=0, eva="0", torch="0")
    waited, order = threading.Event(), []

    def second() -> None:
        with RunCache(tmp_path).only_one(facts, waited.set):
            order.append("second")

    with RunCache(tmp_path).only_one(facts, lambda: order.append("the first waits")):
        thread = threading.Thread(target=second)
        thread.start()
        assert waited.wait(60)
        order.append("first")
    thread.join(60)
    assert order == ["first", "second"]
    other = replace(facts, seed=1)
    one, two = (RunCache(tmp_path).only_one(each, waited.clear) for each in (facts, other))
    with one, two:  # another network: no waiting
        assert waited.is_set()


def test_the_default_place_is_the_users_cache(cache: Path) -> None:
    assert RunCache().root == cache


@pytest.mark.usefixtures("quick", "no_network")
def test_auto_practices_on_mnist_mini_and_says_what_that_is_worth(graded: Grade) -> None:
    report, lines = graded(data="auto")
    assert "99.4 % target needs full MNIST" in lines[0]
    assert trained(lines) == 2
    assert [row.verdict.status for row in report.rows[6:]] == [Status.SKIPPED] * 2
    assert "% on mnist-mini" in str(report.rows[6].verdict.details["note"])
    assert report.exit_code == 0
    assert report.points == 7


@pytest.mark.usefixtures("quick")
def test_files_are_copied_where_they_are_asked_for(graded: Grade, tmp_path: Path) -> None:
    report, _ = graded(out=tmp_path / "here")
    assert {file.parent for file in report.files} == {tmp_path / "here"}
    assert all(file.is_file() for file in report.files)
    again, lines = graded(out=tmp_path / "there")
    assert trained(lines) == 0
    assert (tmp_path / "there" / "record.json").is_file()
    assert again.run == report.run


@pytest.mark.usefixtures("quick")
def test_a_folder_that_is_a_file_is_named(graded: Grade, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(GradingError, match="taken can't be written"):
        graded(out=tmp_path / "taken")


def test_scores_that_depend_on_the_batch_count_for_nothing(
    graded: Grade, net: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "eva.grading.practice.grade.memory_problem", lambda model, images: "they change."
    )
    report, _ = graded()
    first, second = (row.verdict for row in report.rows[6:])
    assert first.status is Status.FAILED
    assert "training counts for nothing: they change." in first.message
    assert second.status is Status.SKIPPED


def test_training_that_raises_is_a_verdict_and_a_full_disk_is_not(
    graded: Grade, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raises(error: Exception) -> Callable[..., None]:
        def fit(self: object, *, resume: bool = False) -> None:
            raise error

        return fit

    monkeypatch.setattr("eva.training.trainer.Trainer.fit", raises(ZeroDivisionError("0 / 0")))
    report, _ = graded()
    assert report.rows[6].verdict.status is Status.FAILED
    assert "ZeroDivisionError: 0 / 0" in report.rows[6].verdict.message
    monkeypatch.setattr("eva.training.trainer.Trainer.fit", raises(OSError("the disk is full")))
    with pytest.raises(OSError, match="disk is full"):
        graded()
