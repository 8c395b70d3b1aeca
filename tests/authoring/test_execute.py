"""Running notebooks: what is refused, and how it is told."""

from __future__ import annotations

import os
import signal

import pytest
from jupyter_client.asynchronous.client import AsyncKernelClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from lossbook.notebooks import execute as module
from lossbook.notebooks.execute import Run, RunError, execute, execute_all, over_limits


def notebook(*cells: str):
    return new_notebook(cells=[new_markdown_cell("# Title"), *map(new_code_cell, cells)])


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("1 / 0", "cell 3 ('1 / 0') raised ZeroDivisionError: division by zero"),
        ("import os\nos._exit(1)", "cell 3 ('import os') killed the kernel"),
        ("import warnings\nwarnings.warn('old')", "UserWarning: old"),
        ("object()", "cell 3 ('object()') prints an object's address: <object at 0x"),
        ("print(print.__init__)", "prints an object's address: <method-wrapper"),
    ],
)
def test_a_run_that_is_no_good_is_told(code: str, message: str) -> None:
    with pytest.raises(RunError) as error:
        execute(notebook("x = 1", code))
    assert message in str(error.value)


def test_a_cell_that_never_ends_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 1.0)
    with pytest.raises(RunError, match=r"cell 2 \('while True: pass'\) ran for more than 1 s"):
        execute(notebook("while True: pass"))


def test_a_notebook_runs_in_an_empty_folder_with_one_thread() -> None:
    nb = notebook("import os", "print(os.listdir(), os.environ['OMP_NUM_THREADS'])", "os.getcwd()")
    execute(nb)
    assert nb.cells[2].outputs[0].text == "[] 1\n"
    assert nb.cells[3].outputs[0].data["text/plain"] != repr(os.getcwd())


def test_limits_are_told() -> None:
    assert over_limits(59.0, 2**30) == ""
    assert over_limits(61.0, 2**30).startswith("took 61 s; a notebook must run in 60 s")
    assert over_limits(1.0, 3 * 2**30) == "used 3.0 GiB; a notebook must fit in 2 GiB"


def test_the_memory_of_the_kernel_is_measured() -> None:
    big = notebook("x = b'1' * (300 * 2**20)", "len(x)")
    [(name, run)] = execute_all({"big": big})
    assert name == "big"
    assert isinstance(run, Run)
    assert 300 * 2**20 < run.peak_bytes < 1000 * 2**20
    assert 0 < run.seconds < 60
    assert run.notebook.cells[2].outputs[0].data["text/plain"] == str(300 * 2**20)


def test_a_kernel_that_never_answers_is_replaced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ready, calls = AsyncKernelClient.wait_for_ready, []

    async def deaf(self: AsyncKernelClient, timeout: float | None = None) -> None:
        calls.append(timeout)
        if len(calls) <= failing:
            raise RuntimeError("Kernel didn't respond in 60 seconds")
        await ready(self, timeout)

    monkeypatch.setattr(AsyncKernelClient, "wait_for_ready", deaf)
    failing, nb = 1, notebook("1 + 1")
    execute(nb)
    assert nb.cells[1].outputs[0].data["text/plain"] == "2"
    assert len(calls) == 2
    failing, at_ctrl_c = 4, signal.getsignal(signal.SIGINT)
    with pytest.raises(RunError, match="the kernel did not start: Kernel didn't respond in 60 seconds"):
        execute(notebook("1 + 1"))
    assert len(calls) == 4
    assert signal.getsignal(signal.SIGINT) is at_ctrl_c
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    monkeypatch.undo()
    execute(nb)  # that interrupt was not for this notebook
