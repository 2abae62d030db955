import io
import os
import tarfile
import time
import warnings
import zipfile
from pathlib import Path

import pytest
from cohort_fakes import grade_class
from hypothesis import given
from hypothesis import strategies as st

from eva.errors import GradingError
from eva.grading.cohort import staging
from eva.grading.cohort.handed_in import HandedIn
from eva.grading.cohort.staging import stage

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
    assert [one.student for one in found] == ["anna", "bert", "cleo", "dora", "emil"]
    assert {one.digest for one in found} == {found[0].digest}


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


def test_a_file_of_2_gb_is_refused_unread(tmp_path: Path) -> None:
    _folder(tmp_path / "c", honest=HONEST)
    with open(tmp_path / "c" / "huge.py", "wb") as file:
        file.truncate(2_000_000_000)
    begin = time.monotonic()
    assert "2,000,000,000 bytes" in str(_students(tmp_path / "c")["huge"])
    assert time.monotonic() - begin < 1


def test_an_archive_that_lies_about_its_sizes_is_refused(tmp_path: Path) -> None:
    path = _zip(tmp_path / "bomb.zip", {"submission.py": b"#" * 3_000_000})
    assert "3,000,000 bytes" in str(_one(path).refusal)
    content = path.read_bytes()
    small = (1000).to_bytes(4, "little")
    path.write_bytes(content.replace((3_000_000).to_bytes(4, "little"), small))
    assert _one(path).refusal is not None


def test_a_tar_that_unpacks_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eva.grading.cohort.archives.MAX_UNPACKED", 10_000)
    path = _tar(tmp_path / "anna.tar.gz", {"a.bin": "0" * 20_000, "submission.py": HONEST})
    assert "unpacks to more than 10,000 bytes" in str(_one(path).refusal)


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
        (b"id\n\xff\xfe\xfa\n", "not CSV in UTF-8"),
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
    for one in staging.stage_one(path):
        assert (one.refusal is None) == bool(one.digest)
