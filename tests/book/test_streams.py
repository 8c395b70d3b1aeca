"""What a cell prints in pieces is shown as it was printed."""

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from lossbook.book.sphinx_ext import join_streams


def stream(text, name="stdout"):
    return new_output("stream", name=name, text=text)


def test_pieces_are_joined_to_the_letter():
    figure = new_output("display_data", {"text/plain": "<Figure>"})
    pieces = [
        stream("a "),
        stream("b\n\nc"),
        stream("warned", "stderr"),
        stream("d"),
        figure,
        stream("e\n"),
        stream("f"),
    ]
    notebook = new_notebook(cells=[new_markdown_cell("# T"), new_code_cell("x", outputs=pieces), new_code_cell("y")])
    join_streams(notebook)
    outputs = notebook.cells[1].outputs
    assert [out.get("text") for out in outputs] == ["a b\n\nc", "warned", "d", None, "e\nf"]
    assert [out.output_type for out in outputs].count("display_data") == 1
    assert notebook.cells[2].outputs == []
