import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from cohort_fakes import FACTS
from hypothesis import given
from hypothesis import strategies as st

from eva.errors import GradingError
from eva.grading.cohort.journal import Journal, line_of, read_journals

RESULT = {"tier": "A", "digest": "d", "verdicts": []}


def _seed(key: str, index: int) -> dict:
    return {"kind": "seed", "key": key, "index": index, "result": {"index": index}}


def test_what_was_appended_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "journal.jsonl"
    with Journal(path, dict(FACTS)) as journal:
        journal.append({"kind": "class", "students": [{"student": "a"}]})
        journal.append({"kind": "static", "key": "k", "result": dict(RESULT)})
        journal.append(_seed("d", 0))
    contents = read_journals([path])
    assert contents.facts == FACTS
    assert contents.students == [{"student": "a"}]
    assert contents.static == {"k": RESULT}
    assert contents.seeds == {("d", 0): {"index": 0}}
    assert contents.damaged == 0


def test_a_journal_cut_at_any_byte_keeps_all_whole_lines_and_can_be_continued(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, dict(FACTS)) as journal:
        for index in range(3):
            journal.append(_seed("d", index))
    content = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(content) if byte == ord("\n")]
    for cut in range(0, len(content) + 1, 7):
        path.write_bytes(content[:cut])
        whole = sum(end <= cut + 1 for end in ends)  # without its line feed a line is whole too
        with Journal(path, dict(FACTS)) as journal:
            assert len(journal.contents.seeds) == max(whole - 1, 0), cut
            journal.append(_seed("e", 9))
        again = read_journals([path])
        assert ("e", 9) in again.seeds
        assert again.facts == FACTS
        assert len(again.seeds) == max(whole - 1, 0) + 1


@given(st.binary(max_size=60), st.integers(0, 400))
def test_no_garbage_stops_a_journal_or_invents_a_result(
    tmp_path_factory: pytest.TempPathFactory, garbage: bytes, place: int
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    good = b"".join(line_of(_seed("d", index)) for index in range(3))
    place = min(place, len(good))
    path.write_bytes(good[:place] + garbage + good[place:])
    assert set(read_journals([path]).seeds) <= {("d", 0), ("d", 1), ("d", 2)}


def test_each_changed_byte_of_a_line_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    line = line_of(_seed("d", 1))
    for place in range(len(line) - 1):
        path.write_bytes(line[:place] + bytes([line[place] ^ 1]) + line[place + 1 :])
        contents = read_journals([path])
        assert contents.seeds in ({}, {("d", 1): {"index": 1}})
        assert contents.seeds == {} or json.loads(path.read_bytes()) == json.loads(line)


@pytest.mark.parametrize("fact", ["assignment", "seeds", "secret"])
def test_a_journal_of_another_grading_is_refused(tmp_path: Path, fact: str) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path, dict(FACTS)).close()
    with pytest.raises(GradingError, match=rf"another grading: {fact} differs"):
        Journal(path, FACTS | {fact: "other"})
    other = tmp_path / "other.jsonl"
    Journal(other, FACTS | {fact: "other"}).close()
    with pytest.raises(GradingError, match=rf"{fact} differs"):
        read_journals([path, other])


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(line_of({"kind": "grading", "schema": 99, "facts": dict(FACTS)}))
    with pytest.raises(GradingError, match="schema 99"):
        read_journals([path])


def test_two_coordinators_can_not_write_one_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, dict(FACTS)), pytest.raises(GradingError, match="another process"):
        Journal(path, dict(FACTS))
    Journal(path, dict(FACTS)).close()


def test_a_missing_journal_and_a_folder_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(GradingError, match="can't be read"):
        read_journals([tmp_path / "none.jsonl"])
    with pytest.raises(GradingError, match="can't be written"):
        Journal(tmp_path, dict(FACTS))


_FILLS_THE_DISK = """
import resource, sys
from pathlib import Path
from eva.errors import GradingError
from eva.grading.cohort.journal import Journal
journal = Journal(Path(sys.argv[1]), {"seeds": 3})
journal.append({"kind": "seed", "key": "d", "index": 0, "result": {}})
resource.setrlimit(resource.RLIMIT_FSIZE, (journal._size + 40, resource.RLIM_INFINITY))
for attempt in range(2):
    try:
        journal.append({"kind": "seed", "key": "d", "index": 1, "result": {}})
    except GradingError as error:
        print(error.problem)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
journal.append({"kind": "seed", "key": "d", "index": 2, "result": {}})
"""


def test_a_full_disk_is_a_clear_error_and_loses_nothing(tmp_path: Path) -> None:
    """The kernel itself cuts the write short, by a limit on the file's size."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    path = tmp_path / "journal.jsonl"
    ran = subprocess.run(
        [sys.executable, "-c", _FILLS_THE_DISK, str(path)],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )
    assert ran.stdout.count("can't be written: File too large.") == 2
    contents = read_journals([path])
    assert set(contents.seeds) == {("d", 0), ("d", 2)}
    assert contents.damaged == 0


def test_of_a_result_that_two_journals_hold_the_first_counts(tmp_path: Path) -> None:
    for name, value in (("a", 1), ("b", 2)):
        entry = {"kind": "seed", "key": "d", "index": 0, "result": {"value": value}}
        (tmp_path / name).write_bytes(line_of(entry))
    merged = read_journals([tmp_path / "a", tmp_path / "b"])
    assert merged.seeds == {("d", 0): {"value": 1}}
