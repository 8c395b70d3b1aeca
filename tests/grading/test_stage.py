"""Cells run as a notebook runs them: magics do nothing, a cell that raises does not stop the next."""

import pytest

from lossbook.checks.trial import ForbiddenError
from lossbook.grading.run.sandbox.stage import Lines, Sink, answer, run_cell


@pytest.fixture
def scope():
    return {"__name__": "__main__"}


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("%matplotlib inline\nx = 1", {"x": 1}),
        ("!pip install everything\nx = 1", {"x": 1}),
        ("files = !ls\nx = 1", {"x": 1}),
        ("a, b = %who\nx = 1", {"x": 1}),
        ("if True:\n    %matplotlib inline\n    x = 1", {"x": 1}),
        ("if True:\n    !ls", {}),
        ("?len\nx = 1", {"x": 1}),
        ("len?\nx = 1", {"x": 1}),
        ("torch.sum??\nx = 1", {"x": 1}),
        ("%time x = 1", {"x": 1}),
        ("%timeit x = 1", {}),
        ("%%time\nx = 1", {"x": 1}),
        ("\n%%timeit\nx = 1", {"x": 1}),
        ("%%capture output\nx = 1", {"x": 1}),
        ("%%bash\nrm -rf everything\nx = 1", {}),
        ("%%html\n<b>x</b>", {}),
        ("x = 7 % 4", {"x": 3}),
        ("x = (7\n% 4)", {"x": 3}),
        ("x = '''\n%not a magic\n'''", {"x": "\n%not a magic\n"}),
        ("x = 1 if not 2 != 3 else 4", {"x": 4}),
        ("import asyncio\nx = await asyncio.sleep(0, 5)", {"x": 5}),
        ("from __future__ import annotations\nx = 1", {"x": 1}),
        ("    x = 1\n    y = 2", {"x": 1, "y": 2}),
        (">>> def f():\n...     return 3\n...\n>>> x = f()", {"x": 3}),
        ("In [1]: def f():\n   ...:     return 3\n   ...: \n   ...: x = f()", {"x": 3}),
        ("!pip install \\\n  torch \\\n  numpy\nx = 1", {"x": 1}),
        ("files = !ls\nx = len(files)", {"x": 0}),
        ("x = %time 3", {"x": 3}),
        ("%time x = (1 + \\\n  2)", {"x": 3}),
        ("", {}),
        ("# only a comment", {}),
    ],
)
def test_a_cell_runs_as_in_a_notebook(scope, source, names):
    assert run_cell(source, 1, scope) is None
    assert {name: scope.get(name) for name in names} == names


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("1 / 0", "raised ZeroDivisionError: division by zero"),
        ("def f(:", "raised SyntaxError"),
        ("raise SystemExit(3)", "raised SystemExit: 3"),
        ("raise KeyboardInterrupt", "raised KeyboardInterrupt"),
        ("raise BaseException('no')", "raised BaseException: no"),
        ("(" * 5000, "raised "),
        ("-" * 200_000 + "1", "raised "),
        ("x = 1\0", "raised "),
        ("class E(Exception):\n    def __str__(self): raise ValueError\nraise E", "raised E"),
        ("raise ValueError('a' * 10**6)", "raised ValueError: aaa"),
        ("raise ValueError('first\\nsecond')", "raised ValueError: first"),
    ],
)
def test_an_error_is_one_line(scope, source, said):
    error = run_cell(source, 1, scope)
    assert error.startswith(said)
    assert len(error) <= 500
    assert "\n" not in error


def test_what_is_defined_below_an_error_is_defined_all_the_same(scope):
    source = "x = 1\ny = 1 / 0\nx = 2\ndef f():\n    return 3\nimport math\nclass C: pass\n"
    assert "ZeroDivisionError" in run_cell(source, 1, scope)
    assert scope["x"] == 1
    assert scope["f"]() == 3
    assert {"math", "C"} <= set(scope)


@pytest.mark.parametrize(
    "line",
    [
        "import there_is_no_such_module",
        "from torch import there_is_no_such_thing",
        "open('/there/is/no/such/file')",
        "raise ForbiddenError('a loss')",
        "bytearray(2**62)",
        'raise RuntimeError("can\'t start new thread")',
        "raise AssertionError('Torch not compiled with CUDA enabled')",
        "raise RuntimeError('DefaultCPUAllocator: can\\'t allocate memory')",
        "raise RuntimeError('Found no NVIDIA driver on your system')",
        "import asyncio\nasyncio.get_running_loop()",
        "raise OSError; y = 1",
    ],
)
def test_what_stands_below_something_that_is_missing_here_alone_is_run(scope, line):
    scope["ForbiddenError"] = ForbiddenError
    said = run_cell(f"y = 1\n{line}\nx = 2\n{line}\nx = x + y\n1 / 0\nx = 4\ndef f(): pass", 1, scope)
    assert said.startswith("raised ")
    assert "ZeroDivisionError" not in said  # the first is told
    assert scope["x"] == 3  # an error of the student's own ends the cell, definitions apart
    assert "f" in scope


def test_what_would_have_been_named_is_missing_too(scope):
    lines = Lines()
    cells = ["import pandas as pd", "table = pd.read_csv('x')\nx = 1", "y = len(table)\nz = unknown\ny = 2"]
    said = [run_cell(cell, number, scope, lines=lines) for number, cell in enumerate(cells, 1)]
    assert [text.partition(":")[0] for text in said] == ["raised ModuleNotFoundError"] + ["raised NameError"] * 2
    assert scope["x"] == 1
    assert "y" not in scope  # no cell would have named what is unknown


def test_cells_go_on_where_those_before_them_ended(scope):
    lines = Lines()
    cells = ["from __future__ import annotations", "def f(x: Unknown) -> Unknown:\n    return x\nx = f(1)"]
    cells += [
        "import asyncio\nasync def wait():\n    return 5\nasync def begin():\n    return asyncio.create_task(wait())"
    ]
    cells += ["task = await begin()", "y = await task"]
    for number, cell in enumerate(cells, 1):
        assert run_cell(cell, number, scope, lines=lines) is None
    assert (scope["x"], scope["y"]) == (1, 5)
    assert "NameError" in run_cell(cells[1], 1, {"__name__": "__main__"})  # of another notebook


def test_a_cell_cut_down_defines_and_does_nothing_else(scope):
    assert run_cell("x = 1\ndef f():\n    return 3\nwhile True: pass", 1, scope, reduced=True) is None
    assert "x" not in scope
    assert scope["f"]() == 3


@pytest.mark.parametrize("thing", [3, None, "text", [], object()])
def test_what_is_no_function_is_said_to_be_none(thing):
    outcome = answer(["f", [], {}, False, [], False], {"f": thing})
    assert outcome.state == ("missing" if thing is None else "raised")


def test_any_amount_of_output_is_forgotten():
    assert Sink().write("x" * 10**6) == 10**6
