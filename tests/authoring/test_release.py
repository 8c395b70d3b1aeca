"""The release: two notebooks from one source, executed, the same each time."""

from __future__ import annotations

import ast
import base64
import io
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import matplotlib.image
import nbformat
import numpy as np
import pytest
from docutils import nodes
from docutils.utils import new_document
from nbgrader.nbgraderformat import MetadataValidator
from nbgrader.utils import compute_checksum

from lossbook.address import published
from lossbook.authoring.convention import AuthorError, _plain_python
from lossbook.authoring.release import (
    DRAWS,
    _same_picture,
    describe_pictures,
    generate,
    link_to_book,
    release,
    sources,
    stale,
)
from lossbook.book.sphinx_ext import stay_inside
from lossbook.exercises import exercise
from lossbook.notebooks.execute import RunError

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\(([^)\s]+)\)")

pytestmark = pytest.mark.xdist_group("release")


def lesson(root: Path):
    return nbformat.read(root / "lessons" / "03-sample.ipynb", 4)


def solution(root: Path):
    return nbformat.read(root / "solutions" / "03-sample.ipynb", 4)


def by_id(nb, cell_id: str):
    return next(cell for cell in nb.cells if cell.id == cell_id)


def edit(root: Path, old: str, new: str) -> None:
    path = root / "solutions" / "03-sample.md"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_both_notebooks_are_written_and_timed(released_once) -> None:
    names = [path.relative_to(released_once.root).as_posix() for path in released_once.written]
    assert names == ["lessons/03-sample.ipynb", "solutions/03-sample.ipynb"]
    assert len(released_once.lines) == 2
    assert all(" s  " in line and line.endswith("MiB  written") for line in released_once.lines)


@pytest.mark.parametrize("open_notebook", [lesson, solution])
def test_nbformat_and_nbgrader_accept_the_notebook(released: Path, open_notebook) -> None:
    nb = open_notebook(released)
    nbformat.validate(nb)
    MetadataValidator().validate_nb(nb)
    assert nb.nbformat_minor == 5
    assert set(nb.metadata) == {"kernelspec", "language_info"}
    assert nb.metadata.kernelspec.name == "python3"
    assert "version" not in nb.metadata.language_info
    assert not any("execution" in cell.metadata for cell in nb.cells)
    counts = [cell.execution_count for cell in nb.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))


def test_each_notebook_says_what_it_is(released: Path) -> None:
    assert lesson(released).cells[0].source.startswith("# Lesson 3")
    assert solution(released).cells[0].source.startswith("# Solution of lesson 3")


def test_the_file_is_as_nbformat_writes_it(released: Path) -> None:
    path = released / "lessons" / "03-sample.ipynb"
    text = path.read_text(encoding="utf-8")
    assert text == nbformat.writes(nbformat.read(path, 4)) + "\n"
    assert "σ, −, ×" in text


def test_cells_have_the_roles_that_nbgrader_wants(released: Path) -> None:
    for nb in (lesson(released), solution(released)):
        roles = {cell.id: cell.metadata.nbgrader for cell in nb.cells if "nbgrader" in cell.metadata}
        assert [*roles] == ["setup", "double", "double-points", "square", "square-points"]
        flags = {name: (role.grade, role.solution, role.locked) for name, role in roles.items()}
        assert flags["setup"] == (False, False, True)
        assert flags["double"] == flags["square"] == (False, True, False)
        assert flags["double-points"] == flags["square-points"] == (True, False, True)
        assert [roles[name].points for name in ("double-points", "square-points")] == [2, 3]
        assert all(role.grade_id == name for name, role in roles.items())


def test_a_lesson_is_locked_and_carries_checksums(released: Path) -> None:
    marked = [cell for cell in lesson(released).cells if "nbgrader" in cell.metadata]
    assert all(cell.metadata.nbgrader.checksum == compute_checksum(cell) for cell in marked)
    assert all(cell.metadata.deletable is False for cell in marked)
    assert {cell.id for cell in marked if cell.metadata.get("editable", True)} == {"double", "square"}


def test_a_stub_keeps_signature_and_docstring(released: Path) -> None:
    stub = by_id(lesson(released), "square").source
    assert "SOLUTION" not in stub
    assert stub.endswith("        return x\n    raise NotImplementedError")
    function = ast.parse(stub).body[0]
    assert ast.get_docstring(function) == "Return x².\n\nThe sign of x is lost."
    assert "### BEGIN SOLUTION" in by_id(solution(released), "square").source


