import bz2
import gzip
import io
import json
import lzma
import os
import resource
import tarfile
import warnings
import zipfile
from pathlib import Path

import pytest
from cohort_fakes import grade_class
from hypothesis import given, settings
from hypothesis import strategies as st

from eva.errors import GradingError
from eva.grading.cohort import unpack
from eva.grading.cohort.handed_in import HandedIn
from eva.grading.cohort.staging import stage
from eva.notebook import parse_notebook

HONEST = "honest 7000 99.5\n"


def _one(*paths: Path) -> HandedIn:
    (found,) = stage(paths)
    return found


def _students(*paths: Path) -> dict[str, str | None]:
    return {one.student: one.refusal for one in stage(paths)}


def _folder(path: Path, **files: str) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (path / f"{name}.py").write_text(text)
    return path


def _zip(path: Path, files: dict[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def _tar(path: Path, files: dict[str, str], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return path


def test_a_file_is_one_submission(tmp_path: Path) -> None:
    folder = _folder(tmp_path, anna=HONEST)
    one = _one(folder / "anna.py")
    assert (one.student, one.files, one.refusal) == (
        "anna",
        {"submission.py": HONEST.encode()},
        None,
    )


def test_a_folder_with_submission_py_is_one_submission_with_its_helpers(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "anna", submission=HONEST, helper="x = 1\n")
    (folder / "deep").mkdir()
    (folder / "deep" / "more.py").write_text("")
    (folder / "weights.pt").write_bytes(b"0" * 100)
    one = _one(folder)
    assert one.student == "anna"
    assert sorted(one.files) == ["deep/more.py", "helper.py", "submission.py"]


def test_a_folder_of_files_and_folders_and_archives_is_a_class(tmp_path: Path) -> None:
    _folder(tmp_path / "c", anna=HONEST)
    _folder(tmp_path / "c" / "bert", submission=HONEST)
    _folder(tmp_path / "c" / "cleo" / "homework", anything=HONEST)
    _zip(tmp_path / "c" / "dora.zip", {"hw/submission.py": HONEST, "hw/data.csv": "1"})
    _tar(tmp_path / "c" / "emil.tar.gz", {"./submission.py": HONEST})
    (tmp_path / "c" / "__pycache__").mkdir()
    (tmp_path / "c" / ".git").mkdir()
    (tmp_path / "c" / "notes.txt").write_text("no student")
    found = stage([tmp_path / "c"])
    assert [one.student for one in found] == ["anna", "bert", "cleo", "dora", "emil", "notes"]
    assert {one.digest for one in found[:5]} == {found[0].digest}
    assert found[5].refusal == "it holds no .py file, only notes.txt"


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tgz", "tar.bz2", "tar.xz"])
@pytest.mark.parametrize("top", ["", "class/", "a/b/"])
def test_an_archive_may_hold_a_class(tmp_path: Path, kind: str, top: str) -> None:
    files = {
        f"{top}anna.py": HONEST,
        f"{top}bert/submission.py": HONEST,
        f"{top}bert/helper.py": "",
        "__MACOSX/._anna.py": "junk",
    }
    path = tmp_path / f"class.{kind}"
    if kind == "zip":
        _zip(path, dict(files))
    else:
        mode = {"tar": "w", "tgz": "w:gz"}.get(kind, f"w:{kind[4:]}")
        _tar(path, files, mode)
    found = stage([path])
    assert [one.student for one in found] == ["anna", "bert"]
    assert [len(one.files) for one in found] == [1, 2]


def test_an_archive_around_one_folder_is_one_submission(tmp_path: Path) -> None:
    one = _one(_zip(tmp_path / "anna.zip", {"hw1/submission.py": HONEST, "hw1/net.py": ""}))
    assert (one.student, sorted(one.files)) == ("anna", ["net.py", "submission.py"])


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../evil.py", "leads out"),
        ("a/../../evil.py", "leads out"),
        ("/etc/evil.py", "leads out"),
        ("..\\evil.py", "leads out"),
    ],
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_no_path_of_an_archive_leads_out(tmp_path: Path, name: str, why: str, kind: str) -> None:
    files = {"submission.py": HONEST, name: "x = 1"}
    path = tmp_path / f"anna.{kind}"
    _zip(path, dict(files)) if kind == "zip" else _tar(path, files, "w")
    assert why in str(_one(path).refusal)


def test_links_are_refused_wherever_they_lead(tmp_path: Path) -> None:
    _folder(tmp_path / "c", honest=HONEST)
    secret = tmp_path / "secret.py"
    secret.write_text("the instructor's")
    (tmp_path / "c" / "mallory.py").symlink_to(secret)
    _folder(tmp_path / "c" / "nina", submission=HONEST)
    (tmp_path / "c" / "nina" / "more.py").symlink_to(secret)
    (tmp_path / "c" / "olga").mkdir()
    (tmp_path / "c" / "olga" / "submission.py").write_text(HONEST)
    (tmp_path / "c" / "olga" / "all").symlink_to(tmp_path)
    (tmp_path / "c" / "paul").symlink_to(tmp_path / "c" / "nina")
    info = tarfile.TarInfo("submission.py")
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(tmp_path / "c" / "quin.tar", "w") as archive:
        archive.addfile(info)
    with zipfile.ZipFile(tmp_path / "c" / "rosa.zip", "w") as archive2:
        entry = zipfile.ZipInfo("submission.py")
        entry.external_attr = 0o120777 << 16
        archive2.writestr(entry, "/etc/passwd")
    refusals = _students(tmp_path / "c")
    assert refusals.pop("honest") is None
    assert all("link" in str(why) for why in refusals.values()), refusals
    assert len(refusals) == 6


def test_a_pipe_and_a_folder_called_py_do_not_block(tmp_path: Path) -> None:
    _folder(tmp_path / "c", honest=HONEST)
    os.mkfifo(tmp_path / "c" / "pipe.py")
    (tmp_path / "c" / "folder.py").mkdir()
    assert _students(tmp_path / "c") == {
        "honest": None,
        "pipe": "pipe.py is a device, pipe or socket, not a regular file",
        "folder.py": "it holds no .py file",
    }


def test_a_file_of_2_gb_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _folder(tmp_path / "c", honest=HONEST)
    with open(tmp_path / "c" / "huge.py", "wb") as file:
        file.truncate(2_000_000_000)
    opened: list[str] = []
    real = os.open
    monkeypatch.setattr(
        os, "open", lambda path, *rest: opened.append(str(path)) or real(path, *rest)
    )
    assert "2,000,000,000 bytes" in str(_students(tmp_path / "c")["huge"])
    assert [Path(path).name for path in opened] == ["honest.py"]


def test_an_archive_that_lies_about_its_sizes_is_refused(tmp_path: Path) -> None:
    path = _zip(tmp_path / "bomb.zip", {"submission.py": b"#" * 3_000_000})
    assert "3,000,000 bytes" in str(_one(path).refusal)
    content = path.read_bytes()
    small = (1000).to_bytes(4, "little")
    path.write_bytes(content.replace((3_000_000).to_bytes(4, "little"), small))
    assert _one(path).refusal is not None


def test_a_tar_that_says_it_unpacks_to_much_is_refused_before_it_does(tmp_path: Path) -> None:
    info = tarfile.TarInfo("a.bin")
    info.size = 2_000_000_000
    (tmp_path / "anna.tar.gz").write_bytes(gzip.compress(info.tobuf() + bytes(10_240)))
    assert "unpacks to more than 1,000,000,000 bytes" in str(_one(tmp_path / "anna.tar.gz").refusal)


def _bomb(kind: str) -> bytes:
    """A few bytes that unpack to very many, or say that so much is to come."""
    if kind == "pax headers":
        header = tarfile.TarInfo("PaxHeader")
        header.type, header.size = tarfile.XHDTYPE, 300_000_000
        record = b"300000000 path=" + b"a" * (300_000_000 - 16) + b"\n"
        return gzip.compress(header.tobuf() + record, 1)
    header = tarfile.TarInfo("a.bin")
    header.size = 300_000_000
    content = header.tobuf() + bytes(header.size)
    return bz2.compress(content, 1) if kind == "bz2" else lzma.compress(content, preset=0)


@pytest.mark.parametrize(
    ("kind", "name"), [("pax headers", "b.tar.gz"), ("bz2", "b.tar.bz2"), ("xz", "b.tar.xz")]
)
def test_a_bomb_is_a_row_and_costs_no_more_than_its_limits(
    tmp_path: Path, kind: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel holds the limits; here they are lower, so that the test is short."""
    monkeypatch.setattr("eva.grading.cohort.unpack.SECONDS", 1)
    monkeypatch.setattr("eva.grading.cohort.unpack.MEMORY", 200_000_000)
    (tmp_path / name).write_bytes(_bomb(kind))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert _one(tmp_path / name).refusal is not None
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 3


def test_the_limits_are_ten_seconds_and_512_mb() -> None:
    assert unpack.SECONDS < 10
    assert unpack.MEMORY <= 512_000_000


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.xz", "a.tgz"])
@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04" + b"\0" * 50])
def test_a_damaged_archive_is_a_row(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / name).write_bytes(content)
    _folder(tmp_path / "c", honest=HONEST)
    refusals = _students(tmp_path / "c")
    assert refusals["honest"] is None
    assert refusals["a"] is not None


def test_a_cut_archive_is_a_row(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    noise = os.urandom(9000).hex()
    for path in (
        _zip(tmp_path / "c" / "zip.zip", {"submission.py": HONEST, "b.py": noise}),
        _tar(tmp_path / "c" / "tar.tar.gz", {"submission.py": HONEST, "b.py": noise}),
    ):
        path.write_bytes(path.read_bytes()[:-4000])
    assert all("archive can't be read" in str(why) for why in _students(tmp_path / "c").values())


def test_a_student_with_10000_files_is_a_row(tmp_path: Path) -> None:
    _zip(tmp_path / "anna.zip", {f"f{i}.py": "" for i in range(10_000)} | {"submission.py": ""})
    assert "10,001 .py files; at most 50" in str(_one(tmp_path / "anna.zip").refusal)


def test_a_class_of_10000_files_is_a_clear_error(tmp_path: Path) -> None:
    for index in range(10_000):
        (tmp_path / f"{index}.py").touch()
    with pytest.raises(GradingError, match="10,000 submissions were found; at most 5,000"):
        stage([tmp_path])


def test_an_empty_folder_and_a_missing_path_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(GradingError, match="no submission in"):
        stage([tmp_path])
    with pytest.raises(GradingError, match="there is no"):
        stage([tmp_path / "none"])
    with pytest.raises(GradingError, match=r"neither a \.py file"):
        (tmp_path / "x.docx").touch()
        stage([tmp_path / "x.docx"])


def test_a_student_with_an_empty_folder_is_a_row(tmp_path: Path) -> None:
    (tmp_path / "anna").mkdir()
    assert _students(tmp_path) == {"anna": "it holds no .py file"}


def test_an_unreadable_file_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests may run as root, whom no permission stops: the system call is made to refuse."""
    _folder(tmp_path, anna=HONEST, bert=HONEST)
    real = os.open

    def refuse(path: object, *args: object, **kwargs: object) -> int:
        if str(path).endswith("bert.py"):
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refuse)
    assert _students(tmp_path) == {"anna": None, "bert": "it can't be read: Permission denied"}


def test_names_with_line_breaks_formulas_and_broken_bytes_are_graded(tmp_path: Path) -> None:
    names = [b"two\nlines.py", b"=cmd().py", b"\xff\xfe.py", "Zoë.py".encode()]
    for name in names:
        with open(os.fsencode(tmp_path) + b"/" + name, "w") as file:
            file.write(HONEST)
    found = stage([tmp_path])
    assert {one.student for one in found} == {"two\nlines", "=cmd()", "\ufffd\ufffd", "Zoë"}
    book, _ = grade_class([tmp_path], tmp_path.parent / "journal.jsonl")
    assert all(grade.score == 10 for grade in book.grades)


def test_two_students_with_one_id_are_two_rows_and_neither_is_graded(tmp_path: Path) -> None:
    _folder(tmp_path / "c", anna=HONEST, bert=HONEST)
    _folder(tmp_path / "c" / "anna", submission="honest 7000 99.9")
    book, _ = grade_class([tmp_path / "c"], tmp_path / "journal.jsonl")
    rows = [(grade.student, grade.outcome) for grade in book.grades]
    assert rows == [("anna", "refused"), ("anna", "refused"), ("bert", "graded")]
    assert "several submissions have this id" in book.grades[0].reason
    assert "anna.py" in book.grades[0].reason


def test_several_files_without_submission_py_are_a_row(tmp_path: Path) -> None:
    _folder(tmp_path / "anna", net=HONEST, train="")
    assert _students(tmp_path) == {"anna": "it holds 2 .py files, and none is submission.py"}


def test_a_roster_names_dates_paths_missing_and_unknown_students(tmp_path: Path) -> None:
    _folder(tmp_path / "c", anna=HONEST, stranger=HONEST)
    _folder(tmp_path / "elsewhere", x=HONEST)
    (tmp_path / "roster.csv").write_text(
        "student_id,path,submitted,due,first_name,unknown column\n"
        "anna,,2026-03-02T10:00:00Z,2026-03-01T10:00:00Z,Anna,1\n"
        "bert,elsewhere/x.py,,,,\n"
        "cleo,,,,,\n"
        "dora,elsewhere/none.py,,,,\n"
        "emil,,yesterday,,,\n"
        "fred,,,,,\n"
        "fred,,,,,\n"
    )
    found = {one.student: one for one in stage([tmp_path / "c", tmp_path / "roster.csv"])}
    assert found["anna"].roster is not None and found["anna"].roster.first_name == "Anna"
    assert found["bert"].files == {"submission.py": HONEST.encode()}
    assert found["cleo"].refusal == "nothing was handed in"
    assert found["dora"].refusal == "nothing was handed in at this path"
    assert "submitted is 'yesterday'" in str(found["emil"].refusal)
    assert "several submissions have this id" in str(found["fred"].refusal)
    assert found["stranger"].flags == ("not in the roster",)
    assert found["stranger"].refusal is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "names no student"),
        (b"name,path\nanna,x\n", "no column `id`"),
        (b"n\xe4me\nanna\n", "no column `id`"),
    ],
)
def test_a_bad_roster_is_a_clear_error(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "roster.csv").write_bytes(content)
    with pytest.raises(GradingError, match=words):
        stage([tmp_path / "roster.csv"])


