"""Chapter 7: no losses, but the sums under them."""

_TERMS = r"""
n: {is: number of a term, runs: N}
N: {is: number of terms, size: 5}
x_n: {is: terms, in: real}
"""

SYMBOLS = {
    "sequential_sum": _TERMS
    + r"""
s:
  is: the sum
  code: sequential_sum(x_n)
""",
    "pairwise_sum": _TERMS
    + r"""
s:
  is: the sum
  code: pairwise_sum(x_n, 2)
""",
    "compensated_sum": _TERMS
    + r"""
s:
  is: the sum
  code: compensated_sum(x_n)
""",
    "sum_error_bound": r"""
k:
  is: number of additions that a term goes through
  in: \{1, 2, \dots\}
u:
  is: unit roundoff
  in: (0, 0.0625)
""",
}
