"""Made-up downloads in the form of each course system, staged to one row a student."""

import io
import shutil
import subprocess
import unicodedata
import zipfile
from datetime import UTC
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from eva.errors import GradingError
from eva.grading.cohort.handed_in import HandedIn
from eva.grading.cohort.roster import read_roster
from eva.grading.cohort.staging import Attempt, stage

HONEST = "def build_model(): ..."
NET = "from net import build_model"

CANVAS = {
    "doejane_10001_555_submission.py": NET,
    "doejane_10001_556_net.py": HONEST,
    "müllerjörg_LATE_10002_557_submission-2.py": HONEST,
    "leewei_10003_558_hw.zip": {"hw/submission.py": HONEST},
    "text_10004_559_text.html": "<p>mail",
}
MOODLE = {
    "Jane Doe_10001_assignsubmission_file_/submission.py": NET,
    "Jane Doe_10001_assignsubmission_file_/net.py": HONEST,
    "Jörg Müller_10002_assignsubmission_file_/net.py": HONEST,
    "Wei Lee_10003_assignsubmission_file_/hw.zip": {"submission.py": HONEST},
    "No File_10004_assignsubmission_onlinetext_/onlinetext.html": "<p>mail",
}
MOODLE_FLAT = {
    "Jane Doe_10001_assignsubmission_file_submission.py": NET,
    "Jane Doe_10001_assignsubmission_file_net.py": HONEST,
    "Jörg Müller_10002_assignsubmission_file_net.py": HONEST,
    "Wei Lee_10003_assignsubmission_file_hw.zip": {"submission.py": HONEST},
    "No File_10004_assignsubmission_onlinetext_onlinetext.html": "<p>mail",
}
BLACKBOARD = {
    "Homework 3_10001_attempt_2026-03-01-10-00-00.txt": "Name: Jane Doe",
    "Homework 3_10001_attempt_2026-03-01-10-00-00_submission.py": "old",
    "Homework 3_10001_attempt_2026-03-02-09-00-00.txt": "Name: Jane Doe",
    "Homework 3_10001_attempt_2026-03-02-09-00-00_submission.py": NET,
    "Homework 3_10001_attempt_2026-03-02-09-00-00_net.py": HONEST,
    "Homework 3_10002_attempt_2026-03-01-11-00-00_net.py": HONEST,
    "Homework 3_10003_attempt_2026-03-01-12-00-00_hw.zip": {"submission.py": HONEST},
    "Homework 3_10004_attempt_2026-03-01-12-00-00.txt": "Name: No File",
}
BRIGHTSPACE = {
    "index.html": "<p>list",
    "10001-77 - Jane Doe - Mar 1, 2026 1015 AM/submission.py": "old",
    "10001-77 - Jane Doe - Mar 1, 2026 115 PM/submission.py": NET,
    "10001-77 - Jane Doe - Mar 1, 2026 115 PM/net.py": HONEST,
    "10002-77 - Jörg Müller - Mar 1, 2026 11:15 PM/net.py": HONEST,
    "10003-77 - Wei Lee - Mar 2, 2026 1215 AM/hw.zip": {"submission.py": HONEST},
    "10004-77 - No File - Mar 2, 2026 1215 AM/mail.txt": "?",
}
GRADESCOPE = {
    "submission_metadata.yml": "".join(
        f"submission_{n}:\n  :submitters:\n  - :name: {name}\n    :sid: '1000{n}'\n"
        f"    :email: a{n}@b.edu\n  :created_at: 2026-03-01\n"
        for n, name in enumerate(["Jane Doe", "Jörg Müller", "Wei Lee", "No File"], start=1)
    ),
    "submission_1/submission.py": NET,
    "submission_1/net.py": HONEST,
    "submission_2/net.py": HONEST,
    "submission_3/hw.zip": {"submission.py": HONEST},
    "submission_4/notes.txt": "?",
}
CLASSROOM = {
    "hw-3-10001/submission.py": NET,
    "hw-3-10001/net.py": HONEST,
    "hw-3-10002/net.py": HONEST,
    "hw-3-10003/hw.zip": {"submission.py": HONEST},
    "hw-3-10004/README.md": "?",
}
SYSTEMS = {
    "canvas": CANVAS, "moodle": MOODLE, "moodle flat": MOODLE_FLAT, "blackboard": BLACKBOARD,
    "brightspace": BRIGHTSPACE, "gradescope": GRADESCOPE, "classroom": CLASSROOM,
}  # fmt: skip