def test_a_roster_line_without_an_id_is_a_row(tmp_path: Path) -> None:
    (tmp_path / "roster.csv").write_text("id,path\n,x.py\n")
    assert _students(tmp_path / "roster.csv") == {"roster.csv:2": "the roster's line has no id"}


def test_a_member_without_a_name_is_a_row(tmp_path: Path) -> None:
    path = _zip(tmp_path / "anna.zip", {"x.py": HONEST, "y.txt": ""})
    path.write_bytes(path.read_bytes().replace(b"y.txt", b"\0.txt"))
    assert "archive can't be read" in str(_one(path).refusal)


@settings(deadline=None, max_examples=30)  # each is a process
@given(st.lists(st.tuples(st.text(max_size=12), st.binary(max_size=30)), max_size=6))
def test_no_archive_makes_staging_raise(
    tmp_path_factory: pytest.TempPathFactory, members: list[tuple[str, bytes]]
) -> None:
    path = tmp_path_factory.mktemp("zip") / "anna.zip"
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that come twice
        archive.writestr(".", "no folder and no file")
        for name, content in members:
            if name.encode("utf-8", "replace").decode() == name and name:
                archive.writestr(zipfile.ZipInfo(f"{name}.py"), content)
    for one in stage([path]):
        assert (one.refusal is None) == bool(one.digest)


