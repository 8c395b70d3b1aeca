"""The documents around the book: licences, citation, changelog, the pages for each kind of user."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest
import torch
import yaml

import lossbook.exercises
import lossbook.losses
from lossbook.course import chapters

ROOT = Path(__file__).parent.parent
DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/**/*.md")),
]
ROWS = [chapter.row for chapter in chapters()]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def links(text: str) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", text)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_link_to_a_file_leads_to_a_file(name):
    local = [link.split("#")[0] for link in links(read(name)) if not re.match(r"[a-z]+:", link)]
    assert [link for link in local if link and not (ROOT / name).parent.joinpath(link).exists()] == []


def test_a_link_to_colab_names_a_lesson():
    found = re.findall(
        r"colab\.research\.google\.com/github/lossbook/lossbook/blob/main/([^)\s]+)", read("docs/student.md")
    )
    assert found == [f"lessons/{row}.ipynb" for row in ROWS]
    assert all((ROOT / lesson).is_file() for lesson in found)


def test_the_readme_leads_each_kind_of_user_to_a_page():
    assert {f"docs/{page}.md" for page in ("reader", "student", "teacher", "contributor")} <= set(
        links(read("README.md"))
    )


def test_the_picture_is_described_and_small():
    (alt, path), *others = re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", read("README.md"))
    assert others == []
    assert len(alt) > 40
    data = (ROOT / path).read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert len(data) < 200_000
    width, height = struct.unpack(">II", data[16:24])
    assert width > 600 < height


def test_licences():
    assert read("LICENSE").startswith("MIT License")
    assert "https://creativecommons.org/licenses/by/4.0/legalcode" in read("LICENSE-text")
    citation = yaml.safe_load(read("CITATION.cff"))
    assert citation["license"] == ["MIT", "CC-BY-4.0"]


def test_the_citation_has_what_the_format_requires():
    citation = yaml.safe_load(read("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert citation["title"] == "Loss Functions from First Principles"
    assert citation["repository-code"] == "https://github.com/lossbook/lossbook"
    assert all(author.get("name") for author in citation["authors"])
    known = {"cff-version", "message", "title", "abstract", "type", "authors", "version", "repository-code", "url",
             "license", "keywords"}  # fmt: skip
    assert set(citation) <= known


def test_the_changelog_keeps_to_its_manner():
    headings = re.findall(r"^(#+) (.*)$", read("CHANGELOG.md"), re.MULTILINE)
    assert headings[0] == ("#", "Changelog")
    assert ("##", "0.1.0") in headings
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert {text for level, text in headings if level == "###"} <= kinds


def test_the_report_shown_to_students_is_what_check_prints():
    def bce(p, y):  # the minus is missing
        return (y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()

    shown = re.search(r"^   ```\n(   ✗ .*?)^   ```", read("docs/student.md"), re.MULTILINE | re.DOTALL)
    assert shown
    lines = [line.removeprefix("   ").rstrip() for line in shown[1].splitlines()]
    assert repr(lossbook.exercises.check(bce)).splitlines()[: len(lines)] == lines


def test_the_example_for_readers_runs():
    code = re.search(r"```python\n(.*?)```", read("docs/reader.md"), re.DOTALL)
    assert code
    names: dict = {}
    exec(code[1], names)
    assert names["loss"].shape == ()


def test_the_reference_documents_every_loss():
    page = read("book/api.md")
    documented, module = [], ""
    for kind, name in re.findall(r"^\.\. (automodule|currentmodule|autofunction):: (\S+)", page, re.M):
        if kind == "autofunction":
            documented.append(f"{module}.{name}")
        else:
            module = name
    assert {f"lossbook.losses.{name}" for name in lossbook.losses.__all__} <= set(documented)
    assert len(documented) == len(set(documented)), "nothing is documented twice"
    for slug in (row.partition("-")[2] for row in ROWS):
        assert f".. automodule:: lossbook.losses.{slug}\n" in page


def test_every_lesson_states_its_minutes_as_the_teachers_page_reads_them():
    for row in ROWS:
        text = read(f"solutions/{row}.md")
        stated = re.findall(r"^\*★.*$", text, re.MULTILINE)
        assert stated, row
        assert all(re.search(r"^\*★.*?(\d+) minutes", line) for line in stated), row


@pytest.mark.parametrize("name", ["docs/teacher.md", "book/teachers.md"])
def test_the_teachers_pages_name_every_table_that_a_report_is_made_of(name):
    written = set(re.findall(r'out / "(\w+\.\w+)"', read("src/lossbook/grading/tell/report.py")))
    assert {"grades.csv", "exercises.csv", "files.csv"} <= written
    assert {table for table in written if not re.search(rf"^\| `(grades/)?{table}` \|", read(name), re.M)} == set()


def test_the_page_on_grading_says_of_numbers_lists_and_arrays_what_check_does():
    assert "a number, a list or a NumPy array is none" in read("book/grading.md")

    def kl_entropy(q):
        return (-torch.xlogy(q, q).sum(1)).numpy()

    def kl_python_sum(log_p, q):
        return float(sum(q * (q.log() - log_p)))

    assert not lossbook.exercises.check(kl_entropy).passed
    assert lossbook.exercises.check(kl_python_sum).passed


def test_the_imports_that_the_reader_s_page_names_work():
    lines = re.findall(r"`(from lossbook\.[\w.]+ import \w+)`", read("docs/reader.md"))
    assert lines
    for line in lines:
        exec(line, {})


@pytest.mark.parametrize("name", [*DOCUMENTS, "LICENSE-text", "CITATION.cff"])
def test_a_document_names_no_path_of_a_machine(name):
    assert not re.search(r"/(work|tmp|home|root)/", read(name))
