"""`lossbook verify`: what it prints, and how it ends."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lossbook.book import verify
from lossbook.cli import main
from lossbook.equations.checking import check_page
from lossbook.equations.pages import read

TRUE = "```{math}\n:label: true\n1 + 1 = 2\n```\n"
FALSE = "# Title\n\n```{math}\n:label: wrong\n1 + 1 = 3\n```\n"


@pytest.fixture
def course(tmp_path: Path) -> Callable[..., Path]:
    def make(**pages: str) -> Path:
        (tmp_path / "book").mkdir()
        for name, text in pages.items():
            (tmp_path / "book" / f"{name}.md").write_text(text, encoding="utf-8")
        return tmp_path

    return make


def run(root: Path, *names: str) -> tuple[int, list[str], list[str]]:
    complaints: list[str] = []
    said: list[str] = []
    code = verify.run(root, names, complaints.append, said.append)
    return code, complaints, said


def test_a_page_that_holds(course: Callable[..., Path]) -> None:
    code, complaints, said = run(course(one=TRUE), "one")
    assert (code, complaints) == (0, [])
    assert said[0].startswith("one  1 displays, 1 relations at 6 points, ")
    assert said[0].endswith("all hold")


def test_a_false_display_is_named_and_fails(course: Callable[..., Path]) -> None:
    code, complaints, said = run(course(one=FALSE, two=TRUE), "one")
    assert code == 1
    assert complaints == [
        "one, wrong, line 5, column 1: 1 + 1 = 3 is false: the left side is 2.0 and the right side 3.0 at every point"
    ]
    assert said[0].endswith("1 faults")


@pytest.mark.parametrize("text", ["```{math}\n:label: a\n1 = (2\n```\n", "$$1 = 1$$\n", "```{symbols}\na: [\n```\n"])
def test_what_cannot_be_read_fails_once(course: Callable[..., Path], text: str) -> None:
    code, complaints, _ = run(course(one=text), "one")
    assert code == 1
    assert len(complaints) == 1
    assert complaints[0].startswith("one, ")
    assert "line " in complaints[0]


def test_a_page_that_is_not_there(course: Callable[..., Path]) -> None:
    code, complaints, _ = run(course(one=TRUE), "two")
    assert (code, complaints) == (2, ["no page is called 'two'; the pages are one, docstrings"])


def test_a_folder_that_is_no_course(tmp_path: Path) -> None:
    code, (complaint,), _ = run(tmp_path)
    assert code == 2
    assert "holds no page" in complaint


def test_a_page_that_is_not_utf_8(course: Callable[..., Path]) -> None:
    root = course(one="")
    (root / "book" / "one.md").write_bytes(b"\xff\xfe")
    assert run(root, "one")[:2] == (1, ["one, line 1: the page is not UTF-8 (byte 0)"])


def test_the_command_ends_as_it_must(
    course: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(course(one=FALSE, two=TRUE))
    assert main(["verify", "two"]) == 0
    assert main(["verify", "one"]) == 1
    assert "is false" in "".join(capsys.readouterr())


def test_the_same_page_is_checked_at_the_same_points(course: Callable[..., Path]) -> None:
    rows = "```{symbols}\nx:\n  is: a number\n  in: real\n```\n\n"
    path = course(one=rows + TRUE.replace("1 + 1 = 2", "3 x = 2 x")) / "book" / "one.md"
    assert check_page(read(path))[1][0].faults == check_page(read(path))[1][0].faults