@pytest.mark.parametrize("form", ["zip", "folder"])
@pytest.mark.parametrize("inside", ["anna.py", "anna/submission.py", "submissions/anna/net.py"])
def test_what_lies_inside_of_one_students_work_names_nobody_else(
    tmp_path: Path, form: str, inside: str
) -> None:
    """Not in a class's folder, and not where paths are named one by one."""
    _folder(tmp_path / "c", anna=HONEST)
    files = {inside: "honest 1 1", inside.replace("anna", "bert"): "honest 2 2"}
    if form == "zip":
        _zip(tmp_path / "c" / "mallory.zip", dict(files))
    else:
        for name, text in files.items():
            path = tmp_path / "c" / "mallory" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    one_by_one = sorted((tmp_path / "c").iterdir())
    for paths in ([tmp_path / "c"], one_by_one):
        found = {one.student: one for one in stage(paths)}
        assert sorted(found) == ["anna", "mallory"]
        assert found["anna"].files == {"submission.py": HONEST.encode()}


def test_a_single_archive_of_somebody_in_the_roster_is_theirs_alone(tmp_path: Path) -> None:
    files = {"anna.py": HONEST, "bert.py": HONEST}
    (tmp_path / "roster.csv").write_text("id\nmallory\nanna\n")
    found = _students(_zip(tmp_path / "mallory.zip", dict(files)), tmp_path / "roster.csv")
    assert found == {
        "anna": "nothing was handed in",
        "mallory": "it holds 2 .py files, and none is submission.py",
    }


