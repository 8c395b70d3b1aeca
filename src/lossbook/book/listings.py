"""Sphinx extension: a listing of the package's code shows the first line of a docstring, and leads to the rest."""

from __future__ import annotations

import ast
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

CODE = Path("src") / "lossbook"


def shortened(code: str) -> tuple[str, str]:
    """Return a listing with the first line of its docstring alone, and the name of its function.

    The name is empty where nothing was left out: a listing that is no function, or whose docstring is one line.
    """
    try:
        (function,) = ast.parse(code).body
    except (SyntaxError, ValueError):
        return code, ""
    if not isinstance(function, ast.FunctionDef) or not (said := ast.get_docstring(function)):
        return code, ""
    first, *more = said.splitlines()
    if not more:
        return code, ""
    docstring, lines = function.body[0], code.splitlines()
    short = " " * docstring.col_offset + ("r" if "\\" in first else "") + f'"""{first}"""'
    kept = [*lines[: docstring.lineno - 1], short, *lines[docstring.end_lineno :]]
    return "\n".join(kept) + "\n", function.name


def exported(package: Path) -> set[str]:
    """Return the names of the losses, which the page of the package documents."""
    tree = ast.parse((package / "losses" / "__init__.py").read_text(encoding="utf-8"))
    (names,) = (node.value for node in tree.body if isinstance(node, ast.Assign) and _is_all(node.targets[0]))
    return set(ast.literal_eval(names))


def _is_all(target: ast.expr) -> bool:
    return isinstance(target, ast.Name) and target.id == "__all__"


def shorten(app: Sphinx, doctree: nodes.document) -> None:
    """Shorten the listings of a page, and put below each loss a link to its whole docstring."""
    package = Path(app.srcdir) / CODE
    for listing in list(doctree.findall(nodes.literal_block)):
        if not Path(listing.get("source") or "").is_relative_to(package):
            continue
        code, name = shortened(listing.astext())
        if not name:
            continue
        listing.rawsource = code
        listing.children = []
        listing += nodes.Text(code)
        if name in exported(package):
            link = addnodes.pending_xref(
                "", nodes.literal(name, name), refdomain="py", reftype="func", refdoc=app.env.docname, refexplicit=True
            )
            link["reftarget"] = f"lossbook.losses.{name}"
            line = nodes.paragraph("", "", nodes.Text("Options, shapes and errors: "), link, classes=["listing-more"])
            listing.parent.insert(listing.parent.index(listing) + 1, line)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("doctree-read", shorten)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
