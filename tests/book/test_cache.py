"""What is executed again, and what is not."""

import nbformat
from jupyter_cache import get_cache
from nbformat.notebooknode import from_dict

from lossbook.notebooks.notebook import METADATA


def test_what_a_page_reads_decides_whether_it_is_executed_again(tiny, page_with):
    package = tiny.source / "lossbook"
    (package / "found.py").write_text("WORD = 'by name'\n")
    (package / "unused.py").write_text("WORD = 'nobody'\n")
    (tiny.root / "data").mkdir()
    (tiny.root / "data" / "told.txt").write_text("old")
    tiny.add("data", page_with("print(open('../data/told.txt').read())"))
    tiny.add("dynamic", page_with("import importlib\nprint(importlib.import_module('lossbook.' + 'found').WORD)"))
    tiny.add("lists", page_with("import os\nprint(len(os.listdir('../data')), 'files')"))
    started = (
        "import subprocess, sys\nprint(subprocess.check_output([sys.executable, '-c', 'print(40 + 2)'], text=True))"
    )
    tiny.add("starts", page_with(started))
    tiny.add("raises", page_with(":tags: [raises-exception]\nraise ValueError('on purpose')"))
    every = {f"book/{name}" for name in ("one", "two", "data", "dynamic", "lists", "starts", "raises")}

    built = tiny.build()
    assert built.code == 0, built.log
    assert built.executed == every
    assert "first" in tiny.text("one")
    assert "old" in tiny.text("data")
    assert "1 files" in tiny.text("lists")

    assert tiny.build().executed == set(), "nothing changed"

    tiny.write("two", page_with("print(6 * 7)"))
    (tiny.root / "data" / "told.txt").write_text("new")
    assert tiny.build().executed == {"book/two", "book/data", "book/starts"}
    assert "42" in tiny.text("two")
    assert "new" in tiny.text("data")

    tiny.write("two", page_with("print(6 * 7)") + "\nSome prose.\n")
    (package / "unused.py").write_text("WORD = 'still nobody'\n")
    (tiny.root / "data" / "more.txt").write_text("more")
    expected = {"book/lists", "book/starts"}  # who starts a process may have read anything
    assert tiny.build().executed == expected, "prose is not code, and nobody imports this module"
    assert "Some prose." in tiny.text("two")
    assert "2 files" in tiny.text("lists")

    (package / "told.py").write_text("WORD = 'again'\n")
    assert tiny.build().executed == {"book/one", "book/starts"}
    assert "again" in tiny.text("one")

    (package / "told.py").write_text("WORD = 'and again'\n")
    (package / "found.py").write_text("WORD = 'otherwise'\n")
    built = tiny.build_leniently()
    assert built.code == 0
    assert built.executed == {"book/one", "book/dynamic", "book/starts"}, "however the book is built"
    assert "and again" in tiny.text("one")
    assert "otherwise" in tiny.text("dynamic")
    records = get_cache(tiny.root / "_build" / ".jupyter_cache").list_cache_records()
    assert len(records) == len(every) + 1, "outputs of older code are removed; a page's older cells may come back"

    tiny.write("raises", page_with("raise ValueError('on purpose')"))
    built = tiny.build()
    assert built.code != 0, "a tag is part of what is cached"
    assert built.executed == {"book/raises", "book/starts"}


def test_a_notebook_that_was_run_is_shown_as_it_is_and_one_that_was_not_is_run(tiny):
    def write(answer: str, count: int | None) -> None:
        cell = nbformat.v4.new_code_cell("print(6 * 7)", execution_count=count, id="a")
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=answer)] if answer else []
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Lesson", id="b"), cell])
        notebook.metadata = from_dict(METADATA)
        nbformat.write(notebook, tiny.root / "book" / "lesson.ipynb")

    with (tiny.root / "_toc.yml").open("a") as contents:
        contents.write("- file: book/lesson\n")
    write("as committed", 1)
    built = tiny.build()
    assert built.code == 0, built.log
    assert "book/lesson" not in built.executed
    assert "as committed" in tiny.text("lesson")

    write("made anew", 1)  # the same code: what was kept of it must not come back
    assert tiny.build().code == 0
    assert "made anew" in tiny.text("lesson")

    write("", None)
    built = tiny.build()
    assert built.executed == {"book/lesson"}
    assert "42" in tiny.text("lesson")
