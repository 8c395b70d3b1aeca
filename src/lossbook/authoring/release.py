"""Makes `lessons/NN-slug.ipynb` and `solutions/NN-slug.ipynb` from `solutions/NN-slug.md`, executed."""

import base64
import copy
import io
import json
import re
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.image import imread
from nbformat import NotebookNode
from nbgrader.preprocessors import CheckCellMetadata, ClearSolutions, ComputeChecksums, LockCells
from nbgrader.utils import determine_grade, is_grade

from lossbook import files
from lossbook.address import published
from lossbook.authoring.convention import LESSON_ONLY, SOLUTION_ONLY, AuthorError, Lookup, read, unanswered
from lossbook.notebooks.execute import Run, RunError, execute_all
from lossbook.notebooks.notebook import from_text, place, skeleton, to_text, was_run
from lossbook.prose import rules

STUB = "raise NotImplementedError"
LESSONS, SOLUTIONS = "lessons", "solutions"
# What draws in the course's own style. Its figures take words.
DRAWS = re.compile(r"\bfigure\(|\broofline\(|\.draw\(\)")
BOOK_LINK = re.compile(r"\]\(\.\./(book/[\w-]+)\.md(#[\w-]+)?\)")
# Pictures are the same if at most this share of the values differ by more than this level (of 1).
_PICTURE_SHARE, _PICTURE_LEVEL = 1e-5, 16 / 255


def sources(root: Path, slugs: Sequence[str] = ()) -> list[Path]:
    """Return the solutions' sources under `root`: all, or those named `NN-slug` or `slug`. Raises AuthorError."""
    found = sorted((root / SOLUTIONS).glob("[0-9][0-9]-*.md"))
    if not found:
        raise AuthorError(f"{root / SOLUTIONS} holds no NN-slug.md: run this in the folder of the course")
    by_name = {name: path for path in found for name in (path.stem, path.stem[3:])}
    for slug in slugs:
        if slug not in by_name:
            known = ", ".join(path.stem for path in found)
            raise AuthorError(f"no lesson is called {slug!r}; the lessons are {known}")
    return sorted({by_name[slug] for slug in slugs}) if slugs else found


def solution(nb: NotebookNode) -> NotebookNode:
    """Return the solutions' notebook: a source notebook of nbgrader, markers and all, that says what it is."""
    nb = _without(nb, drop=LESSON_ONLY, unmark=SOLUTION_ONLY)
    nb.cells[0].source = nb.cells[0].source.replace("# Lesson", "# Solution of lesson", 1)
    return _preprocess(nb, CheckCellMetadata())


def lesson(nb: NotebookNode) -> NotebookNode:
    """Return the students' notebook: stubs for solutions, cells locked, checksums taken."""
    nb = _without(nb, drop=SOLUTION_ONLY, unmark=LESSON_ONLY)
    for cell in nb.cells:
        if cell.cell_type == "code" and cell.source.startswith("predict("):
            cell.source = unanswered(cell.source)
    clear = ClearSolutions(code_stub={"python": STUB})
    return _preprocess(nb, LockCells(), clear, CheckCellMetadata(), ComputeChecksums(), CheckCellMetadata())


def generate(root: Path, slugs: Sequence[str], lookup: Lookup) -> dict[Path, NotebookNode]:
    """Return both notebooks of each lesson, not yet executed, by the path they belong at. Raises AuthorError."""
    notebooks: dict[Path, NotebookNode] = {}
    errors = []
    for source in sources(root, slugs):
        try:
            nb = read(source, lookup)
        except AuthorError as error:
            errors.append(str(error))
        else:
            errors += rules.check_lesson(source, root, lookup)
            try:
                unwrap_claims(nb)
                link_to_book(nb, root)
                describe_pictures(nb)
            except AuthorError as error:
                errors.append(f"{source.name}: {error}")
                continue
            notebooks[root / LESSONS / f"{source.stem}.ipynb"] = lesson(nb)
            notebooks[root / SOLUTIONS / f"{source.stem}.ipynb"] = solution(nb)
    if errors:
        raise AuthorError("\n".join(errors))
    return notebooks


def unwrap_claims(nb: NotebookNode) -> None:
    """Leave the words of each rule: what holds it is on the chapter's page, and a notebook knows no roles."""
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            cell.source = rules.unwrap(cell.source)


def link_to_book(nb: NotebookNode, root: Path) -> None:
    """Turn links to the book's pages into links to the published ones: where a student opens a lesson, no page is near.

    Raises AuthorError if there is no such page, or the book's address is not known.
    """

    def address(link: re.Match[str]) -> str:
        if not (root / f"{link[1]}.md").exists():
            raise AuthorError(f"the link to {link[1]}.md leads to no page of the book")
        book = published(root)
        if book is None:
            raise AuthorError(f"{root / 'CITATION.cff'} does not say the book's address in a line `url: https://…`")
        return f"]({book}{link[1]}.html{link[2] or ''})"

    for cell in nb.cells:
        if cell.cell_type == "markdown":
            cell.source = BOOK_LINK.sub(address, cell.source)


