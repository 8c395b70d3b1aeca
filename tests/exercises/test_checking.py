"""`check` finds what differs, says it, and never raises on a student's mistake."""

import math
import re
import sys
import time
import warnings
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from lossbook.checks.bounds import Array, Traffic, bound_exercise
from lossbook.checks.report import run
from lossbook.checks.trial import Other, attempt
from lossbook.exercises import check, exercise, exercises, ready

SOURCES = sorted((Path(__file__).parents[2] / "solutions").glob("*.md"))


def right_sigmoid(z):
    return 1 / (1 + torch.exp(-z))


def test_a_right_answer_wins_all_points(named):
    report = check(named("sigmoid", right_sigmoid))
    assert report.passed
    assert report.points == report.out_of == exercise("sigmoid").points
    assert type(report.points) is float
    assert repr(report).startswith("✓ sigmoid: all 6 cases agree")


def test_a_stub_is_not_attempted_and_says_so_in_one_line():
    def sigmoid(z):
        raise NotImplementedError

    report = check(sigmoid)
    assert (report.state, report.points, report.passed) == ("not attempted", 0.0, False)
    assert repr(report).count("\n") == 0


def test_a_wrong_answer_shows_input_got_and_expected(named):
    text = repr(check(named("sigmoid", lambda z: 1 - right_sigmoid(z))))
    assert "cases differ" in text
    assert "sigmoid([0, 1, -1])" in text
    assert "got      [0.5, 0.2689, 0.7311]" in text
    assert "expected [0.5, 0.7311, 0.2689]" in text


def test_a_small_difference_is_shown_to_enough_digits(named):
    text = repr(check(named("sigmoid", lambda z: right_sigmoid(z.double()) * 1.0002)))
    got, expected = re.findall(r"(?:got|expected) +\[(.+)\]", text)[:2]
    assert got != expected


def test_a_long_result_shows_where_it_first_differs(named):
    def wrong(z):
        p = right_sigmoid(z)
        if z.ndim == 2:
            p[2, 1] = 5
        return p

    assert "got at [2, 1]      5\n" in repr(check(named("sigmoid", wrong)))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda z: None, "does every way through the function end with return"),
        (lambda z: "half", "got a str"),
        (lambda z: right_sigmoid(z)[..., :1], "expected shape"),
        (lambda z: z.nothing, "AttributeError"),
        (lambda z: 1 / 0, "ZeroDivisionError"),
        (lambda: 0.5, "TypeError"),
        (lambda z: sys.exit(3), "SystemExit"),
        (lambda z: torch.full_like(z, float("nan")), "nan"),
        (lambda z: object(), "got a object"),
        (lambda z: [z, [z]], "got a list"),
        (lambda z: right_sigmoid(z) + 0.001, "expected"),
    ],
)
def test_a_mistake_is_reported_and_never_raised(named, wrong, said):
    report = check(named("sigmoid", wrong))
    assert report.state == "failed"
    assert report.points == 0
    assert said in repr(report)


@pytest.mark.parametrize(
    "thing", [None, 3, "sigmoid", right_sigmoid(torch.zeros(1)), torch.nn.Sigmoid, len, right_sigmoid]
)
def test_what_is_no_exercise_is_said_to_be_none(thing):
    report = check(thing)
    assert (report.state, report.points) == ("unknown", 0.0)
    assert repr(report).count("\n") == 0


def test_warnings_and_prints_are_forgiven(capfd):
    def sigmoid(z):
        warnings.warn("a harmless warning", stacklevel=1)
        print("a stray print")
        print("another", file=sys.stderr)
        return z.neg().exp_().add_(1).reciprocal_()

    assert check(sigmoid).passed
    assert capfd.readouterr() == ("", "")


def test_gradients_are_compared(named):
    def detached(p, y):
        return -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean().detach()

    assert "gradient" in repr(check(named("bce", detached)))


def test_a_result_in_float64_is_right_too(named):
    assert check(named("sigmoid", lambda z: right_sigmoid(z.double()))).passed
    assert check(named("decay_for_prior", lambda s, tau, n: torch.tensor(2 * (s / tau) ** 2 / n))).passed


def test_ready_says_which_function_comes_first(named, capsys):
    sigmoid = named("sigmoid", right_sigmoid)
    bce = named("bce", lambda p, y: 0)
    assert ready(sigmoid)
    assert capsys.readouterr().out == ""
    assert not ready(sigmoid, bce)
    assert capsys.readouterr().out == "This part appears when check(bce) passes.\n"


def test_an_unknown_exercise_is_a_clear_error():
    with pytest.raises(KeyError, match="function is 'sigmoyd'; it must be one of"):
        exercise("sigmoyd")