@pytest.mark.parametrize(
    "names",
    [
        ["submission.py", "a.py", "a.py/b.py"],
        ["submission.py", "n" * 250 + ".py"],
        ["submission.py", "d/" * 600 + "n.py"],
        ["submission.py", "a" * 60_000 + ".py"],
    ],
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_no_disk_takes_are_a_row(tmp_path: Path, names: list[str], kind: str) -> None:
    files = dict.fromkeys(names, "x = 1\n")
    path = tmp_path / f"anna.{kind}"
    _zip(path, dict(files)) if kind == "zip" else _tar(path, files, "w")
    refusal = str(_one(path).refusal)
    assert "too long" in refusal or "is a file and a folder" in refusal
    assert len(refusal) < 2100


def test_names_and_refusals_of_a_row_are_not_endless(tmp_path: Path) -> None:
    long = HandedIn(student="é" * 5000, source="s" * 5000, refusal="r" * 5000)
    for text in (long.student, long.source, long.refusal or ""):
        assert len(text.encode()) <= 2000 and text.endswith(" ...")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("net.ipynb", "net.ipynb is not a notebook: it is no JSON"),
        ("net.txt", "only net.txt"),
        ("net.rar", "only net.rar. Of archives, one .zip or .tar"),
        ("net.7z", "only net.7z. Of archives"),
        ("inner.zip", "only inner.zip. Of archives"),
    ],
)
def test_nothing_vanishes(tmp_path: Path, name: str, words: str) -> None:
    """In a student's folder, in a student's archive, and at the top of a class."""
    _folder(tmp_path / "c", anna=HONEST)
    (tmp_path / "c" / "bert").mkdir()
    (tmp_path / "c" / "bert" / name).write_bytes(b"...")
    _zip(tmp_path / "c" / "cleo.zip", {name: "..."})
    (tmp_path / "c" / "dora").mkdir()
    if name != "inner.zip":
        (tmp_path / "c" / f"zoe.{name.split('.')[1]}").write_bytes(b"...")
    found = _students(tmp_path / "c")
    assert found["anna"] is None
    assert words in str(found["bert"]) and words in str(found["cleo"])
    assert found["dora"] == "it holds no .py file"
    assert len(found) == (4 if name == "inner.zip" else 5)


