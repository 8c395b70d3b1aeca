"""A report is kept as long as all that it depends on stays the same, and no longer."""

import pytest

from lossbook.book import report_cache, verify
from lossbook.book.verify import Report

PAGE = """# A page

```{symbols}
"a": {is: a number, in: real}
```

```{math}
:label: shown
a + a = 2 a
```
"""


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "book" / "page.md"
    path.parent.mkdir()
    path.write_text(PAGE)
    return path


@pytest.fixture
def checked(monkeypatch):
    """The pages that were checked anew."""
    seen = []

    def verify_all(found, workers=2):
        seen.extend(found)
        return [verify.verify(path) for path in found]

    monkeypatch.setattr(report_cache, "verify_all", verify_all)
    return seen


def told(path) -> Report:
    (report,) = report_cache.reports([path])
    return report


def test_a_page_that_is_as_it_was_is_not_checked_again(page, checked):
    first, again = told(page), told(page)
    assert checked == [page]
    assert not first.faults
    assert again == first
    assert len(list((page.parents[1] / "_build" / "equations").iterdir())) == 1


def test_a_page_that_changed_is(page, checked):
    told(page)
    page.write_text(PAGE.replace("2 a", "3 a"))
    assert "is false" in told(page).faults[0]
    assert "is false" in told(page).faults[0]
    page.write_text(PAGE)
    assert not told(page).faults
    assert checked == [page] * 3
    assert len(list((page.parents[1] / "_build" / "equations").iterdir())) == 1


def test_a_change_of_the_checker_or_the_losses_is_seen(page, checked, monkeypatch, tmp_path):
    told(page)
    package = tmp_path / "package"
    for folder in ("equations", "losses"):
        (package / folder).mkdir(parents=True)
        (package / folder / "one.py").write_text("")
    monkeypatch.setattr(report_cache, "PACKAGE", package)
    report_cache._code.cache_clear()
    told(page)
    (package / "losses" / "one.py").write_text("1")
    report_cache._code.cache_clear()
    told(page)
    report_cache._code.cache_clear()
    assert checked == [page] * 3


@pytest.mark.parametrize("content", [b"", b"no pickle", b"\x80\x05N.", b"\x80\x05h\x00."])
def test_a_file_that_is_no_report_is_made_again(page, checked, content):
    told(page)
    (file,) = (page.parents[1] / "_build" / "equations").iterdir()
    file.write_bytes(content)
    assert not told(page).faults
    assert checked == [page] * 2


def test_where_nothing_can_be_written_nothing_is_kept(page, checked):
    (page.parents[1] / "_build").write_text("a file")
    assert not told(page).faults
    assert not told(page).faults
    assert checked == [page] * 2


def test_each_report_stands_in_its_place(page, checked):
    other = page.with_name("other.md")
    other.write_text(PAGE.replace("2 a", "3 a"))
    told(other)
    first, second = report_cache.reports([page, other])
    assert (first.page.name, second.page.name) == ("page", "other")
