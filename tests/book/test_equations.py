"""A page's symbols and the marks of its displays, as a reader sees them; and a false display, which fails the build."""

import html
import re

SYMBOLS = r"""
```{symbols}
x:
  is: the `input`
  in: positive
n:
  is: an index
  runs: N
N:
  is: its end
  size: 3
y_n:
- is: numbers
  in: \{0, 1\}
- is: others
  equals: x^n
  from: tiny-second
f(x):
  is: a function of $x$
  equals: \log x
```
"""
PAGE = r"""# Two
{symbols}
```{{math}}
:label: tiny-first
{first}
```

Then

```{{math}}
:label: tiny-second
:class: definition
g = \sum_{{n=1}}^{{N}} y_n = \frac{{x (x^N - 1)}}{{x - 1}} .
```
"""


def words(text: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", "", text)))


def test_a_reader_sees_the_symbols_and_what_was_checked(tiny):
    tiny.write("one", "# One\n")
    tiny.write("two", PAGE.format(symbols=SYMBOLS, first=r"f'(x) = \frac{1}{x} > 0 ."))
    assert tiny.build().code == 0
    page = tiny.text("two")
    shown = words(page)
    assert "The symbols of this page" in shown
    assert "any number above 0" in shown
    assert "checked with 3" in shown
    assert "others, from (2) on" in shown
    marks = re.findall(r'<details class="checked">(.*?)</details>', page, re.S)
    assert len(marks) == 2
    assert "✓ checked" in marks[0]
    assert "both sides were evaluated at 6 points to 50 digits: they differ by at most" in words(marks[0])
    assert "they are apart by at least" in words(marks[0])
    assert "is defined here" in words(marks[1])


def test_displays_that_do_not_hold_fail_the_build_and_are_all_named(tiny):
    wrong = {
        "false": (r"f'(x) = - \frac{1}{x} .", "is false: the left side is"),
        "undeclared": (r"f'(x) = \frac{1}{u} .", "u is not declared"),
        "malformed": (r"f'(x) = \frac{1}{x .", "line"),
        "claimless": (r"\frac{1}{x} .", "this claims nothing"),
    }
    more = "".join(f"\n```{{math}}\n:label: {label}\n{latex}\n```\n" for label, (latex, _) in wrong.items())
    tiny.write("one", "# One\n")
    tiny.write("two", PAGE.format(symbols=SYMBOLS, first=r"f'(x) = \frac{1}{x} .") + more)
    built = tiny.build()
    assert built.code != 0
    for label, (_, told) in wrong.items():
        (line,) = [line for line in built.log.splitlines() if f"WARNING: two, {label}, line" in line]
        assert told in line
