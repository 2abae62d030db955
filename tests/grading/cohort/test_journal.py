import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from cohort_fakes import FACTS, SEAL
from hypothesis import given
from hypothesis import strategies as st

from eva.errors import GradingError
from eva.grading.cohort.journal import Journal, Seal, line_of, read_journals

RESULT = {"tier": "A", "digest": "d", "verdicts": []}


def _seed(key: str, index: int) -> dict:
    return {"kind": "seed", "key": key, "index": index, "result": {"index": index}}


def test_what_was_appended_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "journal.jsonl"
    with Journal(path, dict(FACTS), SEAL) as journal:
        journal.append({"kind": "class", "students": [{"student": "a"}]})
        journal.append({"kind": "static", "key": "k", "checks": "", "result": dict(RESULT)})
        journal.append(_seed("d", 0))
    contents = read_journals([path], SEAL)
    assert contents.facts == FACTS
    assert contents.students == [{"student": "a"}]
    assert contents.static == {"k": RESULT}
    assert contents.seeds == {("d", 0): {"index": 0}}
    assert contents.damaged == 0


def test_a_journal_cut_at_any_byte_keeps_all_whole_lines_and_can_be_continued(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, dict(FACTS), SEAL) as journal:
        for index in range(3):
            journal.append(_seed("d", index))
    content = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(content) if byte == ord("\n")]
    for cut in range(0, len(content) + 1, 7):
        path.write_bytes(content[:cut])
        whole = sum(end <= cut + 1 for end in ends)  # without its line feed a line is whole too
        with Journal(path, dict(FACTS), SEAL) as journal:
            assert len(journal.contents.seeds) == max(whole - 1, 0), cut
            journal.append(_seed("e", 9))
        again = read_journals([path], SEAL)
        assert ("e", 9) in again.seeds
        assert again.facts == FACTS
        assert len(again.seeds) == max(whole - 1, 0) + 1


@given(st.binary(max_size=60), st.integers(0, 400))
def test_no_garbage_stops_a_journal_or_invents_a_result(
    tmp_path_factory: pytest.TempPathFactory, garbage: bytes, place: int
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    good = b"".join(line_of(_seed("d", index), SEAL) for index in range(3))
    place = min(place, len(good))
    path.write_bytes(good[:place] + garbage + good[place:])
    try:
        found = set(read_journals([path], SEAL).seeds)
    except GradingError as error:
        assert "was changed by somebody else" in str(error)
    else:
        assert found <= {("d", 0), ("d", 1), ("d", 2)}


def test_each_changed_byte_of_a_line_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    line = line_of(_seed("d", 1), SEAL)
    for place in range(len(line) - 1):
        path.write_bytes(line[:place] + bytes([line[place] ^ 1]) + line[place + 1 :])
        try:
            contents = read_journals([path], SEAL)
        except GradingError as error:
            assert "line 1 does not carry the digest" in str(error)
            continue
        assert contents.seeds in ({}, {("d", 1): {"index": 1}})
        assert contents.seeds == {} or json.loads(path.read_bytes()) == json.loads(line)


@pytest.mark.parametrize("digest", ["none", "another secret's", "no text", "not ascii"])
def test_a_line_that_somebody_wrote_without_the_secret_is_refused(
    tmp_path: Path, digest: str
) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path, dict(FACTS), SEAL).close()
    forged: dict = {"entry": _seed("d", 0)}
    if digest != "none":
        forged["hmac"] = {
            "another secret's": Seal(b"a guess").of(forged["entry"]),
            "no text": 7,
            "not ascii": "\u00e9" * 64,
        }[digest]
    with path.open("a") as file:
        file.write(json.dumps(forged) + "\n")
    with pytest.raises(GradingError, match="was changed by somebody else: line 2"):
        Journal(path, dict(FACTS), SEAL)


@pytest.mark.parametrize("fact", ["assignment", "seeds", "secret"])
def test_a_journal_of_another_grading_is_refused(tmp_path: Path, fact: str) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path, dict(FACTS), SEAL).close()
    with pytest.raises(GradingError, match=rf"another grading: {fact} differs"):
        Journal(path, FACTS | {fact: "other"}, SEAL)
    other = tmp_path / "other.jsonl"
    Journal(other, FACTS | {fact: "other"}, SEAL).close()
    with pytest.raises(GradingError, match=rf"{fact} differs"):
        read_journals([path, other], SEAL)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(
        line_of({"kind": "grading", "schema": 99, "facts": dict(FACTS)}, Seal(b"other"))
    )
    with pytest.raises(GradingError, match="schema 99"):
        read_journals([path], SEAL)


def test_two_coordinators_can_not_write_one_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, dict(FACTS), SEAL), pytest.raises(GradingError, match="another process"):
        Journal(path, dict(FACTS), SEAL)
    Journal(path, dict(FACTS), SEAL).close()


def test_a_missing_journal_and_a_folder_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(GradingError, match="can't be read"):
        read_journals([tmp_path / "none.jsonl"], SEAL)
    with pytest.raises(GradingError, match="can't be written"):
        Journal(tmp_path, dict(FACTS), SEAL)


_FILLS_THE_DISK = """
import resource, sys
from pathlib import Path
from eva.errors import GradingError
from eva.grading.cohort.journal import Journal, Seal
seal = Seal(b"a secret of the tests")
journal = Journal(Path(sys.argv[1]), {"seeds": 3}, seal)
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
    contents = read_journals([path], SEAL)
    assert set(contents.seeds) == {("d", 0), ("d", 2)}
    assert contents.damaged == 0


def test_of_a_result_that_two_journals_hold_the_first_counts(tmp_path: Path) -> None:
    for name, value in (("a", 1), ("b", 2)):
        entry = {"kind": "seed", "key": "d", "index": 0, "result": {"value": value}}
        (tmp_path / name).write_bytes(line_of(entry, SEAL))
    merged = read_journals([tmp_path / "a", tmp_path / "b"], SEAL)
    assert merged.seeds == {("d", 0): {"value": 1}}
