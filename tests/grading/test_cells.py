"""Cells become plain Python as IPython, as it is installed here, would have them; what only a notebook does is left."""

import ast
import contextlib
import itertools
import random
import subprocess
import sys
import time

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from lossbook.grading.run.sandbox.cells import BODY_MAGICS, LINE_MAGICS, parsed, python_of

STATEMENTS = [
    "x = 1",
    "def f(a, b=2):\n    return a + b",
    'def f(z):\n    """Right.\n\n    >>> f(1)\n    1\n    """\n    return z',
    "if True:\n    x = 1\n\n    y = [\n        1,\n        2,\n    ]",
    "x = '''\n%not a magic\n!nor this\n'''",
    "x = (7\n% 4)",
    "x = {'a': 1}['a'] \\\n    + 2",
    "@wraps\nasync def f():\n    await g()",
    "s = 'it''s #' + \"%\" # why?",
    "x = 1 if not 2 != 3 else 4; y /= 2; z %= 3",
    "...",
    "",
]
COMMANDS = [
    "%matplotlib inline",
    "!pip install torch",
    "!pip install \\\n    torch \\\n    numpy",
    "!echo don't",
    "!!ls",
    "files = !ls -la",
    "files = ! ls 'x",
    "files = !ls \\\n  -la",
    "a, b = %who",
    "x[0] = !ls",
    "t = %timeit -o f(1)",
    "x = %time f(1, 2)",
    "%time x = 1",
    "%time x = f(1, \\\n    2)",
    "%timeit x = 1",
    "%timeit -n 3 x = 1",
    "%prun x = 1",
    "%%who",
    "% time x = 1",
    "?",
    "?len",
    "??len",
    "len?",
    "torch.sum??",
    "x[0].y?",
    "*.sum?",
    "%time?",
    "/f a b",
    "/f",
    ",f a b",
    ";f a b",
    "if True:\n    !ls",
    "if True:\n    %matplotlib inline\n    x = 1",
    "for x in y:\n    files = !ls\n    z?",
    "try:\n    import lossbook\nexcept ImportError:\n    %pip install lossbook",
]
CELLS = [f"{first}\n{then}" for first, then in itertools.product(COMMANDS, STATEMENTS)]
CELLS += [f"{first}\n{then}" for first, then in itertools.product(STATEMENTS, COMMANDS)]
MAGICS = ["%%time", "%%timeit -n 3", "%%timeit", "%%capture out", "%%bash", "%%html", "%%writefile x.py", "%%time?"]


def indented(cell, by="    "):
    return "\n".join(by + line if line else line for line in cell.split("\n"))


def prompted(cell, first=">>> ", other="... "):
    return "\n".join((other if number else first) + line for number, line in enumerate(cell.split("\n")))


def numbered(cell):
    return prompted(cell, "In [12]: ", "    ...: ")


DRESSES = {
    "plain": lambda cell: cell,
    "indented": indented,
    "tabbed": lambda cell: indented(cell, "\t"),
    "below blank lines": lambda cell: f"\n  \n{cell}",
    "prompted": prompted,
    "prompted and indented": lambda cell: indented(prompted(cell)),
    "blank prompts": lambda cell: "\n".join(line.rstrip() for line in prompted(cell).split("\n")),
    "numbered": numbered,
    "of vi": lambda cell: prompted(cell, "[ins] In [1]: ", "   ...: "),
    "timed": lambda cell: f"%%time\n{cell}",
    "timed, indented": lambda cell: indented(f"%%time\n{cell}"),
    "timed, numbered": lambda cell: numbered(f"%%time\n{cell}"),
}


class Nothing(ast.NodeTransformer):
    """Puts in place of IPython's calls what the sandbox does instead, given the names that they were assigned to."""

    def visit_Expr(self, node):
        called = self.called(node.value)
        return node if called is None else (called or [ast.Pass()])

    def visit_Assign(self, node):
        called = self.called(node.value)
        if called is None:
            return node
        if called:
            return ast.Assign(node.targets, called[0].value)
        if not isinstance(node.targets[0], ast.Name):
            return ast.Pass()
        return ast.Assign(node.targets, ast.List([], ast.Load()) if self.shell(node.value) else ast.Constant(None))

    @staticmethod
    def shell(value):
        return value.func.attr == "getoutput"

    def called(self, value):
        """Return what is run in place of a call; None where it is no call of IPython's."""
        match value:
            case ast.Call(func=ast.Attribute(value=ast.Call(func=ast.Name(id="get_ipython")), attr=attribute)):
                given = [item.value for item in value.args]
            case _:
                return None
        if attribute == "run_cell_magic" and given[0] in BODY_MAGICS:
            return as_in_ipython(given[2]).body
        if attribute == "run_line_magic" and given[0] in LINE_MAGICS and not given[1].startswith("-"):
            return as_in_ipython(given[1]).body
        return []


