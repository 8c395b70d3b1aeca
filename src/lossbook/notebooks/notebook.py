"""What convention, execution and release all need of a notebook: its text, its cells' names, its outputs' texts."""

import copy
from collections.abc import Callable

import nbformat
from nbformat import NotebookNode
from nbformat.notebooknode import from_dict

_writes: Callable[[NotebookNode], str] = nbformat.writes
_reads: Callable[[str, int], NotebookNode] = nbformat.reads
as_node: Callable[[object], NotebookNode] = from_dict

# Without versions and paths, so that a notebook is the same wherever it was made.
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "pygments_lexer": "ipython3"},
}


def to_text(nb: NotebookNode) -> str:
    """Return the file that holds `nb`."""
    return _writes(nb) + "\n"


def from_text(text: str) -> NotebookNode:
    """Return the notebook that a file holds. Raises ValueError if it is none."""
    try:
        return _reads(text, 4)
    except (KeyError, AttributeError) as error:
        raise ValueError(f"not a notebook: {error!r}") from None


def skeleton(nb: NotebookNode) -> str:
    """Return everything but the outputs, as text."""
    nb = copy.deepcopy(nb)
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return to_text(nb)


def place(number: int, cell: NotebookNode) -> str:
    """Name a cell to its author: its number, from 1, and its first line."""
    first_line = cell.source.strip().partition("\n")[0]
    return f"cell {number} ({first_line[:60]!r})"


def texts(output: NotebookNode) -> list[str]:
    """Return the texts of an output: what nbval compares, so no picture."""
    if output.output_type == "stream":
        return [output.text]
    return [value for kind, value in output.get("data", {}).items() if kind.startswith("text/")]


def was_run(notebook: NotebookNode) -> bool:
    """Return whether a notebook was run from top to bottom, and so has the outputs that belong to it."""
    counts = [cell.get("execution_count") for cell in notebook.cells if cell.cell_type == "code"]
    return counts == list(range(1, len(counts) + 1))
