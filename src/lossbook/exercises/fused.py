"""The exercises of lesson 08: cross-entropy at the limit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Generator, Tensor, tensor

from lossbook.checks.bounds import Array, Traffic, bound_exercise
from lossbook.checks.exercise import ACTIVATIONS, RACED, Case, Curve, Exercise, Work, integers, normal, uniform
from lossbook.exercises.misconceptions.fused import MISCONCEPTIONS
from lossbook.losses import cross_entropy

EMPTY = -math.inf
IGNORED = -100


def max_and_sum(z: Tensor) -> tuple[Tensor, Tensor]:
    """Return the maximum along the last dimension, and the sum of the exponentials of the differences from it."""
    m = z.amax(-1)
    safe = torch.where(m > EMPTY, m, 0.0)
    return m, torch.exp(z - safe.unsqueeze(-1)).sum(-1)


def merged(m1: Tensor, d1: Tensor, m2: Tensor, d2: Tensor) -> tuple[Tensor, Tensor]:
    """Return maximum and sum of two parts together, from their own."""
    m = torch.maximum(m1, m2)
    safe = torch.where(m > EMPTY, m, 0.0)
    return m, d1 * torch.exp(m1 - safe) + d2 * torch.exp(m2 - safe)


def in_blocks(z: Tensor, y: Tensor, block: int) -> Tensor:
    """Return the mean loss; how many columns are read at a time changes nothing."""
    return cross_entropy(z, y)


def gradient_from(z: Tensor, y: Tensor, m: Tensor, d: Tensor) -> Tensor:
    """Return the gradient of the mean loss over the samples that are kept, zero where none is."""
    kept = y != IGNORED
    gradient = torch.exp(z - m[:, None] - torch.log(d)[:, None])
    gradient[kept, y[kept]] -= 1
    gradient[~kept] = 0
    return gradient / kept.sum().clamp(min=1)


def linear(x: Tensor, w: Tensor, y: Tensor, chunk: int) -> Tensor:
    """Return the mean loss of the logits x wᵀ."""
    return cross_entropy(x @ w.T, y)


def vocabulary_gradient(x: Tensor, w: Tensor, y: Tensor, lse: Tensor, chunk: int) -> Tensor:
    """Return the gradient of the mean loss by w: (p − one-hot)ᵀ x / N."""
    p = torch.exp(x @ w.T - lse[:, None])
    return (p - torch.nn.functional.one_hot(y, len(w))).T @ x / len(x)


def traffic(N: int, V: int, size: int) -> tuple[int, int, int]:
    """Return the bytes of the tables that the three ways read and write."""
    table = N * V * size
    return 6 * table, 3 * table, 2 * table


def mean_from(m: Tensor, d: Tensor, right: Tensor) -> Tensor:
    """Return the mean of the rows' losses."""
    return (m + torch.log(d) - right).mean()


def row_cases(generator: Generator) -> Sequence[Case]:
    """Draw rows of logits."""
    return [
        Case((tensor([1.0, 3.0, 2.0]),), note="the maximum grows once"),
        Case((tensor([-1.0]),), note="one logit: itself, and e^0"),
        Case((tensor([0.0, 1.0, 2.0, 3.0]),), note="the maximum grows at each step"),
        Case((tensor([3.0, 2.0, 1.0, 0.0]),), note="the first is the largest"),
        Case((tensor([-4.0, -4.0, -4.0]),), note="all alike, and negative"),
        Case((tensor([-1000.0, 1000.0, 999.0]),), note="e^1000 overflows"),
        Case((normal(generator, 9, scale=3.0),), note="random"),
        Case((normal(generator, 30, scale=20.0),), note="random, far apart"),
    ]