def test_stubs_get_nothing_and_solutions_everything(released: Path) -> None:
    def points(nb) -> list[str]:
        return [by_id(nb, name).outputs[0].data["text/plain"] for name in ("double-points", "square-points")]

    assert points(lesson(released)) == ["0.0", "0.0"]
    assert points(solution(released)) == ["2.0", "3.0"]


def test_tags_choose_the_notebook_and_pass_through(released: Path) -> None:
    ours, theirs = lesson(released), solution(released)
    assert [cell.source for cell in ours.cells][-3:] == ["Now it is your turn.", "The end.", "The end."]
    assert [cell.source for cell in theirs.cells][-3:] == ["Here is why it works.", "The end.", "The end."]
    for nb in (ours, theirs):
        assert not any("-only" in tag for cell in nb.cells for tag in cell.metadata.get("tags", []))
        picture = next(cell for cell in nb.cells if "mystnb" in cell.metadata)
        assert picture.metadata.mystnb.image.alt == "A line through zero."
        assert picture.metadata.tags == ["hide-input"]


def test_what_a_cell_prints_is_one_output(released: Path) -> None:
    picture = next(cell for cell in lesson(released).cells if "mystnb" in cell.metadata)
    assert [output.output_type for output in picture.outputs] == ["stream", "display_data"]
    assert picture.outputs[0].text == "The line x ↦ 2·x is straight.\n"


FOLDED = """\
<details><summary>Hint 1</summary>

Which product is $x^2$?

</details>

<details><summary>Hint 2</summary>

`x * x`

</details>"""


def test_the_hints_that_the_exercise_declares_are_folded_away_where_the_mark_is(released: Path) -> None:
    for nb in (lesson(released), solution(released)):
        at = [cell.id for cell in nb.cells].index("square-points")
        assert nb.cells[at + 1].source == FOLDED
        assert not any("{hints}" in cell.source or "Not in the lesson" in cell.source for cell in nb.cells)


def test_a_hint_changed_where_it_is_declared_makes_both_notebooks_stale(released: Path, lookup) -> None:
    def changed(name: str):
        found = lookup(name)
        return replace(found, hints=("Another.", *found.hints[1:]))

    assert [line.split()[0] for line in stale(released, [], changed)] == [
        "lessons/03-sample.ipynb",
        "solutions/03-sample.ipynb",
    ]


def test_a_second_release_touches_nothing(released: Path, lookup) -> None:
    before = {path: path.stat().st_mtime_ns for path in released.rglob("*.ipynb")}
    assert release(released, [], lookup) == []
    assert {path: path.stat().st_mtime_ns for path in released.rglob("*.ipynb")} == before


def test_a_changed_output_is_written(released: Path, lookup) -> None:
    path = released / "solutions" / "03-sample.ipynb"
    path.write_text(path.read_text(encoding="utf-8").replace("✓ double", "✓ dubble"), encoding="utf-8")
    assert stale(released, [], lookup) == []
    assert release(released, ["sample"], lookup) == [path]
    assert "✓ double" in path.read_text(encoding="utf-8")


def test_stale_is_empty_after_a_release(released: Path, lookup) -> None:
    assert stale(released, [], lookup) == []


def test_stale_names_both_notebooks_of_an_edited_source(released: Path, lookup) -> None:
    edit(released, "The end.", "The very end.")
    assert stale(released, [], lookup) == [
        "lessons/03-sample.ipynb is not what its source makes",
        "solutions/03-sample.ipynb is not what its source makes",
    ]


def test_stale_sees_other_hands(released: Path, lookup) -> None:
    (released / "solutions" / "03-sample.ipynb").unlink()
    path = released / "lessons" / "03-sample.ipynb"
    (released / "lessons" / "09-old.ipynb").write_text("{}")
    text = path.read_text(encoding="utf-8")
    rest = ["solutions/03-sample.ipynb is missing", "lessons/09-old.ipynb has no source in solutions/"]
    path.write_text(text.replace('"execution_count": 1,', '"execution_count": null,'), encoding="utf-8")
    assert stale(released, [], lookup) == ["lessons/03-sample.ipynb was not run from top to bottom", *rest]
    path.write_text(text.replace("\n ", "\n  "), encoding="utf-8")
    assert stale(released, [], lookup) == ["lessons/03-sample.ipynb is not as the release writes it", *rest]
    path.write_text("", encoding="utf-8")
    assert stale(released, [], lookup) == ["lessons/03-sample.ipynb is not as the release writes it", *rest]