def test_at_the_top_of_a_class_archive_nothing_vanishes_either(tmp_path: Path) -> None:
    files = {"anna.py": HONEST, "bert.ipynb": "{}", "cleo.zip": "PK", "dora/net.txt": "."}
    found = _students(_zip(tmp_path / "class.zip", dict(files)))
    assert sorted(found) == ["anna", "bert", "cleo", "dora"]
    assert [name for name, why in found.items() if why is None] == ["anna"]


def test_endings_and_entries_in_capitals_and_dot_folders_are_graded(tmp_path: Path) -> None:
    (tmp_path / "ALICE.PY").write_text(HONEST)
    _folder(tmp_path / ".bert", submission=HONEST)
    _zip(tmp_path / "Cleo.ZIP", {"Submission.PY": HONEST, "Helper.PY": "x = 1"})
    found = {one.student: one for one in stage([tmp_path])}
    assert {name: one.refusal for name, one in found.items()} == dict.fromkeys(
        ["ALICE", ".bert", "Cleo"]
    )
    assert sorted(found["Cleo"].files) == ["Helper.py", "submission.py"]


def test_what_a_file_manager_leaves_is_no_row(tmp_path: Path) -> None:
    _folder(tmp_path, anna=HONEST)
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._anna.py"):
        (tmp_path / name).write_text("")
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / ".git").mkdir()
    assert _students(tmp_path) == {"anna": None}


