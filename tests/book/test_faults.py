"""A fault fails the build, and goes on failing it for as long as it is there."""


def test_cells_that_do_not_run_fail_the_build_and_are_all_named(tiny, page_with):
    tiny.write("one", page_with("raise KeyError('first')"))
    tiny.write("two", page_with("x = 0") + "\n```{code-cell} ipython3\n1 / x\n```\n")
    tiny.add("dies", page_with("import os; os._exit(1)"))
    tiny.add("runs", page_with("print(1 + 1)"))
    for _ in range(2):
        built = tiny.build()
        assert built.code != 0
        assert "book/one.md, line 10" in built.log
        assert "KeyError: 'first'" in built.log
        assert "book/two.md, line 14: code cell 2 of 2" in built.log
        assert "ZeroDivisionError: division by zero" in built.log
        assert "book/dies.md, line 10" in built.log
        assert "Kernel died" in built.log
    assert built.executed == {"book/one", "book/two", "book/dies"}, "what does run was kept in the cache"
    tiny.write("one", page_with("x = 2"))
    tiny.write("two", page_with("x = 1"))
    tiny.write("dies", page_with("x = 3"))
    assert tiny.build().code == 0


def test_each_warning_fails_the_build_the_second_time_as_well(tiny):
    """One page has them all, and each has its line. A lenient build comes first, and hides none."""
    tiny.write("one", "A page without a heading.\n")
    tiny.write(
        "two",
        "# Two\n\nSee {ref}`nowhere`.\n\nSee {eq}`eq-nowhere`.\n\nSee {py:func}`lossbook.losses.no_such_loss`.\n",
    )
    assert tiny.build_leniently().code == 0
    for _ in range(2):
        built = tiny.build()
        assert built.code != 0
        warnings = [line for line in built.log.splitlines() if "WARNING" in line]
        for told in ("'nowhere'", "eq-nowhere", "no_such_loss", "title"):
            assert any(told in line for line in warnings), built.log
