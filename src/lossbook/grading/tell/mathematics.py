"""The formulas of hints as MathML, which browsers draw themselves: no script, and nothing fetched from anywhere.

It knows the part of TeX that hints use. A formula with anything else in it is shown as it is written.
"""

from __future__ import annotations

import re

from markupsafe import Markup, escape

TOKEN = re.compile(r"\\([A-Za-z]+|.)|(\d+(?:[.,]\d+)*)|(\S)", re.DOTALL)
LETTERS = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ϵ", "varepsilon": "ε", "eta": "η",
    "theta": "θ", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ",
    "tau": "τ", "phi": "ϕ", "varphi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω", "zeta": "ζ",
    "Delta": "Δ", "infty": "∞", "partial": "∂", "ell": "ℓ", "ldots": "…", "dots": "…", "cdots": "⋯",
}  # fmt: skip
SIGNS = {
    "cdot": "·", "times": "×", "ne": "≠", "neq": "≠", "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥", "sum": "∑",
    "prod": "∏", "to": "→", "leftarrow": "←", "approx": "≈", "in": "∈", "mid": "∣", "pm": "±", "lVert": "‖",
    "rVert": "‖", "|": "‖", "{": "{", "}": "}", "nabla": "∇", "odot": "⊙", "propto": "∝", "sim": "∼",
    "lceil": "⌈", "rceil": "⌉",
}  # fmt: skip
FUNCTIONS = {"log", "ln", "exp", "max", "min", "lim", "arg", "sin", "cos", "tanh"}
SPACES = {",": ".17em", ";": ".28em", ":": ".22em", "quad": "1em", " ": ".25em", "!": "0"}
ACCENTS = {"hat": "^", "bar": "¯", "tilde": "~"}
SIZES = {"left", "right", "bigl", "bigr", "Bigl", "Bigr", "big", "Big", "displaystyle"}
DEEPEST = 20


class _UnknownError(ValueError):
    """The formula has something in it that this module does not know."""


def formula(tex: str) -> Markup:
    """Return a formula as a MathML element; as code where it goes beyond what is known here."""
    tokens = [match.group(0) for match in TOKEN.finditer(tex)]
    try:
        inside, rest = _row(tokens, 0)
        if rest:
            raise _UnknownError(rest[0])
    except _UnknownError:
        return Markup("<code>{}</code>").format(tex)
    return Markup("<math>") + Markup(inside) + Markup("</math>")


def _row(tokens: list[str], depth: int) -> tuple[str, list[str]]:
    """Return what stands up to a closing brace, or the end, and the tokens from there on."""
    if depth > DEEPEST:
        raise _UnknownError("too deep")
    done: list[str] = []
    while tokens and tokens[0] != "}":
        atom, tokens = _atom(tokens, depth)
        marks: dict[str, str] = {}
        while tokens and tokens[0] in ("_", "^") and tokens[0] not in marks:
            marks[tokens[0]], tokens = _atom(tokens[1:], depth, sign=tokens[0])
        done.append(_marked(atom, marks))
        if tokens and tokens[0] != "(" and atom[4:-5] in FUNCTIONS:
            done.append('<mspace width=".17em"></mspace>')
    return "<mrow>" + "".join(done) + "</mrow>", tokens


def _marked(atom: str, marks: dict[str, str]) -> str:
    under, over = marks.get("_"), marks.get("^")
    if under and over:
        return f"<msubsup>{atom}{under}{over}</msubsup>"
    return f"<msub>{atom}{under}</msub>" if under else f"<msup>{atom}{over}</msup>" if over else atom


def _atom(tokens: list[str], depth: int, sign: str = "") -> tuple[str, list[str]]:
    """Return the first element, and the tokens behind it."""
    if not tokens or tokens[0] in ("}", "_", "^"):
        raise _UnknownError(f"nothing behind {sign}")
    first, rest = tokens[0], tokens[1:]
    if first == "{":
        inside, rest = _row(rest, depth + 1)
        if not rest:
            raise _UnknownError("{ without }")
        return inside, rest[1:]
    if first.startswith("\\"):
        return _command(first[1:], rest, depth)
    if first[0].isdigit():
        return f"<mn>{escape(first)}</mn>", rest
    if first.isalpha():
        return f"<mi>{escape(first)}</mi>", rest
    shown = {"-": "−", "*": "∗", "'": "′"}.get(first, first)
    return f'<mo stretchy="false">{escape(shown)}</mo>', rest


def _command(name: str, rest: list[str], depth: int) -> tuple[str, list[str]]:
    if depth > DEEPEST:
        raise _UnknownError("too deep")
    if name in LETTERS:
        return f"<mi>{LETTERS[name]}</mi>", rest
    if name in SIGNS:
        return f"<mo>{SIGNS[name]}</mo>", rest
    if name in FUNCTIONS:
        return f"<mi>{name}</mi>", rest
    if name in SPACES:
        return f'<mspace width="{SPACES[name]}"></mspace>', rest
    if name in SIZES:
        return _atom(rest, depth + 1)
    if name in ("mathrm", "operatorname", "text", "mathbf"):
        return _word(rest)
    inside, rest = _atom(rest, depth + 1)
    if name in ACCENTS:
        return f'<mover accent="true">{inside}<mo stretchy="false">{ACCENTS[name]}</mo></mover>', rest
    if name == "sqrt":
        return f"<msqrt>{inside}</msqrt>", rest
    if name == "frac":
        below, rest = _atom(rest, depth + 1)
        return f"<mfrac>{inside}{below}</mfrac>", rest
    raise _UnknownError(name)


def _word(rest: list[str]) -> tuple[str, list[str]]:
    if rest[:1] != ["{"] or "}" not in rest:
        raise _UnknownError("a word without braces")
    end = rest.index("}")
    return f'<mi mathvariant="normal">{escape("".join(rest[1:end]))}</mi>', rest[end + 1 :]