def packed(files: dict) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, packed(content) if isinstance(content, dict) else content)
    return out.getvalue()


def written(folder: Path, files: dict) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(packed(content) if isinstance(content, dict) else content.encode())
    return folder


def staged(*paths: Path, **more: object) -> dict[str, HandedIn]:
    found = stage(paths, **more)
    assert len({one.student for one in found}) == len(found)
    return {one.student: one for one in found}


@pytest.mark.parametrize("form", ["folder", "zip", "zip in a zip", "zip in a folder"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_each_systems_download_is_a_row_a_student(system: str, form: str, tmp_path: Path) -> None:
    files = SYSTEMS[system]
    name = "hw-3-submissions"
    path = tmp_path / f"{name}.zip"
    if form == "folder":
        path = written(tmp_path / name, files)
    elif form == "zip":
        path.write_bytes(packed(files))
    elif form == "zip in a zip":
        path = tmp_path / "all.zip"
        path.write_bytes(packed({f"{name}.zip": files} if system != "classroom" else {
            f"{name}/{file}": content for file, content in files.items()
        }))  # fmt: skip
    else:
        path = tmp_path / "downloads"
        path.mkdir()
        (path / f"{name}.zip").write_bytes(packed(files))
    found = staged(path)
    assert set(found) == {"10001", "10002", "10003", "10004"}
    assert set(found["10001"].files) == {"submission.py", "net.py"}
    assert found["10001"].files["submission.py"] == NET.encode()
    for student in ("10002", "10003"):
        assert found[student].files == {"submission.py": HONEST.encode()}, found[student].refusal
    assert str(found["10004"].refusal).startswith("it holds no .py file, only ")


def _other_ids(files: dict) -> dict:
    """The same download of four other students."""
    return {
        name.replace("1000", "2000"): text.replace("1000", "2000") if type(text) is str else text
        for name, text in files.items()
    }


@pytest.mark.parametrize("other", [name for name in SYSTEMS if name != "canvas"])
def test_downloads_of_two_systems_are_one_class(other: str, tmp_path: Path) -> None:
    (tmp_path / "canvas.zip").write_bytes(packed(CANVAS))
    second = written(tmp_path / "hw-3-submissions", _other_ids(SYSTEMS[other]))
    (tmp_path / "hw-3-submissions.zip").write_bytes(packed(_other_ids(SYSTEMS[other])))
    for paths in (
        [tmp_path / "canvas.zip", second],
        [tmp_path / "canvas.zip", tmp_path / "hw-3-submissions.zip"],
    ):
        found = staged(*paths)
        assert set(found) == {f"{first}000{n}" for first in (1, 2) for n in (1, 2, 3, 4)}
        assert found["20001"].files.keys() == {"submission.py", "net.py"}


@pytest.mark.skipif(shutil.which("zip") is None, reason="there is no zip")
def test_an_archive_of_zip_is_read(tmp_path: Path) -> None:
    made = _class_to_pack(tmp_path)
    for more in ([], ["-0"], ["-9", "-D"]):
        path = tmp_path / f"zip{len(more)}.zip"
        subprocess.run(["zip", "-q", "-r", *more, path, "."], cwd=made, check=True)
        _require_class(path)
    secret = ["zip", "-q", "-r", "-P", "secret", tmp_path / "locked.zip", "anna.py", "bert"]
    subprocess.run(secret, cwd=made, check=True)
    assert {one.refusal for one in staged(tmp_path / "locked.zip").values()} == {
        "the archive is encrypted"
    }


@pytest.mark.skipif(shutil.which("tar") is None, reason="there is no tar")
@pytest.mark.parametrize("form", ["gnu", "pax", "ustar", "v7"])
def test_an_archive_of_tar_is_read(form: str, tmp_path: Path) -> None:
    made = _class_to_pack(tmp_path)
    for flag, ending in (("", "tar"), ("z", "tar.gz"), ("j", "tar.bz2"), ("J", "tar.xz")):
        if shutil.which({"j": "bzip2", "J": "xz", "z": "gzip"}.get(flag, "tar")) is None:
            continue
        path = tmp_path / f"class.{ending}"
        command = ["tar", f"-c{flag}f", path, f"--format={form}", "."]
        if subprocess.run(command, cwd=made, stderr=subprocess.DEVNULL).returncode:
            pytest.skip(f"this tar knows no --format={form}")
        _require_class(path)


@pytest.mark.skipif(shutil.which("7z") is None, reason="there is no 7z")
def test_an_archive_of_7z_is_read_or_a_row_that_says_what_to_do(tmp_path: Path) -> None:
    made = _class_to_pack(tmp_path)
    for ending in ("zip", "tar"):
        path = tmp_path / f"class.{ending}"
        subprocess.run(["7z", "a", path, "."], cwd=made, check=True, stdout=subprocess.DEVNULL)
        _require_class(path)
    (tmp_path / "class").mkdir()
    seven = tmp_path / "class" / "dora.7z"
    subprocess.run(["7z", "a", seven, "."], cwd=made, check=True, stdout=subprocess.DEVNULL)
    (tmp_path / "class" / "emil.py").write_text(HONEST)
    found = staged(tmp_path / "class")
    assert found["emil"].refusal is None
    assert "Of archives, one .zip or .tar" in str(found["dora"].refusal)


def _class_to_pack(folder: Path) -> Path:
    return written(
        folder / "made",
        {
            "anna.py": HONEST,
            "bert/submission.py": NET,
            "bert/net.py": HONEST,
            "Zoë Größe/submission.py": HONEST,
        },
    )


def _require_class(path: Path) -> None:
    found = staged(path)
    names = {unicodedata.normalize("NFC", name) for name in found}
    assert names == {"anna", "bert", "Zoë Größe"}, path
    assert {one.refusal for one in found.values()} == {None}
    assert found["bert"].files.keys() == {"submission.py", "net.py"}


@pytest.mark.parametrize("system", ["blackboard", "brightspace"])
def test_the_last_attempt_counts_or_all_go_on_to_be_compared(system: str, tmp_path: Path) -> None:
    folder = written(tmp_path / "c", SYSTEMS[system])
    last = {one.student: one for one in stage([folder])}["10001"]
    assert last.flags == ("attempt 2 of 2",)
    best = [one for one in stage([folder], attempt=Attempt.BEST) if one.student == "10001"]
    assert [one.files["submission.py"] for one in best] == [b"old", NET.encode()]
    assert all(one.said.attempt for one in best)


def test_one_name_of_a_systems_form_makes_no_download(tmp_path: Path) -> None:
    files = {"anna.py": HONEST, "bert.py": HONEST, "carl_1_2_submission.py": HONEST}
    assert set(staged(written(tmp_path / "c", files))) == {"anna", "bert", "carl_1_2_submission"}


def test_what_has_no_form_keeps_its_name(tmp_path: Path) -> None:
    files = CANVAS | {"late by mail.py": HONEST}
    assert "late by mail" in staged(written(tmp_path / "c", files))


ROSTERS = {
    "canvas": (
        "Student,ID,SIS User ID,SIS Login ID,Section,HW 3 (900)\n"
        ",,,,,Manual Posting\n    Points Possible,,,,,10\n"
        '"Doe, Jane",10001,s1,jane,A,\n"Müller, Jörg",10002,s2,joerg,A,\n'
    ),
    "moodle": (
        "Identifier,Full name,Email address,Status,Grade,Last modified (submission)\n"
        "Participant 10001,Jane Doe,j@b.edu,Submitted,,-\n"
        "Participant 10002,Jörg Müller,m@b.edu,Submitted,,-\n"
    ),
    "blackboard": '"Last Name"\t"First Name"\t"Username"\n"Doe"\t"Jane"\t"10001"\n'
    '"Müller"\t"Jörg"\t"10002"\n',
    "brightspace": (
        "OrgDefinedId,Username,Last Name,First Name,Email,End-of-Line Indicator\n"
        "#77,#jdoe,Doe,Jane,j@b.edu,#\n#78,#jm,Müller,Jörg,m@b.edu,#\n"
    ),
    "gradescope": "First Name,Last Name,SID,Email\nJane,Doe,10001,\nJörg,Müller,10002,\n",
    "classroom": "identifier,github_username,github_id,name\nx,10001,5,Jane\ny,10002,6,Jörg\n",
}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("system", ROSTERS)
def test_each_systems_roster_is_read(system: str, encoding: str, tmp_path: Path) -> None:
    roster = tmp_path / "roster.csv"
    roster.write_bytes(ROSTERS[system].encode(encoding))
    lines = read_roster(roster)
    assert [line.problem for line in lines] == [None, None]
    wanted = ["jdoe", "jm"] if system == "brightspace" else ["10001", "10002"]
    assert [line.student for line in lines] == wanted
    folder = written(tmp_path / "hw-3-submissions", SYSTEMS[system])
    found = {one.student: one for one in stage([folder, roster])}
    for student in wanted:
        assert found[student].refusal is None, found[student].refusal
        assert found[student].roster is not None


def test_a_column_is_named_by_hand(tmp_path: Path) -> None:
    roster = tmp_path / "r.csv"
    roster.write_text("Matrikelnummer;ID\n12;x\n")
    assert read_roster(roster, columns={"id": "Matrikelnummer"})[0].student == "12"
    with pytest.raises(GradingError, match="no column 'Matrikel'"):
        read_roster(roster, columns={"id": "Matrikel"})


def test_a_date_without_a_time_is_the_end_of_that_day_where_the_course_is(tmp_path: Path) -> None:
    roster = tmp_path / "r.csv"
    roster.write_text("id,due,submitted\na,2026-07-01,2026-07-01T23:30:00\nb,2026-13-01,\n")
    here = read_roster(roster, zone=ZoneInfo("Europe/Berlin"))
    assert here[0].due == "2026-07-01T23:59:59+02:00"
    assert here[0].submitted == "2026-07-01T23:30:00+02:00"
    assert "not a date" in str(here[1].problem)
    assert read_roster(roster, zone=UTC)[0].due == "2026-07-01T23:59:59+00:00"


def test_a_group_hands_in_once_for_all_its_members(tmp_path: Path) -> None:
    roster = tmp_path / "r.csv"
    roster.write_text("id,group\nanna,Team 1\nbert,Team 1\ncleo,Team 2\n")
    found = staged(written(tmp_path / "c", {"Team 1/submission.py": HONEST}), roster)
    assert {name: one.refusal for name, one in found.items()} == {
        "anna": None, "bert": None, "cleo": "nothing was handed in",
    }  # fmt: skip


def test_a_composed_and_a_decomposed_name_are_one_student(tmp_path: Path) -> None:
    roster = tmp_path / "r.csv"
    roster.write_text("id\n" + unicodedata.normalize("NFC", "jörg") + "\n", encoding="utf-8")
    path = tmp_path / "all.zip"
    names = (unicodedata.normalize("NFD", f"{name}.py") for name in ("jörg", "x"))
    path.write_bytes(packed(dict.fromkeys(names, HONEST)))
    found = staged(path, roster)
    assert found["jörg"].refusal is None and found["jörg"].roster is not None


@pytest.mark.parametrize(
    ("name", "encoding"),
    [("王伟", "gbk"), ("堃王", "gbk"), ("müller", "cp437"), ("Éric", "cp437"), ("jörg", "utf-8")],
)
def test_names_of_an_old_archive_are_read_in_their_encoding(
    name: str, encoding: str, tmp_path: Path
) -> None:
    raw = f"{name}.py".encode(encoding)
    stand_in = "x" * (len(raw) - 3) + ".py"
    content = packed({stand_in: HONEST, "zoe.py": HONEST}).replace(stand_in.encode(), raw)
    path = tmp_path / "all.zip"
    path.write_bytes(content)
    assert set(staged(path)) == {name, "zoe"}
