"""The book's own displays: all of them hold, each loss is held against code, and what is false is named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lossbook import losses
from lossbook.book.docstrings import NAME
from lossbook.book.verify import DOCSTRINGS, Report, references
from lossbook.equations.checking import check_page
from lossbook.equations.pages import read

pytestmark = pytest.mark.xdist_group("equations")

ROOT = Path(__file__).parents[2]
PAGES = sorted(path.stem for path in (ROOT / "book").glob("[0-9][0-9]-*.md"))
CHAPTERS = [page for page in PAGES if not page.endswith("-pytorch")]
SECONDS = 120  # twice what it takes: points far out, at other sizes and where values coincide cost a third

# Ten wrong equations, of different kinds: the page, the label, what stands there, and the mistake.
PLANTED = [
    ("01-recipe", "recipe-gradient", r"\frac{\theta - y}{\theta", r"\frac{y - \theta}{\theta"),
    ("02-mse", "mse-log-likelihood", r"- \frac{N}{2} \log", r"\frac{N}{2} \log"),
    ("02-mse", "mse-bias", r"\frac{N - 1}{N} \, \sigma^2", r"\frac{N}{N - 1} \, \sigma^2"),
    ("03-bce", "bce", r"- \frac{1}{N} \sum", r"- \sum"),
    ("03-bce", "bce-sigmoid-laws", r"\sigma(z) \bigl( 1 - \sigma(z) \bigr)", r"\sigma(z) \bigl( 1 + \sigma(z) \bigr)"),
    ("04-multiclass", "multiclass-softmax", r"\sum_{j=1}^{K}", r"\sum_{j=2}^{K}"),
    ("04-multiclass", "multiclass-lse-bounds", r"m + \log K", r"m - \log K"),
    ("05-nll", "nll-jacobian", r"[j = k] - p_j", r"[j = k] - p_k"),
    ("05-nll-pytorch", "nll-stirling", r"\frac{1}{12 y + 1} <", r"\frac{1}{12 y - 1} <"),
    ("06-kl", "kl-gradient", r"p_i - q_i", r"q_i - p_i"),
]  # fmt: skip


def test_everything_holds_in_time(reports: dict[str, Report]) -> None:
    found = reports.values()
    assert [fault for report in found for fault in report.faults] == []
    assert sum(report.cpu_seconds for report in found) < SECONDS  # of one core, whatever else runs beside the test


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_display_of_a_chapter_is_checked(reports: dict[str, Report], chapter: str) -> None:
    pages = [page for page in PAGES if page.removesuffix("-pytorch") == chapter]
    records = [record for page in pages for record in reports[page].records]
    texts = [(ROOT / "book" / f"{page}.md").read_text(encoding="utf-8") for page in pages]
    assert len(records) == sum(text.count("```{math}") for text in texts) > 15
    assert all(record.steps or record.defines for record in records)


def test_each_loss_and_its_gradient_are_held_against_code_on_a_page_and_in_its_docstring(
    reports: dict[str, Report],
) -> None:
    on_pages = {step.code for name in PAGES for record in reports[name].records for step in record.steps}
    slopes = {s.code for report in reports.values() for r in report.records for s in r.steps if s.derivative}
    documented = {s.code for r in reports[DOCSTRINGS].records for s in r.steps if r.display.page.startswith(NAME)}
    assert set(losses.__all__) <= on_pages
    assert set(losses.__all__) <= documented
    assert set(losses.__all__) <= slopes


@pytest.mark.parametrize(("page", "label", "right", "wrong"), PLANTED, ids=lambda value: value if "-" in value else "")
def test_a_planted_mistake_is_named(page: str, label: str, right: str, wrong: str, tmp_path: Path) -> None:
    text = (ROOT / "book" / f"{page}.md").read_text(encoding="utf-8")
    before, mark, rest = text.partition(f":label: {label}\n")
    shown, fence, after = rest.partition("```")
    assert shown.count(right) >= 1
    path = tmp_path / f"{page}.md"
    path.write_text(before + mark + shown.replace(right, wrong, 1) + fence + after, encoding="utf-8")
    table, records = check_page(read(path), {label}, references())
    assert not table.faults
    (fault,) = [fault for record in records for fault in record.faults][:1]
    assert " is false: " in fault or " is not what code computes: " in fault
    assert fault.startswith("line ")


def test_the_command_names_a_mistake_and_exits_with_1(tmp_path: Path) -> None:
    (tmp_path / "book").mkdir()
    text = (ROOT / "book" / "03-bce.md").read_text(encoding="utf-8")
    (tmp_path / "book" / "03-bce.md").write_text(text.replace(r"= \sigma(z) - y = p - y .", r"= y - \sigma(z) ."))
    command = [str(Path(sys.executable).parent / "lossbook"), "verify", "03-bce"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 1
    assert "03-bce, bce-gradient, line " in done.stderr
    assert "is false: the left side is " in done.stderr
    assert "1 fault" in done.stdout
