"""What is typed into prose: no number that a cell should have computed, no line of code too wide for the page.

How prose is read, and the rules by which a number may be typed, are in ``lossbook.prose.typed_numbers``: display,
fact, quoted, place, name, plan, index, small, counting, rough, drawn, input, case, shown and asked. What none of them
lets through is glued from a cell, or not said.
"""

import ast
import importlib.util
import json
import re
import sys
from collections import Counter
from pathlib import Path

import jupytext
import nbformat
import pytest

from lossbook.authoring import tables
from lossbook.checks.exercise import ATOL, RTOL
from lossbook.course import chapters
from lossbook.prose.typed_numbers import FACTS, QUOTED, RULES, WORDS, main, numbers, passages, rule_of, texts, typed

ROOT = Path(__file__).parents[2]
TEXTS = sorted([*(ROOT / "book").glob("*.md"), *(ROOT / "solutions").glob("*.md")])
WIDTH = 80
INCLUDE = re.compile(r"^```\{literalinclude\} (\S+)\n(?::[^\n]*\n)*?:pyobject: (\w+)$", re.M)


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def cells(path):
    """Yield each cell of a page or lesson."""
    yield from jupytext.read(path, fmt="md:myst").cells


@pytest.mark.parametrize("path", texts(ROOT), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_no_number_is_typed_into_prose(path):
    stopped = [str(number) for number in typed(ROOT, path) if rule_of(number) is None]
    assert not stopped, "\n".join(["these belong in a cell, or glued from one:", *stopped])


def test_every_rule_is_used(capsys):
    assert main(ROOT) == 0
    shown = capsys.readouterr().out
    print(shown)
    counts = {line.split()[1]: int(line.split()[0]) for line in shown.splitlines() if line.strip()}
    assert list(counts) == [rule.name for rule in RULES]
    assert all(counts.values()), counts


PICTURE = '```{code-cell} python3\n---\nmystnb:\n  image:\n    alt: "It ends at «149»."\n---\n'
# What each rule lets through, and the nearest thing to it that it must not. The number is in quotes.
LETS = {
    "display": "```{math}\n\\int_0^1 x \\, dx = \\frac{1}{«4096»}\n```",
    "fact": "The third grades a class of «forty» made-up students.",
    "quoted": "It prints «0.8685», and goes on.",
    "place": "See chapters 1 and «14», please.",
    "name": "It needs Python «3.11» or newer.",
    "plan": "*★★ · «15» minutes · 2 points*",
    "index": "The last is $x_{«17»}$ of them.",
    "small": "A label is 0 or «1», always.",
    "counting": "There are «six» people here.",
    "rough": "## Predict, then measure\n\nIt takes some «tens of» microseconds.",
    "drawn": PICTURE + "assert last == 149\n```",
    "input": "Take «three million» losses.\n\n```{code-cell} python3\nN = 3_000_000\n```",
    "case": "## 1. First\n\nOne of the logits is «1000».\n\n```{code-cell} python3\ncheck(sigmoid)\n```",
    "shown": "It scores «0.6931».\n\n```{code-cell} python3\nprint(score)\n```",
    "asked": "# Title\n\n## Exercises\n\nA classifier sees «5» % positives.",
}
STOPS = {
    "display": "It is $\\frac{1}{«4096»}$ here.",
    "fact": "The third grades a class of «fifty» made-up students.",
    "quoted": "It prints «0.8686», and goes on.",
    "place": "A chapter has «14» figures.",
    "name": "It needs «3.11» times the memory.",
    "plan": "It takes «15» minutes to run.",
    "index": "The last is $x = «17»$ here.",
    "small": "It takes «1» ms to run.",
    "counting": "It is «six» times as fast.",
    "rough": "## What breaks\n\nIt takes some «tens of» microseconds.",
    "drawn": PICTURE + "assert last == 150\n```",
    "input": "Take «three million» losses.\n\n## Later\n\n```{code-cell} python3\nN = 3_000_000\n```",
    "case": "## 1. First\n\nOne of the logits is «1001».\n\n```{code-cell} python3\ncheck(sigmoid)\n```",
    "shown": "It scores «0.6932».\n\n```{code-cell} python3\nprint(score)\n```",
    "asked": "# Title\n\n## Mistakes\n\nA classifier sees «5» % positives.",
}
FILES = {"fact": "README", "case": "solutions/03-bce", "shown": "solutions/03-bce"}
HEADER = """---
jupytext:
  text_representation:
    format_name: myst
kernelspec:
  name: python3
  display_name: Python 3
---

"""


def rule_in(text, folder, file="book/page", printed=""):
    """Return the rule that lets through the number in quotes."""
    before, marked, after = re.fullmatch(r"(.*)«(.*?)»(.*)", text, re.S).groups()
    path = folder / "page.md"
    path.write_text(f"{HEADER}{before}{marked}{after}\n", encoding="utf-8")
    outputs = None
    if file.startswith("solutions/"):
        outputs, notebook = folder / "page.ipynb", jupytext.read(path, fmt="md:myst")
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs = [nbformat.v4.new_output("stream", text=printed)]
        nbformat.write(notebook, outputs)
    found = [n for passage in passages(path, file, outputs) for n in numbers(passage)]
    (rule,) = {rule_of(n) for n in found if n.text == marked}
    return rule


@pytest.mark.parametrize("rule", [rule.name for rule in RULES])
def test_a_rule_lets_through_what_it_is_for_and_no_more(rule, tmp_path):
    file = FILES.get(rule, "book/page")
    assert rule_in(LETS[rule], tmp_path, file, "a coin: 0.6931") == rule
    assert rule_in(STOPS[rule], tmp_path, file, "a coin: 0.6931") is None


@pytest.mark.parametrize(
    "text",
    [
        "It takes «12» MB of memory.",
        "It takes «12 million» additions.",
        "It is a loss of «0.9».",
        "| loss | «0.9» |\n|---|---|",
        "- It scores «.25» there.",
        "Of these, «5» % are positive.",
        "Of these, $«5»\\,\\%$ are positive.",
        "The floor is «10⁻¹²».",
        "The floor is «1e-12».",
        "The floor is $«10^{-12}»$ here.",
        "It is $«3 \\cdot 10^{8}»$ long.",
        "It is $«3{,}000»$ long.",
        "It has «4096» rows.",
        "It has «4,096» rows.",
        "It adds «three million» losses.",
        "It takes «a hundred» steps.",
        "It takes «forty» steps.",
        "It is «765» times as fast.",
        "It is «ten» times as fast.",
        "It is right «nine» times in ten.",
        "It keeps «two thirds» of them.",
        "It takes «a tenth» of a second.",
        "It takes «½» s to run.",
        "It takes «two» seconds to run.",
        "It scores `«0.6931»` there.",
        "### It takes «17» ms",
        ":::{admonition} Takeaway\n:class: takeaway\n\nIt scores «0.69» there.\n:::",
        "```{note}\nIt scores «0.69» there.\n```",
        "![A curve that ends at «149».](picture.png)",
        '```{code-cell} python3\n---\nmystnb:\n  figure:\n    caption: "It ends at «149»."\n---\nx = 1\n```',
    ],
)
@pytest.mark.parametrize("file", ["book/page", "README"])
def test_a_typed_number_is_found(text, file, tmp_path):
    assert rule_in(text, tmp_path, file) is None


@pytest.mark.parametrize(
    "text",
    [
        "{glue:text}`bce-slow` s, {doc}`chapter 3 <03-bce>`, {cite}`prince2023`",
        "`x = 0.123`, [a link](https://example.org/2024/17), <https://example.org/99>",
        "float32, int64, L1, log1p, H100, the second, once, twice, and half of them",
        "```python\nx = 17\n```",
        "<!-- 4096 -->",
        "(label-17)=",
    ],
)
def test_what_is_no_number_is_not_found(text, tmp_path):
    (tmp_path / "page.md").write_text(HEADER + text, encoding="utf-8")
    assert [n.text for p in passages(tmp_path / "page.md", "book/page") for n in numbers(p)] == []


def test_a_number_far_from_its_cell_is_no_input(tmp_path):
    cell = "```{code-cell} python3\nx = 1\n```\n\n"
    text = "Take «17» of them.\n\n" + 2 * cell + cell.replace("1", "17")
    assert rule_in(text, tmp_path) is None
    assert rule_in(text.replace(cell, "", 1), tmp_path) == "input"


def test_what_a_cell_asserts_or_prints_does_not_excuse_a_page(tmp_path):
    assert rule_in("It is «17».\n\n```{code-cell} python3\nassert x == 17\n```", tmp_path) is None
    assert rule_in('It is «17».\n\n```{code-cell} python3\nprint("17")\n```', tmp_path) is None


def test_every_quoted_number_is_quoted_and_reproduced():
    found = Counter(n.text for path in texts(ROOT) for n in typed(ROOT, path))
    assert [number for number in QUOTED if not found[number]] == []
    answered = "".join(cell.source for cell in cells(ROOT / "book" / "printed-numbers.md") if cell.cell_type == "code")
    assert [number for number in QUOTED if number not in answered] == []


def forty():
    spec = importlib.util.spec_from_file_location("the_class", ROOT / "examples" / "make_class.py")
    the_class = sys.modules["the_class"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(the_class)
    return len({student.name for student in the_class.STUDENTS}) == 40


def session():
    """The parts of a session make its 90 minutes, and about half of all lessons is done in class, as the page says."""
    parts = [
        int(n) for n in re.findall(r"^\| (\d+) \| ", read("book/sessions.md").split("| minutes | what |")[1], re.M)
    ]
    lessons = [[int(n) for n in re.findall(r"^\*★.*?(\d+) minutes", read(path), re.M)] for path in TEXTS]
    total, sessions = sum(map(sum, lessons)), sum(map(bool, lessons))
    return sum(parts[:5]) == 90 and parts[2] == 45 and 0.45 < sessions * 45 / total < 0.55


def tolerances():
    return (ATOL, RTOL) == (1e-6, 1e-4)


def forty_in_a_minute():
    measured = json.loads(read("data/benchmarks/grading.json"))["measured"]
    ours = [row for row in measured if row["tool"] == "lossbook"]
    return max(row["start_up_s"] + 40 * row["ms_a_submission"] / 1000 for row in ours) < 60


def installing():
    found = json.loads((ROOT / "data" / "benchmarks" / "installing.json").read_text())
    (cpu,) = (row for row in found["measured"] if row["build"] == "cpu")
    most = max((row for row in found["measured"] if row["build"] == "usual"), key=lambda row: row["gb"])
    assert most["torch"].startswith("2.14.")
    return (most["gb"], found["usual_minutes"], round(cpu["gb"], 1)) == (5.8, [4, 13], 1.3) and 45 < cpu["seconds"] < 75


def minutes(row):
    def stated():
        text = read(f"solutions/{row}.md")
        parts = [int(n) for n in re.findall(r"^\*★.*?(\d+) minutes", text, re.M)]
        return re.findall(r"Time needed: about (\d+) minutes", text) == [str(sum(parts))]

    return stated


PROOFS = {
    "of forty": forty,
    "forty made-up students": forty,
    "90 minutes": session,
    "| 10 | the vote": session,
    "| 20 | the board": session,
    "| 45 | the lesson": session,
    "| 10 | one wrong answer": session,
    "| 5 | the takeaway": session,
    "10^{-6}": tolerances,
    "Forty notebooks take less than a minute": forty_in_a_minute,
    "with PyTorch 2.14, some 5.8 GB on the disk, and 4 to 13 minutes": installing,
    "it is 1.3 GB and about a minute": installing,
}


@pytest.mark.parametrize(("file", "words"), sorted(FACTS), ids=lambda v: v)
def test_a_fact_is_said_once_and_proved(file, words):
    said = " ".join(read(f"{file}.md").split())
    assert said.count(words) == 1, "a fact that is not said is removed from FACTS"
    if words.startswith("Time needed"):
        assert minutes(file.removeprefix("solutions/"))()
    elif words in tables.lessons_on_colab(chapters(), ROOT):
        assert tables.stale(ROOT) == []
    else:
        proof = next(proof for part, proof in PROOFS.items() if part in words)
        assert proof()


@pytest.mark.parametrize("path", texts(ROOT), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_lessons_sessions_and_chapters_are_counted_right(path):
    counted = re.findall(r"\b(\w+)(?:\*\*)? (?:lessons|sessions|chapters)\b", read(path), re.IGNORECASE)
    assert {WORDS[word.lower()] for word in counted if word.lower() in WORDS} <= {len(chapters())}


def test_make_grade_takes_less_than_a_minute_as_the_teacher_is_told():
    assert "It takes less than a minute" in read("docs/teacher.md")
    assert forty_in_a_minute()


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_code_fits_the_page(path):
    wide = [
        line
        for cell in cells(path)
        if cell.cell_type == "code" and not {"remove-cell", "remove-input"} & set(cell.metadata.get("tags", []))
        for line in cell.source.splitlines()
        if len(line) > WIDTH
    ]
    assert not wide, f"longer than {WIDTH} columns: {wide}"


def included(path):
    """Yield each piece of source that a page includes: its name and its lines."""
    for target, name in INCLUDE.findall(path.read_text(encoding="utf-8")):
        source = (path.parent / target).read_text(encoding="utf-8")
        node = next(n for n in ast.walk(ast.parse(source)) if getattr(n, "name", None) == name)
        yield name, source.splitlines()[node.lineno - 1 : node.end_lineno]


PAGES = sorted((ROOT / "book").glob("[0-9][0-9]-*.md"))
REFERENCES = [path for path in PAGES if path.with_name(f"{path.stem}-pytorch.md") not in PAGES]  # an idea has none


@pytest.mark.parametrize("path", REFERENCES, ids=lambda path: path.stem)
def test_included_code_fits_the_page(path):
    pieces = dict(included(path))
    assert pieces, "a chapter includes its reference implementation"
    wide = [(name, line) for name, lines in pieces.items() for line in lines if len(line) > WIDTH + 4]
    assert not wide
