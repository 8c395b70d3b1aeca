r"""The kinds of formula that can be read, and what must be known of each: one row a kind.

A new notation gets a rule in `grammar.lark`, a row here, its value in `evaluating.HANDLERS` and its mistakes in
`edits.EDITS`. A test says which of them is missing, and tries the row's example in all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    # what a formula stands in, or has in it, without a value of its own
    "display", "item", "chain", "args", "case", "dots", "top", "factors",
    # formulas
    "num", "sym", "sub", "prime", "add", "neg", "mul", "inner", "frac", "juxt", "pow", "transpose", "fact", "group",
    "set", "abs", "ceil", "norm", "sqrt", "binom", "cases", "underbrace", "count", "call", "big",
]  # fmt: skip


@dataclass(frozen=True)
class Notation:
    r"""What must be known of a kind of formula.

    Attributes:
        example: One, in LaTeX.
        breaks: When it is another formula on either side of some value.
        binds: Which indices in it are not free.
        varies: When it looks at a symbol at other values than its own, so that what the symbol stands for counts.
        binding: Whether it must stand in brackets where it becomes a factor or a term.
        signed: Whether a minus can stand before it.
        sized: Whether it begins with a bracket, which `\\bigl` may stand before.
    """

    example: str
    breaks: Literal["never", "always", "by its name", "at a condition"] = "never"
    binds: Literal["nothing", "what is under it", "what its condition is of", "all"] = "nothing"
    varies: Literal["never", "by its name", "unless summed", "as a derivative", "unless declared"] = "never"
    binding: Literal["sum", "product", "close"] = "close"
    signed: bool = True
    sized: bool = False


# A row for each kind that has a value.
NOTATIONS: dict[Kind, Notation] = {
    "num": Notation("2"),
    "sym": Notation("x"),
    "sub": Notation("v_n"),
    "prime": Notation("f'", varies="unless declared"),
    "add": Notation("x + t", binding="sum"),
    "neg": Notation("-x", binding="sum"),
    "mul": Notation(r"x \cdot t", binding="product"),
    "inner": Notation(r"\langle v, w \rangle", sized=True),
    "frac": Notation(r"\frac{x}{s}", varies="as a derivative"),
    "juxt": Notation("x t", binding="product"),
    "pow": Notation("s^x"),
    "transpose": Notation(r"v^{\top}"),
    "fact": Notation("3!"),
    "group": Notation("(x + t)", breaks="at a condition", sized=True),
    "set": Notation(r"\{ 1, 2 \}", binds="what its condition is of", signed=False, sized=True),
    "abs": Notation("|x|", breaks="always", sized=True),
    "ceil": Notation(r"\lceil x \rceil", breaks="always", sized=True),
    "norm": Notation(r"\lVert v \rVert", sized=True),
    "sqrt": Notation(r"\sqrt{s}"),
    "binom": Notation(r"\binom{5}{2}"),
    "cases": Notation(r"\begin{cases} x & x < t \\ s & x \ge t \end{cases}", breaks="always", signed=False),
    "underbrace": Notation(r"\underbrace{x}_{\text{here}}"),
    "count": Notation(r"\# \{ v_n < x \}", breaks="always", binds="all"),
    "call": Notation(r"\log s", breaks="by its name", varies="by its name"),
    "big": Notation(r"\sum_n v_n", breaks="by its name", binds="what is under it", varies="unless summed"),
}