def test_a_lesson_is_named_with_or_without_its_number(course: Path) -> None:
    path = course / "solutions" / "03-sample.md"
    assert sources(course) == sources(course, ["sample"]) == sources(course, ["03-sample", "sample"]) == [path]


def test_an_unknown_lesson_and_a_wrong_folder_are_told(course: Path, tmp_path: Path) -> None:
    with pytest.raises(AuthorError, match="no lesson is called '04-x'; the lessons are 03-sample"):
        sources(course, ["04-x"])
    with pytest.raises(AuthorError, match=r"run this in the folder of the course"):
        sources(tmp_path / "nowhere")


def test_all_broken_sources_are_told_at_once(course: Path, lookup) -> None:
    edit(course, "check(square).points", "square(2)")
    (course / "solutions" / "04-other.md").write_text("No title\n")
    with pytest.raises(AuthorError) as error:
        generate(course, [], lookup)
    first, *rest = str(error.value).splitlines()
    assert first.startswith("solutions/03-sample.md, cell 10 ('def square(x: float) -> float:'): square is never")
    assert rest[0].startswith("solutions/04-other.md, cell 1: a lesson opens")


def test_a_solution_that_fails_and_a_stub_that_raises_are_told(course: Path, lookup) -> None:
    edit(course, "return x * x", "return x + x")
    edit(course, 'print(f"{time.perf_counter():.9f} s")', "double(1)")
    with pytest.raises(RunError) as error:
        release(course, [], lookup)
    stub, wrong = str(error.value).splitlines()
    assert stub == "lessons/03-sample.ipynb: cell 13 ('double(1)') raised NotImplementedError: "
    want = "gives 0 points; the solution must get 3"
    assert wrong == f"solutions/03-sample.ipynb: cell 11 ('check(square).points') {want}"
    assert not [*course.rglob("*.ipynb")]


def png(pixels: np.ndarray) -> str:
    file = io.BytesIO()
    matplotlib.image.imsave(file, pixels, format="png")
    return base64.b64encode(file.getvalue()).decode()


def test_a_picture_is_compared_by_what_it_shows() -> None:
    pixels = np.full((100, 100, 3), 128, np.uint8)
    noisy, marked = pixels + np.uint8(1), pixels.copy()
    marked[50, 50:53] = 255
    assert _same_picture(png(pixels), png(noisy))
    assert not _same_picture(png(pixels), png(marked))
    assert not _same_picture(png(pixels), png(pixels[:50]))
    assert not _same_picture(png(pixels), None)
    assert _same_picture(None, None)


# Links to the book


def linking(*sources: str):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(source) for source in sources])


@pytest.fixture
def with_pages(tmp_path: Path) -> Path:
    (tmp_path / "CITATION.cff").write_text("title: x\nurl: https://example.org/it\nversion: 1\n")
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "01-recipe.md").write_text("# x\n")
    return tmp_path


def test_a_link_to_a_page_leads_to_the_published_one(with_pages: Path) -> None:
    nb = linking("See [a](../book/01-recipe.md) and [b](../book/01-recipe.md#part-2).", "[c](https://x.org/y.md)")
    link_to_book(nb, with_pages)
    page = "https://example.org/it/book/01-recipe.html"
    assert [cell.source for cell in nb.cells] == [f"See [a]({page}) and [b]({page}#part-2).", "[c](https://x.org/y.md)"]


def test_a_link_that_leads_nowhere_is_refused(with_pages: Path) -> None:
    with pytest.raises(AuthorError, match=r"the link to book/02-mse\.md leads to no page of the book"):
        link_to_book(linking("[x](../book/02-mse.md)"), with_pages)
    (with_pages / "CITATION.cff").write_text("title: x\n")
    with pytest.raises(AuthorError, match="does not say the book's address"):
        link_to_book(linking("[x](../book/01-recipe.md)"), with_pages)


