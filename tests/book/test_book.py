"""The built book: complete, linked, and readable without seeing its pictures."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(path.stem for path in (ROOT / "book").glob("[0-9][0-9]-*.md"))
CHAPTERS = [page for page in PAGES if not page.endswith("-pytorch")]
TWO_PAGES = [chapter for chapter in CHAPTERS if f"{chapter}-pytorch" in PAGES]


def test_the_book_builds_from_clean_without_a_warning(book):
    assert book.code == 0, book.log[-3000:]


def test_every_page_of_the_contents_is_there(book):
    assert [name for name in book.docnames if not (book.html / f"{name}.html").is_file()] == []
    assert (book.html / "index.html").is_file()


def test_every_page_with_code_was_executed_in_this_build(book):
    """The notebooks apart, which nbval runs: each of `lessons/` and `solutions/`."""
    notebooks = {name for name in book.docnames if (ROOT / f"{name}.ipynb").exists()}
    with_code = {
        name
        for name in book.docnames
        if name not in notebooks
        and re.search(r"^```+\{code-cell\}", (ROOT / f"{name}.md").read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert book.executed == with_code
    assert notebooks == {
        f"{folder}/{p.stem}" for folder in ("lessons", "solutions") for p in (ROOT / folder).glob("*.ipynb")
    }


def test_every_page_has_one_title(book):
    wrong = {name: n for name in book.docnames if (n := len(book.article(name).select("h1"))) != 1}
    assert wrong == {}


def test_every_picture_says_in_words_what_it_shows(book):
    wrong = []
    for name in book.docnames:
        for image in book.article(name).select("img"):
            said = (image.get("alt") or "").strip()
            if len(said) < 10 or re.search(r"\.(png|svg|jpe?g|gif)$|_images/", said):
                wrong.append((name, said))
    assert wrong == []


def test_no_cell_failed_but_those_that_are_meant_to(book):
    wrong = []
    for name in book.docnames:
        for cell in book.article(name).select("div.cell"):
            if cell.select("div.output.traceback") and "tag_raises-exception" not in cell.get("class", []):
                wrong.append((name, cell.get_text()[:300]))
    assert wrong == []


def test_no_cell_writes_a_warning_onto_its_page(book):
    wrong = [(name, said.get_text()[:300]) for name in book.docnames for said in book.article(name).select(".stderr")]
    assert wrong == []


def test_every_link_inside_the_book_leads_somewhere(book):
    files = {path: None for path in book.html.rglob("*.html") if "_static" not in path.parts}
    broken = []

    def anchors(path):
        if files.get(path) is None:
            soup = book.page(path.relative_to(book.html).with_suffix("").as_posix())
            files[path] = (
                {tag["id"] for tag in soup.select("[id]")} | {tag["name"] for tag in soup.select("a[name]")},
                soup,
            )
        return files[path][0]

    for path in list(files):
        anchors(path)
        for link in files[path][1].select("a[href]"):
            parts = urlsplit(link["href"])
            if parts.scheme or parts.netloc or link["href"] in ("#", ""):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                broken.append((path.relative_to(book.html).as_posix(), link["href"], "no such file"))
            elif parts.fragment and target.suffix == ".html" and unquote(parts.fragment) not in anchors(target):
                broken.append((path.relative_to(book.html).as_posix(), link["href"], "no such anchor"))
    assert broken == []


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_leads_to_its_lesson_and_its_module_and_the_lesson_leads_back(book, chapter):
    def links(docname):
        return [link["href"] for link in book.article(docname).select("a[href]")]

    module = chapter.split("-", 1)[1].replace("-", "_")
    there = links(f"book/{chapter}")
    assert any(link.startswith(f"../lessons/{chapter}.html") for link in there), "no link to the lesson"
    api = re.compile(rf"src/lossbook/losses/{module}\.py|api\.html#(module-)?lossbook\.losses")
    assert any(api.search(link) for link in there), "no link to the module"
    back = [link for link in links(f"lessons/{chapter}") if f"/{chapter}" in link and "lessons/" not in link]
    assert back, "the lesson does not lead back to the chapter"


@pytest.mark.parametrize("chapter", TWO_PAGES)
def test_the_two_pages_of_a_chapter_lead_to_each_other_and_share_one_count_of_equations(book, chapter):
    def links(docname):
        return {link["href"].split("#")[0] for link in book.article(docname).select("a[href]")}

    idea, pytorch = f"book/{chapter}", f"book/{chapter}-pytorch"
    assert f"{chapter}-pytorch.html" in links(idea)
    assert {f"{chapter}.html", f"../lessons/{chapter}.html"} <= links(pytorch)
    numbers = [
        re.findall(r"\((\d+)\.(\d+)\)", number.get_text())[0]
        for docname in (idea, pytorch)
        for number in book.article(docname).select("div.math span.eqno")
    ]
    assert numbers == [(str(int(chapter[:2])), str(n)) for n in range(1, len(numbers) + 1)]


def test_lessons_and_solutions_can_be_launched_and_downloaded(book):
    for name in book.docnames:
        source = str(book.page(name).select_one("header") or "") + str(book.page(name).select(".header-article__inner"))
        if name.startswith(("lessons/", "solutions/")):
            assert f"https://colab.research.google.com/github/lossbook/lossbook/blob/main/{name}.ipynb" in source
            assert f"_sources/{name}.ipynb" in source
            assert (book.html / "_sources" / f"{name}.ipynb").is_file()
            assert f"/edit/main/solutions/{Path(name).name}.md" in source, "a notebook is edited in its source"
        else:
            assert "colab" not in source, "Colab does not open text pages"