def test_a_note_beside_a_submission_of_the_same_name_is_a_flag(tmp_path: Path) -> None:
    _folder(tmp_path / "c", anna=HONEST, bert=HONEST)
    (tmp_path / "c" / "anna.txt").write_text("thanks!")
    found = {one.student: one for one in stage([tmp_path / "c"])}
    assert found["anna"].refusal is None and "anna.txt" in found["anna"].flags[0]
    assert found["bert"].flags == ()


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_rosters_of_every_spreadsheet_are_read(
    tmp_path: Path, delimiter: str, encoding: str
) -> None:
    rows = (
        ["First Name,id,late", "Zoë,anna,1.5", '"a;b,c",bert,']
        if delimiter == ","
        else [
            f"First Name{delimiter}id{delimiter}late",
            f"Zoë{delimiter}anna{delimiter}1.5",
            f'"a;b,c"{delimiter}bert{delimiter}',
        ]
    )
    _folder(tmp_path / "c", anna=HONEST, bert=HONEST)
    (tmp_path / "roster.csv").write_bytes("\r\n".join(rows).encode(encoding))
    found = {one.student: one.roster for one in stage([tmp_path / "c", tmp_path / "roster.csv"])}
    anna, bert = found["anna"], found["bert"]
    assert anna is not None and (anna.first_name, anna.late) == ("Zoë", 1.5)
    assert bert is not None and bert.first_name == "a;b,c"


NOTEBOOK = json.dumps(
    {
        "cells": [
            {"cell_type": "markdown", "metadata": {}, "source": "# Mine"},
            {
                "cell_type": "code",
                "metadata": {},
                "source": "!pip install x",
                "outputs": ["y" * 9999],
            },
            {"cell_type": "code", "metadata": {}, "source": ["#| export\n", HONEST], "outputs": []},
        ],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
)


def test_notebooks_are_handed_in_as_files_are(tmp_path: Path) -> None:
    top = tmp_path / "c"
    _folder(top / "with_helper", helper="x = 1")
    (top / "with_helper" / "work.ipynb").write_text(NOTEBOOK)
    _folder(top / "with_file", submission=HONEST)
    (top / "with_file" / "tried.ipynb").write_text(NOTEBOOK)
    (top / "alone.IPYNB").write_text(NOTEBOOK)
    _zip(top / "zipped.zip", {"a/Submission.ipynb": NOTEBOOK, "a/other.ipynb": "{}"})
    _zip(top / "two.zip", {"a.ipynb": NOTEBOOK, "b.ipynb": NOTEBOOK})
    (top / "large.ipynb").write_text(NOTEBOOK.replace("y" * 9999, "y" * 10_000_001))
    found = {one.student: one for one in stage([top])}
    for name, files in {
        "with_helper": ["helper.py", "submission.ipynb"],
        "with_file": ["submission.py"],
        "alone": ["submission.ipynb"],
        "zipped": ["submission.ipynb"],
    }.items():
        assert sorted(found[name].files) == files, (name, found[name].refusal)
    code = found["alone"].files["submission.ipynb"]
    assert len(code) < 1000 and parse_notebook(code, "n").marked[0].number == 3
    assert "2 notebooks, and none is submission.ipynb" in str(found["two"].refusal)
    assert "more than 10,000,000 bytes" in str(found["large"].refusal)
    one = _one(_folder(tmp_path / "alone") / "../c/alone.IPYNB")
    assert (one.student, sorted(one.files)) == ("alone", ["submission.ipynb"])
