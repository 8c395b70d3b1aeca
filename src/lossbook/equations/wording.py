"""How findings are told to readers."""

from __future__ import annotations

from lossbook.equations.checking import DIGITS, EVALUATED, Step


def describe(step: Step) -> str:
    """Say what was checked of a relation, at how many points, how precisely, and how far the sides are apart."""
    count = f"{step.points} points" if step.points != 1 else "1 point"
    if step.code:
        what = "the gradient" if step.derivative else "the value"
        apart = f"they differ by at most {power(step.worst)} of their size"
        return f"{what}: {step.how}, at {count} in floating point; {apart}."
    if step.how != EVALUATED:
        return f"{step.how} ({count}, {DIGITS} digits)."
    apart = "they differ by at most" if step.relation == "=" else "they are apart by at least"
    return f"{step.how} at {count} to {DIGITS} digits: {apart} {power(step.worst)} of their size."


def power(number: float) -> str:
    """Write a small number as a power of ten: 3·10⁻⁵¹."""
    if number == 0:
        return "0"
    if number >= 0.001:
        return f"{number:.2g}"
    digits, exponent = f"{number:.0e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{digits}·10{raised}"
