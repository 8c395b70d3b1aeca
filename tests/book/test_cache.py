"""What is executed again, and what is not."""


def test_only_what_changed_is_executed(tiny, page_with):
    built = tiny.build()
    assert built.code == 0, built.log
    assert built.executed == {"book/one", "book/two"}
    assert "first" in tiny.text("one")

    assert tiny.build().executed == set(), "nothing changed"

    tiny.write("two", page_with("print(6 * 7)"))
    assert tiny.build().executed == {"book/two"}
    assert "42" in tiny.text("two")

    tiny.write("two", page_with("print(6 * 7)") + "\nSome prose.\n")
    assert tiny.build().executed == set(), "prose is not code"
    assert "Some prose." in tiny.text("two")


def test_a_change_of_the_package_is_shown_however_the_book_is_built(tiny):
    assert tiny.build().code == 0
    for number, build in enumerate((tiny.build, tiny.build_leniently)):
        (tiny.source / "lossbook" / "told.py").write_text(f"WORD = 'again {number}'\n")
        assert build().code == 0
        assert f"again {number}" in tiny.text("one")
    caches = list((tiny.root / "_build" / ".jupyter_cache").iterdir())
    assert len(caches) == 1, "caches of older code are removed"


def test_a_tag_is_part_of_what_is_cached(tiny, page_with):
    code = "raise ValueError('on purpose')"
    tiny.write("two", page_with(f":tags: [raises-exception]\n{code}"))
    assert tiny.build().code == 0
    tiny.write("two", page_with(code))
    assert tiny.build().code != 0


def test_a_change_of_data_that_a_page_reads_is_shown(tiny, page_with):
    (tiny.root / "data").mkdir()
    for word in ("old", "new"):
        (tiny.root / "data" / "told.txt").write_text(word)
        tiny.write("two", page_with("print(open('../data/told.txt').read())"))
        assert tiny.build().code == 0
        assert word in tiny.text("two")
