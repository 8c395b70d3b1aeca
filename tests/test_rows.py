"""A chapter is a row and a folder is a column: no row has a hole."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent

ROWS = ["01-recipe", "02-mse", "03-bce", "04-multiclass", "05-nll", "06-kl", "07-summation", "08-fused"]
# {row} is the number and the slug, {slug} the slug alone.
COLUMNS = [
    "book/{row}.md",
    "solutions/{row}.md",
    "lessons/{row}.ipynb",
    "solutions/{row}.ipynb",
    "src/lossbook/losses/{slug}.py",
    "src/lossbook/exercises/{slug}.py",
    "src/lossbook/exercises/misconceptions/{slug}.py",
    "tests/losses/test_{slug}.py",
    "tests/exercises/test_{slug}.py",
]
# What serves every row: modules, and tests of the whole folder.
SHARED = {
    "src/lossbook/losses": {
        *("__init__", "losses"),
        *("fused_chunks", "fused_kernels", "fused_linear", "fused_parts", "fused_triton"),
    },
    "src/lossbook/exercises": {
        *("__init__", "advice", "bounds", "checking", "core", "judging", "patience", "reads", "showing", "trial"),
    },
    "src/lossbook/exercises/misconceptions": {"__init__"},
    "tests/losses": {"compiled", "degenerate", "fused_linear", "fused_parts", "losses", "transforms"},
    "tests/exercises": {"bounds", "checking", "declared", "messages", "promises", "showing"},
}


def discovered(root: Path) -> dict[str, set[str]]:
    """Return every slug that some column has a file for, with the rows (number and slug) that claim it."""
    rows: dict[str, set[str]] = {}
    for column in COLUMNS:
        folder, _, name = column.rpartition("/")
        pattern = re.escape(name).replace(r"\{row\}", r"(\d\d-[\w-]+)").replace(r"\{slug\}", r"(\w+)")
        shared = SHARED.get(folder, set())
        for path in (root / folder).glob("*"):
            match = re.fullmatch(pattern, path.name)
            if match and match[1] not in shared:
                claimed = rows.setdefault(re.sub(r"^\d\d-", "", match[1]), set())
                claimed.update({match[1]} if "{row}" in column else ())
    return rows


def holes(root: Path) -> list[str]:
    """Return the files that are missing from rows, and the slugs that are in more or fewer rows than one."""
    rows = discovered(root)
    for row in ROWS:
        rows.setdefault(row.partition("-")[2], set()).add(row)
    found = []
    for slug, claimed in sorted(rows.items()):
        if len(claimed) > 1:
            found.append(f"{slug} is in more than one row: {', '.join(sorted(claimed))}")
        row = min(claimed, default=f"NN-{slug}")
        files = [column.format(row=row, slug=slug) for column in COLUMNS]
        found += [f"{file} is missing" for file in files if not (root / file).is_file()]
    return found


def contents(root: Path) -> set[str]:
    """Return the files that the table of contents lists."""

    def listed(node: object) -> set[str]:
        if isinstance(node, list):
            return set().union(*map(listed, node))
        if isinstance(node, dict):
            own = {node[key] for key in ("file", "root") if key in node}
            return own.union(*(listed(value) for value in node.values()))
        return set()

    return listed(yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8")))


def test_no_row_has_a_hole() -> None:
    assert holes(ROOT) == []


@pytest.mark.parametrize("row", ROWS)
def test_the_contents_list_the_row(row: str) -> None:
    assert {f"book/{row}", f"lessons/{row}", f"solutions/{row}"} <= contents(ROOT)


def test_the_contents_list_no_other_row() -> None:
    listed = {Path(file).name for file in contents(ROOT)}
    assert sorted(name for name in listed if re.match(r"\d\d-", name)) == ROWS


FILES = [column.format(row=row, slug=row.partition("-")[2]) for row in [*ROWS, "07-extra"] for column in COLUMNS]


def empty_tree(root: Path) -> None:
    for file in FILES:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()


@pytest.mark.parametrize("file", FILES)
def test_a_removed_file_is_missed(tmp_path: Path, file: str) -> None:
    empty_tree(tmp_path)
    assert holes(tmp_path) == []
    (tmp_path / file).unlink()
    assert holes(tmp_path) == [f"{file} is missing"]


def test_an_added_file_opens_a_row(tmp_path: Path) -> None:
    empty_tree(tmp_path)
    (tmp_path / "book" / "08-hinge.md").touch()
    assert "src/lossbook/losses/hinge.py is missing" in holes(tmp_path)
    (tmp_path / "book" / "08-hinge.md").unlink()
    (tmp_path / "src/lossbook/losses/hinge.py").touch()
    assert {"tests/losses/test_hinge.py is missing", "book/NN-hinge.md is missing"} <= set(holes(tmp_path))


def test_a_second_number_is_seen(tmp_path: Path) -> None:
    empty_tree(tmp_path)
    (tmp_path / "lessons" / "09-bce.ipynb").touch()
    assert holes(tmp_path) == ["bce is in more than one row: 03-bce, 09-bce"]