def as_in_ipython(cell):
    return Nothing().visit(ast.parse(TransformerManager().transform_cell(cell)))


def said(tree):
    """Return a tree as text, what does nothing left out."""
    bodies = [node for node in ast.walk(tree) if isinstance(getattr(node, "body", None), list)]
    for node in bodies:
        node.body = [item for item in node.body if not isinstance(item, ast.Pass)]
    return ast.dump(tree)


def both(cell):
    """Return what IPython makes of a cell, and what the sandbox does; None for the first where it refuses the cell."""
    try:
        wanted = said(as_in_ipython(cell))
    except SyntaxError:
        return None, None
    return wanted, said(parsed(cell))


@pytest.mark.parametrize("dress", DRESSES)
def test_every_cell_that_ipython_takes_is_taken_likewise(dress):
    taken = 0
    for cell in map(DRESSES[dress], CELLS):
        wanted, found = both(cell)
        assert found == wanted, cell
        taken += wanted is not None
    assert taken > 0.6 * len(CELLS)


@pytest.mark.parametrize("magic", MAGICS)
def test_cell_magics(magic):
    for cell in CELLS:
        wanted, found = both(f"{magic}\n{cell}")
        assert found == wanted, cell


@pytest.mark.parametrize("seed", range(4))
def test_cells_of_many_commands_and_statements(seed):
    drawn = random.Random(seed)
    taken = 0
    for _ in range(150):
        cell = "\n".join(drawn.choices(STATEMENTS + COMMANDS, k=drawn.randrange(1, 7)))
        cell = DRESSES[drawn.choice(sorted(DRESSES))](cell)
        wanted, found = both(cell)
        assert found == wanted, cell
        taken += wanted is not None
    assert taken > 75


@pytest.mark.parametrize(
    "cell",
    [
        "f(x)?",
        "x = 'a'?",
        "x = y = !ls",
        "f(a=%time)",
        "x = 1 %% time",
        "if x: !ls",
        "x + !ls",
        "def f(:",
        "$x",
        "x = !",
    ],
)
def test_what_ipython_refuses_is_refused_too_or_does_nothing(cell):
    wanted, found = both(cell)
    assert wanted is None or found == wanted
    if wanted is None:
        with pytest.raises(SyntaxError):
            parsed(cell)


def test_the_numbers_of_the_lines_stay():
    for cell in CELLS:
        if not cell.strip().startswith("%%"):
            assert python_of(cell).count("\n") == cell.count("\n"), cell


def test_what_is_python_is_left_as_it_is():
    for cell in ("x = '''\n>>> y\n'''", "  # indented\nx = 1", "def f():\n    '''\n    ... a\n    '''"):
        assert ast.dump(parsed(cell)) == ast.dump(ast.parse(cell))


def test_a_command_has_its_own_line_whatever_it_opens():
    assert ast.unparse(parsed("!echo don't (\nx = 1\ny?")) == "pass\nx = 1\npass"


def test_a_line_with_ipythons_prompt_is_no_annotation():
    assert ast.unparse(parsed("In [1]: x = 1")) == "x = 1"


def test_a_colab_cell_with_prompts_in_a_docstring_keeps_them():
    cell = "%matplotlib inline\ndef f():\n    '''One.\n\n    >>> f()\n    1\n    '''\n    return 1"
    assert ast.get_docstring(parsed(cell).body[1]) == "One.\n\n>>> f()\n1"


@pytest.mark.parametrize("piece", ["!ls (\n", "'", '"""', "x = !\\\n", "((", "a?", "\\\n", ">>> ", "... \n", "%time "])
def test_a_long_cell_costs_no_more_than_its_length(piece):
    start = time.process_time()
    with contextlib.suppress(SyntaxError, RecursionError, ValueError, MemoryError):
        parsed(piece * (20_000 // len(piece)) + "\n!ls")
    assert time.process_time() - start < 2


def test_the_sandbox_has_no_ipython():
    code = "import sys, lossbook.grading.run.sandbox.cells; assert 'IPython' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
