r"""Reads the displayed equations of a page from their own LaTeX, and checks them by evaluation.

This package knows no course: it imports nothing of `lossbook` outside itself, so any book in MyST Markdown can use it.

A page's displays are `{math}` directives with a `:label:`, and its symbols stand in one `{symbols}` table in YAML::

    ```{symbols}
    "x, y": {is: numbers, in: real}
    L: {is: the loss, code: "square(x, y)"}
    ```

    ```{math}
    :class: definition
    :label: loss
    L = (x - y)^2
    ```

Read it, hand in the functions that its field `code` may call, and look at what was found::

    page = read(Path("page.md"))
    functions = Functions(Library("mycourse.losses", {"square": square}))
    table, records = check_page(page, functions=functions)
    for fault in (*page.faults, *table.faults):
        print(fault)
    for record in records:
        print(record.display.label, record.faults or [describe(step) for step in record.steps])

A function is called with PyTorch's tensors, and its gradient is PyTorch's. A page that names no code needs no PyTorch,
and nothing to be handed in. `Scorer` makes every small mistake in a page's displays and says which of them are named:
it shows how much a page's checks are worth.
"""

from lossbook.equations.checking import Record, Step, check_display, check_page
from lossbook.equations.code_agreement import Functions, Library
from lossbook.equations.pages import Display, Page, Row, read
from lossbook.equations.parsing import MathError, Node, parse
from lossbook.equations.scoring import Outcome, Scorer
from lossbook.equations.symbols import Symbol, Table
from lossbook.equations.wording import describe

__all__ = [
    "Display",
    "Functions",
    "Library",
    "MathError",
    "Node",
    "Outcome",
    "Page",
    "Record",
    "Row",
    "Scorer",
    "Step",
    "Symbol",
    "Table",
    "check_display",
    "check_page",
    "describe",
    "parse",
    "read",
]