def part_cases(generator: Generator) -> Sequence[Case]:
    """Draw maxima and sums of two parts of each row."""

    def sums(n: int) -> Tensor:
        return uniform(generator, n, low=1.0, high=9.0)

    nothing, none = tensor([EMPTY]), tensor([0.0])
    return [
        Case((tensor([2.0]), tensor([1.5]), tensor([1.0]), tensor([3.0])), note="the first maximum is the larger"),
        Case((tensor([0.0]), tensor([2.0]), tensor([3.0]), tensor([1.25])), note="the second maximum is the larger"),
        Case((tensor([1.0]), tensor([1.0]), tensor([1.0]), tensor([2.0])), note="alike: the sums add up"),
        Case((nothing, none, tensor([-3.0]), tensor([2.0])), note="the first part is empty"),
        Case((tensor([5.0]), tensor([4.0]), nothing, none), note="the second part is empty"),
        Case((nothing, none, nothing, none), note="both parts are empty, and so is the whole: (−∞, 0)"),
        Case(
            (tensor([1000.0, -1000.0]), tensor([1.0, 2.0]), tensor([-1000.0, -1001.0]), tensor([7.0, 1.0])),
            note="e^1000 overflows; one maximum a row",
        ),
        Case((normal(generator, 7, scale=3.0), sums(7), normal(generator, 7, scale=3.0), sums(7)), note="random"),
    ]


def block_cases(generator: Generator) -> Sequence[Case]:
    """Draw logits, class indices and the number of columns to read at a time."""

    def drawn(n: int, v: int, scale: float = 3.0) -> tuple[Tensor, Tensor]:
        return normal(generator, n, v, scale=scale), integers(generator, v, n)

    rising = torch.arange(8.0).expand(2, 8).clone()
    masked = normal(generator, 3, 6)
    masked[0, :4] = EMPTY
    masked[1, 2:] = EMPTY
    return [
        Case((torch.zeros(1, 4), tensor([2]), 2), note="a uniform guess: ln 4"),
        Case((rising, tensor([7, 0]), 2), note="the maximum is in the last block"),
        Case((rising.flip(1), tensor([3, 4]), 4), note="the maximum is in the first block"),
        Case((*drawn(3, 7), 3), note="7 columns, 3 at a time: the last block has one"),
        Case((*drawn(2, 5), 1), note="one column at a time"),
        Case((*drawn(4, 5), 16), note="a block larger than the row"),
        Case((tensor([[-1000.0, 0.0, 1000.0, 999.0]]), tensor([3]), 2), note="e^1000 overflows"),
        Case((masked, tensor([4, 1, 0]), 2), note="blocks that hold nothing but −∞: masked classes"),
        Case((*drawn(9, 21), 4), note="random"),
        Case((*drawn(1, 30, 20.0), 8), note="random, one sample, far apart"),
    ]


def kept_cases(generator: Generator) -> Sequence[Case]:
    """Draw logits, class indices with ignored ones among them, and what the forward pass kept."""

    def case(z: Tensor, y: Tensor, note: str) -> Case:
        return Case((z, y, *max_and_sum(z)), note=note)

    some = integers(generator, 5, 8)
    some[1::3] = IGNORED
    return [
        case(tensor([[0.0, 0.0]]), tensor([1]), "a coin: ½ and −½"),
        case(tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 3.0]]), tensor([0, 0]), "right once, wrong once"),
        case(tensor([[1.0, 2.0], [3.0, 0.0]]), tensor([1, IGNORED]), "the second is ignored: its row is zero"),
        case(normal(generator, 2, 3), tensor([IGNORED, IGNORED]), "all ignored: zero everywhere, not nan"),
        case(tensor([[1000.0, 999.0, -1000.0]]), tensor([1]), "e^1000 overflows"),
        case(tensor([[0.5, EMPTY, 1.0]]), tensor([2]), "a masked class is not pushed"),
        case(normal(generator, 4, 4), integers(generator, 4, 4), "random, as many samples as classes"),
        case(normal(generator, 8, 5, scale=2.0), some, "random, some ignored"),
    ]


