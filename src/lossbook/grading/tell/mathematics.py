"""The formulas of hints as MathML, which browsers draw themselves: no script, and nothing fetched from anywhere."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from latex2mathml.converter import convert
from markupsafe import Markup

_SPACE = "http://www.w3.org/1998/Math/MathML"
# What may come out, and how many parts it has; None where any number will do.
_PARTS = dict.fromkeys(("math", "mrow", "mi", "mo", "mn", "mtext", "mspace", "mtable", "mtr", "mtd", "mstyle", "msqrt"))
_PARTS |= dict.fromkeys(("msub", "msup", "mfrac", "mover", "munder", "mroot"), 2)
_PARTS |= dict.fromkeys(("msubsup", "munderover"), 3)
# How it may look: nothing that leads anywhere.
_LOOKS = {"stretchy", "fence", "form", "accent", "mathvariant", "width", "minsize", "maxsize", "columnalign"}
_LOOKS |= {
    "linethickness",
    "displaystyle",
    "scriptlevel",
    "lspace",
    "rspace",
    "separator",
    "columnspacing",
    "rowspacing",
}
_GAP = ".17em"


def formula(tex: str) -> Markup:
    """Return a formula as a MathML element; as code where the converter does not know all of it."""
    try:
        root = ElementTree.fromstring(convert(tex))
    except Exception:  # it has errors of many kinds, and a formula is to be shown whatever happens
        return _as_code(tex)
    root.attrib.clear()
    if not _braces_match(tex) or not all(map(_known, root.iter())):
        return _as_code(tex)
    for row in root.iter("mrow"):
        _part_names(row)
    return Markup(ElementTree.tostring(root, encoding="unicode", short_empty_elements=False))


def _as_code(tex: str) -> Markup:
    return Markup("<code>{}</code>").format(tex)


def _braces_match(tex: str) -> bool:
    """Tell what the converter passes over: whether each brace has its partner."""
    open_now = [0]
    for brace in re.findall(r"\\.|[{}]", tex, re.DOTALL):
        open_now.append(open_now[-1] + {"{": 1, "}": -1}.get(brace, 0))
    return min(open_now) == open_now[-1] == 0


def _known(element: ElementTree.Element) -> bool:
    """Take the namespace away; tell whether this is MathML that only shows something.

    The converter leaves a command that it does not know as it is, and passes markup in words and links through.
    """
    element.tag = element.tag.removeprefix(f"{{{_SPACE}}}")
    told = (element.text or "") + (element.tail or "").strip()
    whole = element.tag in _PARTS and len(element) == (_PARTS[element.tag] or len(element))
    return whole and "\\" not in told and element.attrib.keys() <= _LOOKS


def _part_names(row: ElementTree.Element) -> None:
    """Put a small space behind the name of a function, such as log, whose argument has no brackets."""
    for index in range(len(row) - 1, 0, -1):
        before = next(row[index - 1].iter("mi"), None)
        is_name = row[index - 1].tag != "mrow" and before is not None and len(before.text or "") > 1
        if is_name and row[index].tag != "mo":
            row.insert(index, ElementTree.Element("mspace", width=_GAP))