@pytest.mark.parametrize("name", sorted(exercises()))
def test_every_exercise_is_sound(named, name):
    """Its reference's values agree with themselves; it has points; its cases are not all one; it is quick.

    What an answer may call and how many steps it takes are left aside: the reference keeps to neither.
    """
    declared = exercise(name)
    values = replace(declared, forbidden=frozenset(), work=None)
    assert declared.points >= 1
    if declared.judge is None:
        answer = named(name, declared.reference)
        assert run(answer, values).passed  # the first also pays for what PyTorch imports
        start = time.process_time()
        run(answer, values)
        assert time.process_time() - start < 1
        cases = declared.cases(torch.Generator().manual_seed(1))
        counted = declared.score is not None and declared.work is not None  # a draw, and calls that are counted
        assert len(cases) >= (1 if counted else 3)
        assert not check(named(name, lambda *args, **kwargs: torch.tensor(0.123))).passed
    else:
        assert not check(named(name, lambda *args, **kwargs: None)).passed


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_every_lesson_has_four_to_seven_exercises_the_timing_exercise_and_an_open_task(source):
    headings = re.findall(r"^## \d+\. (.+)$", source.read_text(encoding="utf-8"), re.M)
    timing = [heading for heading in headings if heading.startswith("GPU timing")]
    place = f"solutions/{source.name}"
    assert len(timing) == 1, f"{place} has {len(timing)} exercises headed GPU timing; it must have one"
    opened = [heading for heading in headings if heading.startswith("Open task")]
    assert opened == headings[-1:], f"{place} must end with its one open task; it has {opened}"
    others = len(headings) - 2
    assert 4 <= others <= 7, f"{place} has {others} exercises beside the two; it must have four to seven"
    slug = source.stem.partition("-")[2]
    asked = [declared for declared in exercises().values() if declared.slug == slug]
    functions = [declared.function for declared in asked]
    for ending in ("_python_sum", "_torch_sum"):
        assert len([name for name in functions if name.endswith(ending)]) == 1
    assert any(declared.predictions for declared in asked)


def test_a_mode_left_on_or_an_interrupt_harms_nothing_afterwards(named):
    from torch.overrides import TorchFunctionMode
    from torch.utils._python_dispatch import TorchDispatchMode

    class Broken(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            raise RuntimeError("left on")

    def leaves_modes_on(z):
        TorchFunctionMode().__enter__()
        Broken().__enter__()
        raise KeyboardInterrupt

    assert "stopped by an interrupt" in check(named("sigmoid", leaves_modes_on)).message
    assert check(named("sigmoid", right_sigmoid)).passed
    assert torch.ones(2).sum() == 2


@pytest.mark.parametrize("number", [Fraction, Decimal])
def test_an_exact_number_is_a_number(number):
    assert attempt(lambda: number("0.375"), (), {}).value == 0.375
    asked = bound_exercise("x.predict_seconds", Traffic(Array("p"), Array("y")))
    report = run(named_as("predict_seconds", lambda n, bandwidth: Fraction(8 * n) / Fraction(bandwidth)), asked)
    assert report.passed, report


@pytest.mark.parametrize("value", [Fraction(10**400), Decimal("1e999"), Decimal("nan"), Decimal("sNaN")])
def test_an_exact_number_that_no_float_holds_is_no_crash(value):
    found = attempt(lambda: value, (), {})
    assert found.state == "returned"
    assert isinstance(found.value, Other) or not math.isfinite(found.value)


def named_as(name, function):
    function.__name__ = name
    return function


SCRIPT = """
def by_backward(z, y):
    x = z.detach().clone()
    x.requires_grad_()
    (torch.log(1 + torch.exp(x)) - y * x).mean().backward()
    g = x.grad
    assert g is not None
    return g

def by_grad(z, y):
    x = z.detach().clone()
    x.requires_grad_()
    return torch.autograd.grad([(torch.log(1 + torch.exp(x)) - y * x).mean()], [x])[0]
"""


def by_engine(z, y):
    x = z.detach().clone().requires_grad_()
    loss = (torch.log(1 + torch.exp(x)) - y * x).mean()
    run = torch.autograd.graph._engine_run_backward
    return run((loss,), (torch.ones(()),), False, False, (x,), False, accumulate_grad=False)[0]


@pytest.mark.parametrize("road", ["by_backward", "by_grad", by_engine])
def test_a_derivative_that_pytorch_takes_is_seen_whoever_asks_for_it(road):
    function = getattr(torch.jit.CompilationUnit(SCRIPT), road) if isinstance(road, str) else road
    z, y = torch.tensor([0.5, -1.0]), torch.tensor([1.0, 0.0])
    assert torch.allclose(function(z, y), (torch.sigmoid(z) - y) / 2)
    seen = attempt(lambda z, y: function(z, y), (z, y), {}, forbidden={"backward", "grad"})
    assert (seen.state, seen.called) == ("raised", ("backward",))
    assert attempt(lambda z, y: function(z, y), (z, y), {}, forbidden={"grad"}).called == ("grad",)


def test_forward_mode_is_no_backward():
    def gradient(z, y):
        return torch.func.jacfwd(lambda x: (torch.log(1 + torch.exp(x)) - y * x).mean())(z)

    z, y = torch.tensor([0.5, -1.0]), torch.tensor([1.0, 0.0])
    found = attempt(gradient, (z, y), {}, forbidden={"backward", "grad"})
    assert torch.allclose(found.value, (torch.sigmoid(z) - y) / 2)