def hidden_cases(generator: Generator) -> Sequence[Case]:
    """Draw hidden states, a vocabulary, class indices and the number of its rows to take at a time."""

    def drawn(n: int, v: int, d: int, scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
        return normal(generator, n, d, scale=scale), normal(generator, v, d), integers(generator, v, n)

    rising = torch.arange(6.0)[:, None]
    far = tensor([[-1000.0], [0.0], [1000.0], [999.0]])
    return [
        Case((torch.zeros(1, 2), normal(generator, 4, 2), tensor([2]), 2), note="all logits are 0"),
        Case(
            (tensor([[1.0], [-1.0]]), rising, tensor([5, 5]), 2), note="the maximum is in the last chunk, or the first"
        ),
        Case((*drawn(3, 7, 2), 3), note="7 classes, 3 at a time: the last chunk has one"),
        Case((*drawn(2, 5, 3), 1), note="one class at a time"),
        Case((*drawn(4, 6, 2), 50), note="a chunk larger than the vocabulary"),
        Case((tensor([[1.0]]), far, tensor([3]), 2), note="e^1000 overflows"),
        Case((*drawn(9, 20, 4), 6), note="random"),
        Case((*drawn(6, 11, 3), 4), note="random; the gradient is that to the vocabulary", slope=2),
        Case((*drawn(5, 5, 3, 3.0), 2), note="random, as many samples as classes"),
    ]


def recomputed_cases(generator: Generator) -> Sequence[Case]:
    """Draw the same, and the log-sum-exps that the forward pass kept."""
    found = []
    for case in hidden_cases(generator):
        x, w, y, chunk = case.args
        found.append(Case((x, w, y, torch.logsumexp(x @ w.T, 1), chunk), note=case.note))
    return found


def table_cases(generator: Generator) -> Sequence[Case]:
    """Draw numbers of samples and classes, and bytes of a number."""
    return [
        Case((1, 2, 4), note="one row of two float32"),
        Case((100, 10, 8), note="float64"),
        Case((8192, 131072, 2), note="a language model in bfloat16"),
        Case((int(integers(generator, 1000, 1)) + 1, int(integers(generator, 1000, 1)) + 2, 2), note="random"),
    ]


def reduced(generator: Generator, n: int) -> Case:
    """Draw what is kept of n rows: maximum, sum and right logit."""
    z = normal(generator, n, 3, scale=2.0)
    return Case((*max_and_sum(z), z[:, 0].contiguous()))


def reduced_cases(generator: Generator) -> Sequence[Case]:
    """Draw what is kept of some rows."""
    return [
        Case((tensor([0.0]), tensor([2.0]), tensor([0.0])), note="a coin: ln 2"),
        Case((tensor([1.0, -2.0]), tensor([1.5, 2.0]), tensor([1.0, -3.0])), note="two rows"),
        Case((tensor([1000.0, -1000.0]), tensor([1.0, 3.0]), tensor([1000.0, -1000.5])), note="e^1000 overflows"),
        Case(reduced(generator, 9).args, note="random"),
        Case(reduced(generator, 200).args, note="200 rows"),
    ]


LOGITS = tuple(0.25 * i for i in range(-16, 17))


def leading(x: float) -> tuple[Tensor, Tensor]:
    """Return one sample of three classes whose right logit is x."""
    return tensor([[x, 0.0, 0.0]]), tensor([0])


RIGHT_LOGIT = "the right logit, the two others 0"
LOSS_CURVE = Curve(LOGITS, lambda x: Case((*leading(x), 2)), RIGHT_LOGIT, "loss")
GRADIENT_CURVE = Curve(
    LOGITS,
    lambda x: Case((*leading(x), *max_and_sum(leading(x)[0]))),
    RIGHT_LOGIT,
    "its entry in the gradient",
)
CHUNKED_CURVE = Curve(
    LOGITS, lambda x: Case((torch.ones(1, 1), tensor([[x], [0.0], [0.0]]), tensor([0]), 2)), RIGHT_LOGIT, "loss"
)


# Pieces of four columns or classes, and eight samples: small beside the table, which is what is not to be made.
PIECE, SAMPLES = 4, 8
# So many pieces that a step for each is more than all the steps of an answer that ignores the argument.
PIECES = (20, 45)


def columns(generator: Generator, n: int) -> Case:
    """Draw two rows of logits, to be read in n pieces."""
    return Case((normal(generator, 2, PIECE * n), integers(generator, PIECE * n, 2), PIECE))


def classes(generator: Generator, n: int) -> Case:
    """Draw a vocabulary, to be taken in n pieces."""
    return Case(
        (
            normal(generator, SAMPLES, 2),
            normal(generator, PIECE * n, 2),
            integers(generator, PIECE * n, SAMPLES),
            PIECE,
        )
    )


def recomputed(generator: Generator, n: int) -> Case:
    """Draw the same, and the log-sum-exps."""
    x, w, y, chunk = classes(generator, n).args
    return Case((x, w, y, torch.logsumexp(x @ w.T, 1), chunk))


def in_pieces(case: Callable[[Generator, int], Case], largest: int, of: str, table: str, **more: Any) -> Work:
    """Return that there must be a step for each piece, and that nothing larger than some pieces is made.

    Args:
        case: Given a generator and n, a call with n pieces.
        largest: For each piece, how many numbers a tensor may hold: half of what the whole table holds.
        of: What a piece is called.
        table: What is not to be made, in words.
        more: What else the work is limited by.

    """
    return Work(
        case,
        vectorised=False,
        sizes=PIECES,
        of=of,
        cache=64,
        largest=lambda n: largest * n,
        table=table,
        **more,
    )


ROW = "take one logit after the other, and keep two numbers"
TABLE = "it holds more than some blocks. Take one block after the other, and keep two numbers a row"
LOGITS_TABLE = "that is the table of logits, or near it. Take the logits of one chunk after the other, and let them go"

HINTS: dict[str, tuple[str, ...]] = {
    "online_max_and_sum": (
        "What is the largest of no logits at all? A number below every other: `-math.inf`. And the sum of no terms?",
        r"After each logit, $d$ is to be $\sum_j e^{z_j - m}$ with the *new* $m$. The old sum had the old maximum in "
        "each of its terms: by which one factor do all of them change?",
        r"$d \leftarrow d \, e^{m - m'} + e^{z_j - m'}$, with $m' = \max(m, z_j)$; then $m'$ becomes $m$.",
    ),
    "merge_max_and_sum": (
        r"The first part stands for $d_1 e^{m_1}$, the second for $d_2 e^{m_2}$. Write the sum of both as $d \, e^m$, "
        r"with $m$ the larger of $m_1$ and $m_2$.",
        r"$-\infty - (-\infty)$ is `nan`. Only where both parts are empty is $m = -\infty$: there, take off 0 instead.",
    ),
    "cross_entropy_in_blocks": (
        "`range(0, z.shape[1], block)` counts where the blocks begin, and `z[:, start : start + block]` stops by "
        "itself at the last column.",
        "Begin with a maximum of −∞ and a sum of 0 for each row, and take in one block after the other: exercise 1, "
        "with a block in place of a logit.",
        r"At the end a sample costs $m + \log d - z_y$. The right logit is looked up once, outside the loop.",
    ),
    "cross_entropy_gradient_from": (
        r"The softmax of row $n$ is $e^{z_{nk} - m_n} / d_n$: nothing has to be added up again.",
        "What the model said minus what happened, over the number of samples that are *kept*. A target of −100 is no "
        "column: set the ignored rows to zero afterwards.",
        "`kept = y != -100` has one truth value for each sample. `z[kept, y[kept]]` picks one entry of each kept row, "
        "and `kept.sum().clamp(min=1)` is never 0.",
    ),
    "linear_cross_entropy_in_chunks": (
        "`x @ w[start : start + chunk].T` has the logits of one chunk of classes, in the shape (N, chunk). Reduce them "
        "to a maximum and a sum before you make the next.",
        "Exercise 2 puts two parts together. What the loop has so far is the first part, the chunk is the second.",
        "The right logit of sample n is the product of `x[n]` with row `y[n]` of the vocabulary: `(x * w[y]).sum(1)`.",
    ),
    "vocabulary_gradient_in_chunks": (
        r"By the chain rule the gradient by row $k$ of the vocabulary is $\sum_n \partial L / \partial z_{nk} \, x_n$, "
        "and you know the first factor from exercise 4.",
        "Make the logits of a chunk once more; `torch.exp(z - lse[:, None])` turns them into probabilities of the "
        "*whole* softmax.",
        "The columns of a chunk are the classes from `start` on: `torch.arange(start, start + len(part))`. Where does "
        "that equal `y[:, None]`?",
        "With the chunk's table `g` of shape (N, chunk), its rows of the answer are `g.T @ x`, over N.",
    ),
    "loss_and_gradient_bytes": (
        "One table has `N * V * size` bytes. What is left is to count how many tables each way reads, and how many it "
        "writes.",
        "The first way: two for the log-softmax, one for the gradient of the look-up, and three for that of the "
        "log-softmax.",
    ),
    "fused_python_sum": (
        r"One row costs $m + \log d - z_y$. All rows at once are one line, a tensor of shape $(N,)$.",
        "Python's `sum` takes a tensor of shape $(N,)$ as it takes a list. `len` says how many losses it has.",
    ),
    "fused_torch_sum": (
        "The first line is that of the function with Python's sum: one loss a row, in a tensor of shape $(N,)$.",
        "Only the name of the sum changes: `torch.sum` adds the whole tensor up in one call.",
    ),
}

# The lesson: log-sum-exp and softmax are what is being built.
BY_HAND = ACTIVATIONS | {"logsumexp", "logcumsumexp", "logaddexp", "logaddexp2"}
BY_FORMULA = BY_HAND | {"backward", "grad"}


def asked(
    function: str,
    points: int,
    reference: Callable[..., Any],
    cases: Callable[[Generator], Sequence[Case]],
    signature: str,
    **more: Any,
) -> Exercise:
    """Return an exercise of this lesson, with its hints and misconceptions."""
    told = {"hints": HINTS[function], "misconceptions": MISCONCEPTIONS[function], "forbidden": BY_HAND, **more}
    return Exercise(f"fused.{function}", points, reference, cases, signature, **told)


EXERCISES = (
    asked(
        "online_max_and_sum",
        2,
        max_and_sum,
        row_cases,
        "(z)",
        no_slope="The two numbers are parts of a loss; the loss in blocks is what is trained with.",
        work=Work(
            lambda generator, n: Case((normal(generator, n),)),
            vectorised=False,
            sizes=PIECES,
            of="logit",
            once=(1,),
            cache=8,
            largest=lambda n: n // 2,
            table=ROW,
        ),
    ),
    asked(
        "merge_max_and_sum",
        2,
        merged,
        part_cases,
        "(m1, d1, m2, d2)",
        no_slope="The two numbers are parts of a loss; the loss in blocks is what is trained with.",
    ),
    asked(
        "cross_entropy_in_blocks",
        3,
        in_blocks,
        block_cases,
        "(z, y, block)",
        gradient=True,
        work=in_pieces(columns, PIECE, "block", TABLE, once=(1,)),
        curve=LOSS_CURVE,
    ),
    asked(
        "cross_entropy_gradient_from",
        3,
        gradient_from,
        kept_cases,
        "(z, y, m, d)",
        forbidden=BY_FORMULA,
        no_slope="The answer is a gradient itself, from its formula.",
        curve=GRADIENT_CURVE,
    ),
    asked(
        "linear_cross_entropy_in_chunks",
        3,
        linear,
        hidden_cases,
        "(x, w, y, chunk)",
        gradient=True,
        atol=1e-5,
        why="A loss near 0 is a difference of logits of some tens, each rounded in its own last digit.",
        work=in_pieces(classes, SAMPLES * PIECE // 2, "chunk", LOGITS_TABLE, once=(2,)),
        curve=CHUNKED_CURVE,
    ),
    asked(
        "vocabulary_gradient_in_chunks",
        3,
        vocabulary_gradient,
        recomputed_cases,
        "(x, w, y, lse, chunk)",
        forbidden=BY_FORMULA,
        no_slope="The answer is a gradient itself, from its formula.",
        work=in_pieces(recomputed, SAMPLES * PIECE // 2, "chunk", LOGITS_TABLE),
    ),
    asked(
        "loss_and_gradient_bytes",
        2,
        traffic,
        table_cases,
        "(N, V, size)",
        rtol=1e-9,
        why="Bytes are counted: a number of them is right to the last digit.",
        forbidden=frozenset(),
    ),
    asked(
        "fused_python_sum",
        1,
        mean_from,
        reduced_cases,
        "(m, d, right)",
        number_too=RACED,
        no_slope=RACED,
        work=Work(reduced, vectorised=False),
    ),
    asked(
        "fused_torch_sum",
        1,
        mean_from,
        reduced_cases,
        "(m, d, right)",
        gradient=True,
        work=Work(reduced, vectorised=True),
    ),
    bound_exercise(
        "fused.predict_fused_seconds",
        Traffic(Array("m"), Array("d"), Array("right")),
        misconceptions=MISCONCEPTIONS["predict_fused_seconds"],
    ),
)
