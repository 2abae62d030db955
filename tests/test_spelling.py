"""American spelling, as torch has it, in code, pages and messages."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
SUFFIXES = {".cff", ".cpp", ".css", ".ipynb", ".j2", ".js", ".md", ".py", ".toml", ".txt", ".yml"}
BRITISH = (
    r"normalis|initialis|optimis(?![tm])|regularis|generalis|visualis|memoris|memois|recognis|summaris",
    r"organis|parametris|vectoris|quantis|tokenis|randomis|minimis|maximis|serialis|synchronis",
    r"categoris|customis|discretis|emphasis(?:e|ing)|finalis|italicis|standardis",
    r"utilis|colou?ris|analys(?:ed?|ing)\b",
    r"colour|neighbour|behaviour|favour|honour|labour|flavour|rumour|harbour",
    r"centre[ds]?(?![a-z])|metres?(?![a-z])|fibre|theatre|catalogue|grey",
    r"labell|modell|travell|cancelled|cancelling|signall|levell|channell|tunnell|fuell",
    r"licence|defence|offence|practise|judgement|artefact|ageing|whilst|learnt|spelt\b",
)
PATTERN = re.compile(rf"(?i)\b\w*?(?:{'|'.join(BRITISH)})\w*")


def _files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [
        ROOT / line
        for line in listed.stdout.splitlines()
        if Path(line).suffix in SUFFIXES and line != "tests/test_spelling.py"
    ]


def test_american_spelling() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {word[0]}"
        for path in _files()
        if path.is_file()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        for word in PATTERN.finditer(line)
    ]
    assert not found, "\n".join(found)


def test_the_list_finds_what_it_should_and_spares_what_torch_says() -> None:
    british = "colour normalise initialised neighbouring centre labelled modelling analysed licence"
    for word in british.split():
        assert PATTERN.fullmatch(word), word
    american = "color normalize neighbor center labeled license analysis analyses catalog promise"
    for word in (*american.split(), "exercise", "precise", "noise", "raise", "otherwise", "size"):
        assert not PATTERN.search(word), word