def test_the_release_names_the_lesson_whose_link_leads_nowhere(course: Path, lookup) -> None:
    edit(course, "### END SOLUTION\n```\n", "### END SOLUTION\n```\n\n[x](../book/99-none.md)\n")
    with pytest.raises(AuthorError, match=r"03-sample\.md: the link to book/99-none\.md leads to no page"):
        generate(course, [], lookup)


def test_every_lesson_links_to_a_published_chapter() -> None:
    toc = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    pages = {f"{published(ROOT)}{page}.html" for page in re.findall(r"file: (book/\S+)", toc)}
    for path, nb in generate(ROOT, [], exercise).items():
        links = [link for cell in nb.cells if cell.cell_type == "markdown" for link in LINK.findall(cell.source)]
        assert f"{published(ROOT)}book/{path.stem}.html" in links
        assert [link for link in links if link.partition("#")[0].endswith(".md")] == []
        others = {other.name for other in path.parent.glob("*.ipynb")}  # they lie beside it, wherever it is opened
        assert [link for link in links if not link.startswith("https://") and link not in others] == []
        assert [link for link in links if link.startswith(published(ROOT)) and link not in pages] == []


def test_in_the_book_itself_such_a_link_stays_inside() -> None:
    address = published(ROOT)
    targets = {
        f"{address}book/01-recipe.html": "../book/01-recipe.html",
        f"{address}book/01-recipe.html#a": "../book/01-recipe.html#a",
        f"{address}book/99-none.html": f"{address}book/99-none.html",
        "https://example.org/book/01-recipe.html": "https://example.org/book/01-recipe.html",
    }
    links = [nodes.reference(refuri=target) for target in targets]
    document = new_document("lesson")
    document += [*links, nodes.reference(refid="near")]
    app = SimpleNamespace(
        srcdir=str(ROOT),
        env=SimpleNamespace(found_docs={"book/01-recipe"}),
        builder=SimpleNamespace(get_relative_uri=lambda near, far: f"../{far}.html"),
    )
    stay_inside(app, document, "lessons/01-recipe")
    assert [link["refuri"] for link in links] == list(targets.values())


# Words for pictures


def drawing(source: str, alt: str | None):
    cell = nbformat.v4.new_code_cell(source)
    if alt:
        cell.metadata["mystnb"] = {"image": {"alt": alt}}
    return nbformat.v4.new_notebook(cells=[cell])


def test_the_words_of_a_picture_go_into_its_cell() -> None:
    words = 'Two curves: "one" rises, the other falls from ½ to 0. ' * 4
    nb = drawing("drawn, axes = figure()", words.strip())
    describe_pictures(nb)
    call = ast.parse(nb.cells[0].source).body[-1].value
    assert call.func.id == "describe"
    assert ast.literal_eval(call.args[0]) == words.strip()
    assert max(map(len, nb.cells[0].source.splitlines())) <= 80


@pytest.mark.parametrize(
    "source", ["drawn, (axes,) = figure(height=3)", "_ = race.draw()", "_ = roofline(speed, rungs)"]
)
def test_a_picture_without_words_is_refused(source: str) -> None:
    with pytest.raises(AuthorError, match=r"cell 1 .* draws, and has no words for it"):
        describe_pictures(drawing(source, None))


def test_what_draws_nothing_needs_no_words() -> None:
    nb = drawing("configure(3)\nx.drawing()", None)
    describe_pictures(nb)
    assert nb.cells[0].source == "configure(3)\nx.drawing()"


def test_every_picture_of_every_lesson_has_words() -> None:
    for path, nb in generate(ROOT, [], exercise).items():
        code = [cell.source for cell in nb.cells if cell.cell_type == "code"]
        drawn = [source for source in code if DRAWS.search(source)]
        assert len(drawn) >= 4, path
        for source in drawn:
            call = ast.parse(source).body[-1].value
            assert call.func.id == "describe"
            assert len(ast.literal_eval(call.args[0])) > 40
        imports = [node for source in code for node in ast.walk(ast.parse(_plain_python(source)))]
        imports = [node for node in imports if isinstance(node, ast.ImportFrom) and node.module == "lossbook.figures"]
        assert "describe" in {alias.name for node in imports for alias in node.names}