def describe_pictures(nb: NotebookNode) -> None:
    """Put the words of each picture, which the book takes from the cell's metadata, into the code as well.

    A kernel sees no metadata, and a picture that a student draws needs words too. Raises AuthorError if a cell that
    draws has none.
    """
    for number, cell in enumerate(nb.cells, 1):
        if cell.cell_type == "code" and DRAWS.search(cell.source):
            words = cell.metadata.get("mystnb", {}).get("image", {}).get("alt")
            if not words:
                raise AuthorError(f"{place(number, cell)} draws, and has no words for it (mystnb: image: alt:)")
            lines = textwrap.wrap(words, 70, drop_whitespace=False, break_on_hyphens=False)
            cell.source += "\n\ndescribe(\n" + "".join(f"    {_quoted(line)}\n" for line in lines) + ")"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def stale(root: Path, slugs: Sequence[str], lookup: Lookup) -> list[str]:
    """Say which notebooks are not what `release` would write, outputs aside. Executes nothing."""
    found = []
    notebooks = generate(root, slugs, lookup)
    for path, nb in notebooks.items():
        name, written = path.relative_to(root), _read_or_none(path)
        if not path.exists():
            found.append(f"{name} is missing")
        elif written is None:
            found.append(f"{name} is not as the release writes it")
        elif skeleton(written) != skeleton(nb):
            found.append(f"{name} is not what its source makes")
        elif not was_run(written):
            found.append(f"{name} was not run from top to bottom")
    if not slugs:
        kept = {*notebooks}
        folders = (root / LESSONS, root / SOLUTIONS)
        orphans = (path for folder in folders for path in sorted(folder.glob("*.ipynb")) if path not in kept)
        found += [f"{path.relative_to(root)} has no source in {SOLUTIONS}/" for path in orphans]
    return found


def release(
    root: Path, slugs: Sequence[str], lookup: Lookup, say: Callable[[str], None] = lambda line: None
) -> list[Path]:
    """Generate and execute the notebooks; write those that changed, and return their paths.

    Raises AuthorError for a source that breaks the convention, RunError when a notebook does not run as it should.
    """
    notebooks = {str(path): nb for path, nb in generate(root, slugs, lookup).items()}
    written, errors = [], []
    for key, run in execute_all(notebooks):
        path = Path(key)
        name = path.relative_to(root)
        try:
            run = _graded_as_expected(run, full=path.parent.name == SOLUTIONS)
        except RunError as error:
            errors.append(f"{name}: {error}")
            continue
        changed = not _same(_read_or_none(path), run.notebook)
        if changed:
            path.parent.mkdir(exist_ok=True)
            files.replace(path, to_text(run.notebook))
            written.append(path)
        verdict = "written" if changed else "unchanged"
        say(f"{name}  {run.seconds:.1f} s  {run.peak_bytes / 2**20:.0f} MiB  {verdict}")
    if errors:
        raise RunError("\n".join(sorted(errors)))
    return sorted(written)


def _without(nb: NotebookNode, *, drop: str, unmark: str) -> NotebookNode:
    """Return a copy of `nb` without the cells tagged `drop` and without the tag `unmark`."""
    nb = copy.deepcopy(nb)
    nb.cells = [cell for cell in nb.cells if drop not in cell.metadata.get("tags", [])]
    for cell in nb.cells:
        tags = [tag for tag in cell.metadata.pop("tags", []) if tag != unmark]
        if tags:
            cell.metadata["tags"] = tags
    return nb


def _preprocess(nb: NotebookNode, *preprocessors: object) -> NotebookNode:
    for preprocessor in preprocessors:
        nb, _ = preprocessor.preprocess(nb, {})  # type: ignore[attr-defined]
    return nb


def _graded_as_expected(run: Run | RunError, *, full: bool) -> Run:
    """Return `run` if every solution gets all its points and every stub none; else raise RunError."""
    if isinstance(run, RunError):
        raise run
    for number, cell in enumerate(run.notebook.cells, 1):
        if is_grade(cell):
            points, most = determine_grade(cell)
            if points != (most if full else 0):
                want = f"the solution must get {most:g}" if full else "the stub must get 0"
                raise RunError(f"{place(number, cell)} gives {points:g} points; {want}")
    return run


def _read_or_none(path: Path) -> NotebookNode | None:
    """Read a notebook that the release wrote; None if there is none or its text was made by other hands."""
    if not path.exists():
        return None
    text = path.read_text(encoding="utf-8")
    try:
        nb = from_text(text)
    except ValueError:
        return None
    return nb if to_text(nb) == text else None


def _same(old: NotebookNode | None, new: NotebookNode) -> bool:
    """Say whether a reader would see no difference, timings and a picture's encoding aside."""
    if old is None or skeleton(old) != skeleton(new) or not was_run(old):
        return False
    return all(
        "nbval-ignore-output" in ours.metadata.get("tags", [])
        or (len(ours.outputs) == len(theirs.outputs) and all(map(_same_output, ours.outputs, theirs.outputs)))
        for ours, theirs in zip(old.cells, new.cells, strict=True)
        if ours.cell_type == "code"
    )


def _same_output(old: NotebookNode, new: NotebookNode) -> bool:
    old, new = copy.deepcopy(old), copy.deepcopy(new)
    pictures = [output.get("data", {}).pop("image/png", None) for output in (old, new)]
    return bool(old == new) and _same_picture(*pictures)


def _same_picture(old: str | None, new: str | None) -> bool:
    """Compare two PNGs (base64) by what they show: another machine may draw a line one grey level off."""
    if old is None or new is None or old == new:
        return old == new
    a, b = (np.asarray(imread(io.BytesIO(base64.b64decode(png)))) for png in (old, new))
    return a.shape == b.shape and bool(np.mean(abs(a - b) > _PICTURE_LEVEL) <= _PICTURE_SHARE)
