"""What `check` says is true and ends the search: where an error is, what helps, and what never ends."""

import contextlib
import math
import os
import re
import signal
import sys
import threading

import numpy as np
import pytest
import torch

from lossbook.checks import patience
from lossbook.checks.advice import ADVICE, advise
from lossbook.checks.report import run
from lossbook.checks.showing import show
from lossbook.checks.trial import PRINTED, Other, Printed, attempt
from lossbook.course import chapters
from lossbook.exercises import check, exercise, exercises, ready

Z = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
V = torch.tensor([1.0, 2.0, 3.0])
Y = torch.tensor([0, 1])
ONE = torch.tensor(2.0)


def leaf():
    return torch.ones(2, requires_grad=True)


def on_a_gpu():
    try:
        V.to("cuda:99")  # no machine has as many
    except (AssertionError, RuntimeError) as error:
        raise type(error)(*(error.args or ("Torch not compiled with CUDA enabled",))) from None


def changed_in_place():
    w = leaf()
    w += 1


def changed_what_the_gradient_needs():
    w = leaf().exp()
    w *= 2
    (w**2).sum().backward()
    x = leaf().exp()
    y = x**2
    x += 1
    y.sum().backward()


def before_it_is_given():
    if ONE < 0:
        total = 1
    return total


def without_return():
    ONE + 1


# Code that raises, and words of the advice that it gets.
ERRORS = {
    "if": (lambda: 1 if Z > 0 else 2, "torch.where"),
    "and": (lambda: (Z > 0) and (Z < 3), "torch.where"),
    "max of two": (lambda: max(V, 0 * V), "torch.maximum"),
    "math.exp": (lambda: math.exp(-Z), "torch.exp(z)"),
    "math.log": (lambda: math.log(V), "torch.exp(z)"),
    "float": (lambda: float(Z), "one number"),
    "item": (lambda: Z.item(), "one number"),
    "a tensor of tensors": (lambda: torch.tensor([V, V]), "torch.stack"),
    "max with a dimension": (lambda: Z - Z.max(1), ".values"),
    "exp of a max": (lambda: torch.exp(Z.max(1)), ".values"),
    "a max's method": (lambda: Z.max(1).sum(), ".values"),
    "min with a dimension": (lambda: Z + Z.min(dim=1), ".values"),
    "a power": (lambda: V ^ 2, "r ** 2"),
    "a power of a number": (lambda: 2.0 ^ 2, "r ** 2"),
    "conditions without brackets": (lambda: V > 0 & V < 3, "brackets"),
    "not of numbers": (lambda: ~V, "brackets"),
    "shapes": (lambda: V - torch.ones(2), "keepdim=True"),
    "a shape in place": (lambda: torch.ones(2).add_(torch.ones(3, 2)), "keepdim=True"),
    "a product": (lambda: Z @ V, "a @ b"),
    "a product of matrices": (lambda: torch.ones(2, 3) @ Z, "a @ b"),
    "two dtypes": (lambda: Z @ torch.ones(2, 2, dtype=torch.int64), "y.float()"),
    "an index of floats": (lambda: Z[torch.arange(2), Y.float()], "int64"),
    "gather of floats": (lambda: Z.gather(1, Y.float()[:, None]), "int64"),
    "one-hot of floats": (lambda: torch.nn.functional.one_hot(V), "int64"),
    "an index that is a float": (lambda: Z[0.5], "int64"),
    "a range of a float": (lambda: range(ONE), "int64"),
    "gather of a row": (lambda: Z.gather(1, Y), "y[:, None]"),
    "an index outside": (lambda: Z[:, 5], "outside the tensor"),
    "a dimension too many": (lambda: V.sum(1), "fewer dimensions"),
    "len of a number": (lambda: len(ONE), "one number"),
    "sum of a number": (lambda: sum(ONE), "one number"),
    "an index of a number": (lambda: ONE[0], "one number"),
    "cat of numbers": (lambda: torch.cat([ONE, ONE]), "one number"),
    "a leaf in place": (changed_in_place, "w.clone()"),
    "in place, and needed": (changed_what_the_gradient_needs, "Make a new one"),
    "NumPy": (lambda: leaf().numpy(), "NumPy knows no gradients"),
    "a function of NumPy's": (lambda: np.exp(leaf()), "NumPy knows no gradients"),
    "bfloat16 in NumPy": (lambda: V.bfloat16().numpy(), "no bfloat16"),
    "an argument missing": (lambda: (lambda a, b: 1)(2), "too few arguments"),
    "an argument too many": (lambda: (lambda a: 1)(2, 3), "does not take"),
    "an argument of another name": (lambda: (lambda a: 1)(b=3), "does not take"),
    "a name": (lambda: logg(2), "No such name"),  # noqa: F821
    "F": (lambda: F.relu(Z), "torch.nn.functional as F"),  # noqa: F821
    "a name too early": (before_it_is_given, "Give it a value first"),
    "None": (lambda: without_return() - ONE, "without `return`"),
    "None's shape": (lambda: without_return().shape, "without `return`"),
    "the log of a float": (lambda: torch.log(2.0), "math.log"),
    "the sum of a list": (lambda: torch.sum([1.0, 2.0]), "torch.tensor"),
    "a stack of floats": (lambda: torch.stack([1.0, 2.0]), "torch.tensor(numbers)"),
    "two arguments for three": (lambda: torch.where(V > 0, V), "Behind `got` stands"),
    "a number for a tensor": (lambda: torch.max(V, 0.0), "Behind `got` stands"),
    "a shape for a size": (lambda: V.sum() / V.size(), "all sizes at once"),
    "a shape as a number": (lambda: range(V.shape), "all sizes at once"),
    "a float's method": (lambda: (1.0).exp(), "no tensor any more"),
    "a list's method": (lambda: [1.0].sum(), "no tensor any more"),
    "a float's index": (lambda: Z.tolist()[0][0][0], "one plain number"),
    "brackets": (lambda: Z(1 - Z), "Is a `*` missing"),
    "a method not called": (lambda: Z.mean / 2, "put brackets behind it"),
    "a mean of integers": (lambda: Y.mean(), ".float()"),
    "truth values subtracted": (lambda: (V > 0) - (V < 2), ".float()"),
    "a view": (lambda: Z.T.view(-1), "reshape"),
    "a shape that does not fit": (lambda: V.view(-1, 2), "numel()"),
    "the log of 0": (lambda: math.log(0), "math.log"),
    "e^1000": (lambda: math.exp(1000), "too large"),
    "a division by 0": (lambda: 1 / (0 * len(V)), "divided by 0"),
    "no end": (lambda: (lambda f: f(f))(lambda f: f(f)), "without end"),
    "too few to unpack": (lambda: [a for a, b, c in [(1, 2)]], "another number of things"),
    "two things": (lambda: "a" - V, "cannot be combined"),
    "a GPU": (on_a_gpu, "needs a GPU"),
    "a module": (lambda: __import__("no_such_module"), "can be imported"),
}


@pytest.mark.parametrize("what", ERRORS)
def test_a_common_error_comes_with_advice(what):
    code, words = ERRORS[what]
    outcome = attempt(code, (), {})
    assert outcome.state == "raised"
    assert words in advise(outcome.error), outcome.error


def test_every_advice_is_given_for_an_error_that_is_really_raised():
    given = {advise(attempt(code, (), {}).error) for code, _ in ERRORS.values()}
    missing = [advice for _, advice in ADVICE if advice not in given]
    assert missing == [advise("does not require grad and does not have a grad_fn")]


def test_an_error_without_advice_has_none():
    assert advise("raised ValueError: something of the student's own") == ""


def test_an_error_has_its_line_and_is_told_once(named):
    def lanes_sum(x, lanes):
        total = x.new_zeros(lanes)
        for row in x.view(-1, lanes):
            total = total + row
        if total > 0:
            total = total[:1]
        return total.sum()

    first = lanes_sum.__code__.co_firstlineno
    text = repr(check(lanes_sum))
    assert f"in line {first + 4}: `if total > 0:`" in text
    assert text.count("Boolean value of Tensor") == 1
    assert re.search(r"The same in \d more cases?\.", text)
    assert "torch.where" in text
    html = check(lanes_sum)._repr_html_()
    assert html.count("Boolean value of Tensor") == 1
    assert "The same in" in html


def test_an_error_in_a_helper_names_the_helper():
    def helper(z):
        return z.nothing

    def sigmoid(z):
        return helper(z)

    line = helper.__code__.co_firstlineno + 1
    assert f"\n    in `helper`, line {line}: `return z.nothing`" in repr(check(sigmoid))


def test_a_long_line_is_cut():
    def sigmoid(z):
        return z.nothing + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1

    (line,) = re.findall(r"in line \d+: `(.*)`", repr(check(sigmoid)))
    assert len(line) == 80
    assert line.endswith("…")


def test_code_without_source_has_a_line_number_alone():
    names = {}
    exec("def sigmoid(z):\n    y = z\n    return y.nothing", names)
    assert "in line 3\n" in repr(check(names["sigmoid"]))


# What an unfinished lesson looks like.
LESSON = """
import torch

def sigmoid(z):
    "Return the probability."
    raise NotImplementedError

def bce_gradient(z, y):
    return (sigmoid(z) - y) / len(z)

def logsumexp(z):
    return z.amax(1)

def cross_entropy_index(z, y):
    return (logsumexp(z) - z[torch.arange(len(z)), y]).mean()
"""


@pytest.fixture
def lesson(tmp_path):
    path = tmp_path / "lesson.py"
    path.write_text(LESSON, encoding="utf-8")
    names = {"__name__": "lesson"}
    exec(compile(LESSON, str(path), "exec"), names)
    return names


def test_a_stub_that_is_called_is_named(lesson):
    report = check(lesson["bce_gradient"])
    assert report.state == "failed"
    assert report.message == "✗ bce_gradient: it calls `sigmoid`, which is not written yet."
    assert check(lesson["sigmoid"]).message == "○ sigmoid: not attempted yet (2 points)."


def test_a_helper_that_fails_its_own_check_is_named(lesson):
    report = check(lesson["cross_entropy_index"])
    assert report.note == "It calls `logsumexp`, which fails its own check: begin there, with `check(logsumexp)`."
    assert report.note in repr(report)
    assert "<code>check(logsumexp)</code>" in report._repr_html_()
    assert check(lesson["logsumexp"]).note == ""


def raise_above(z):
    raise NotImplementedError
    return 1 / (1 + torch.exp(-z))


def raise_below(z):
    1 / (1 + torch.exp(-z))
    raise NotImplementedError


def raise_in_a_branch(z):
    if z.ndim:
        return 1 / (1 + torch.exp(-z))
    raise NotImplementedError


@pytest.mark.parametrize("function", [raise_above, raise_below, raise_in_a_branch])
def test_a_raise_that_was_left_in_is_named(function):
    function.__name__ = "sigmoid"
    report = check(function)
    assert report.state == "failed"
    said = "✗ sigmoid: written, but `raise NotImplementedError` still stands in it: delete that line."
    assert report.message == said


@pytest.mark.parametrize("stub", ["raise NotImplementedError", "raise NotImplementedError()"])
@pytest.mark.parametrize("text", ["", '"""What it is."""; '])
def test_an_untouched_stub_is_not_attempted_even_without_its_source(stub, text):
    names = {}
    exec(f"def sigmoid(z): {text}{stub}", names)
    assert check(names["sigmoid"]).state == "not attempted"


def test_a_notimplementederror_of_pytorch_s_own_is_an_error():
    def sigmoid(z):
        return torch.distributions.Distribution(validate_args=False).sample() + z

    report = check(sigmoid)
    assert report.state == "failed"
    assert "raised NotImplementedError" in repr(report)


def test_what_is_printed_is_shown_with_the_first_call_that_fails():
    def sigmoid(z):
        print("z is", z.tolist())
        print("\x1b[2J\x07 <b>", file=sys.stderr)
        return z

    report = check(sigmoid)
    shown = repr(report)
    assert shown.count("The first of these calls printed:") == 1
    assert "z is [0.0, 1.0, -1.0]" in shown
    assert "\\x1b[2J\\x07 <b>" in shown
    assert "\x1b" not in shown + report._repr_html_()
    assert "&lt;b&gt;" in report._repr_html_()


def test_what_is_printed_is_cut_and_breaks_nothing():
    def sigmoid(z):
        print("x" * 10**6)
        for _ in range(1000):
            print("\ud800")
        return z

    report = check(sigmoid)
    assert len(repr(report)) < 3 * PRINTED
    repr(report).encode("utf-8")
    sink = Printed()
    assert sink.write("ab") == 2
    assert sink.text() == "ab"


def test_what_an_endless_answer_printed_is_shown(monkeypatch):
    monkeypatch.setattr(patience, "SECONDS", 0.05)

    def sigmoid(z):
        print("so far, so good")
        while True:
            pass

    assert "  It printed:\n    so far, so good" in repr(check(sigmoid))


def test_nothing_printed_says_nothing_of_it():
    assert "printed" not in repr(check(wrong_mse))


def wrong_mse(y_hat, y):
    return ((y_hat - y) ** 2).sum()


wrong_mse.__name__ = "mse"


def test_a_failing_case_can_be_had():
    report = check(wrong_mse)
    args, kwargs = report.case(0)
    assert kwargs == {}
    assert f"mse({show(args[0])}, {show(args[1])})" == report.failures[0].call
    with torch.no_grad():
        args[0].zero_()
    again = report.case(0).args[0]
    assert not torch.equal(args[0], again) or not again.any()
    assert report.case().args[0].data_ptr() != again.data_ptr()
    last = len(report.failures) - 1
    assert len(report.case(last).args) == 2
    for number in (last + 1, -1):
        with pytest.raises(IndexError, match=f"number is {number}; it must be 0 to {last}"):
            report.case(number)
    with pytest.raises(TypeError, match="number is 'first'; it must be an integer"):
        report.case("first")


def test_there_is_no_failing_case_where_none_failed(named):
    passed = check(named("mse", lambda y_hat, y: ((y_hat - y) ** 2).mean()))
    for report in (passed, check(print), check(wrong_mse.__class__)):
        with pytest.raises(IndexError, match="there is no case to return"):
            report.case(0)


# Calls that never end, some of which catch all that is raised in them.
def plain_loop(p, dtype):
    product = torch.ones(())
    while product > 0:
        pass
    return product


def loop_that_forgives(p, dtype):
    while True:
        try:
            torch.ones(3) + 1
        except:  # noqa: E722
            z = 3
            del z


def loop_that_forgives_twice(p, dtype):
    while True:
        try:
            try:
                torch.ones(3) + 1
            except BaseException:
                continue
        except BaseException as error:
            kept = error
            del kept


def loop_that_suppresses(p, dtype):
    while True:
        with contextlib.suppress(BaseException):
            torch.ones(3) + 1


def loop_with_finally(p, dtype):
    while True:
        try:
            torch.ones(3) + 1
        finally:
            continue  # noqa: B012


def endless_sum(p, dtype):
    return sum(1 for _ in iter(int, 1))


ENDLESS = [
    plain_loop,
    loop_that_forgives,
    loop_that_forgives_twice,
    loop_that_suppresses,
    loop_with_finally,
    endless_sum,
]


@pytest.mark.parametrize("function", ENDLESS, ids=lambda function: function.__name__)
def test_an_answer_that_never_ends_is_given_up(named, monkeypatch, function):
    monkeypatch.setattr(patience, "SECONDS", 0.05)
    before = signal.getsignal(signal.SIGVTALRM), sys.gettrace(), sys.getprofile()
    report = check(named("tosses_until_zero", function))
    assert report.state == "failed"
    lines = repr(report).splitlines()
    assert lines[0].startswith(
        "✗ tosses_until_zero: given up after 0.05 seconds of processor time, in tosses_until_zero(0.5, torch.float16), "
        + ("line " if function is endless_sum else f"in `{function.__name__}`, line ")
    )
    assert len(report.failures) == 1, "it is tried once"
    assert (signal.getsignal(signal.SIGVTALRM), sys.gettrace(), sys.getprofile()) == before
    assert signal.getitimer(signal.ITIMER_VIRTUAL)[0] == 0
    assert report.case(0).args == (0.5, torch.float16)


def test_steps_that_never_end_are_given_up_while_they_are_counted(named, monkeypatch):
    monkeypatch.setattr(patience, "SECONDS", 0.1)

    def endless_for_many(p, y):
        each = -(y * torch.log(p) + (1 - y) * torch.log(1 - p))
        while len(p) == 50:
            pass
        return sum(each) / len(each)

    assert "given up" in check(named("bce_python_sum", endless_for_many)).message


def test_an_interrupt_is_told_in_a_line_and_nothing_else_is_called(named):
    called = []

    def interrupted(z):
        called.append(z)
        os.kill(os.getpid(), signal.SIGINT)
        while True:
            pass

    report = check(named("sigmoid", interrupted))
    assert "\n\n  " not in repr(report).partition("check(")[0].rstrip()
    assert report.message.startswith(
        "✗ sigmoid: stopped by an interrupt, in sigmoid([0, 1, -1]), in `interrupted`, line "
    )
    assert len(called) == 1
    assert not ready(named("sigmoid", interrupted))


def test_an_interrupt_outside_the_answer_is_told_too(named, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("lossbook.checks.judging.judge", interrupt)
    report = check(named("sigmoid", lambda z: z))
    assert report.message == "✗ sigmoid: stopped by an interrupt before the check had ended."


def test_in_another_thread_it_is_checked_as_well(named):
    found = []
    thread = threading.Thread(
        target=lambda: found.append(check(named("mse", lambda y_hat, y: ((y_hat - y) ** 2).mean())))
    )
    thread.start()
    thread.join()
    assert found[0].passed


@contextlib.contextmanager
def default(dtype=None, device=None):
    before = torch.get_default_dtype()
    if dtype is not None:
        torch.set_default_dtype(dtype)
    if device is not None:
        torch.set_default_device(device)
    try:
        yield
        if dtype is not None:
            assert torch.get_default_dtype() == dtype
        if device is not None:
            assert str(torch.get_default_device()) == device
            assert str(torch.empty(0).device) == device
    finally:
        torch.set_default_dtype(before)
        torch.set_default_device(None)


@pytest.mark.parametrize(
    "settings",
    [{"dtype": torch.float64}, {"dtype": torch.bfloat16, "device": "meta"}],
    ids=str,
)
@pytest.mark.parametrize("slug", sorted({declared.slug for declared in exercises().values()}))
def test_defaults_that_were_set_change_no_verdict_and_are_given_back(named, solutions, settings, slug):
    import lossbook.checks.judging as judging

    row = next(path for path in ROWS if path.endswith(slug))
    right = solutions(row)
    for cached in (judging.calls, judging.expected, judging.mistaken):
        cached.cache_clear()
    with default(**settings):
        for name, declared in exercises().items():
            if declared.slug != slug:
                continue
            assert check(right[name]).passed, name
            report = check(named(name, lambda *args: None))
            assert report.state == "failed"
            repr(report), report._repr_html_()
    for cached in (judging.calls, judging.expected, judging.mistaken):
        cached.cache_clear()


ROWS = tuple(chapter.row for chapter in chapters())


def test_what_is_loaded_under_other_defaults_is_the_course_s():
    """A student may set a default before the first check, when the exercises are not yet loaded."""
    import subprocess

    code = (
        "import torch; torch.set_default_dtype(torch.float64); torch.set_default_device('meta')\n"
        "from lossbook.exercises import check\n"
        "def mse(y_hat, y): return ((y_hat - y) ** 2).mean()\n"
        "def nll_by_index(log_p, y): return -log_p.gather(1, y[:, None]).mean()\n"
        "print(check(mse).passed, check(nll_by_index).passed)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True True\n"


def test_a_default_device_that_is_not_there_does_no_harm(named):
    missing = "cuda:7" if not torch.cuda.is_available() else "meta"
    torch.set_default_device(missing)
    try:
        assert check(named("mse", lambda y_hat, y: ((y_hat - y) ** 2).mean())).passed
        assert str(torch._GLOBAL_DEVICE_CONTEXT.device_context.device) == missing
    finally:
        torch.set_default_device(None)


def test_a_device_set_by_with_does_no_harm(solutions, named):
    right = solutions("07-summation")
    with torch.device("meta"):
        assert all(check(right[name]).passed for name in ("lanes_sum", "summation_torch_sum", "compensated_sum_loop"))
        assert torch.empty(0).device.type == "meta"


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_it_may_be_called_where_no_gradients_are_kept(named, mode):
    with mode():
        assert check(named("mse", lambda y_hat, y: ((y_hat - y) ** 2).mean())).passed


@pytest.mark.parametrize(
    ("name", "function", "said"),
    [
        (
            "bce_gradient",
            lambda z, y: torch.autograd.grad((y * z).mean(), z.requires_grad_())[0],
            "called grad, which may not be called here",
        ),
        (
            "merge_max_and_sum",
            lambda m1, d1, m2, d2: (m1.max(), d1),
            "got 2 tensors of the shapes (), (7,), expected 2 tensors of the shapes (7,), (7,)",
        ),
        ("mse", lambda a, y: (a**2 - 2 * a * y + y**2).mean(), "mse([10000, 20000], [10000.5, 19999])"),
        ("sigmoid", lambda z: {"p": z}, "got a dict, expected"),
    ],
)
def test_a_message_is_true(named, name, function, said):
    report = check(named(name, function))
    assert report.state == "failed"
    assert any(said in text for failure in report.failures for text in (failure.reason, failure.call))
    assert "Other(" not in repr(report)


def test_an_error_whose_first_line_breaks_off_is_told_to_its_end():
    outcome = attempt(lambda: torch.where(V > 0, V), (), {})
    assert outcome.error.endswith("invalid combination of arguments - got (Tensor, Tensor)")


def in_two_parts(y):
    return y.mean(), ((y - y.mean()) ** 2).mean()


@pytest.mark.parametrize(
    ("name", "function", "said", "unsaid"),
    [
        ("map_of_mean", lambda y, s, t: float(y.sum()), "got a float; return a tensor", "without"),
        ("pairwise_sum", lambda x: sum(x.tolist(), 0.0), "`float` and the functions of `math`", "without"),
        ("pairwise_sum", lambda x: x.numpy()[0], "got a NumPy number; return a tensor", "`math`"),
        ("best_constant_squares", in_two_parts, "got a tuple of tensors; return one tensor, of shape ()", "stack"),
        ("kl_entropy", lambda q: [row.sum() for row in q], "`torch.stack` puts tensors together", "()"),
        ("bce", lambda p, y: p, "got shape (2,), expected shape (), one number", "(), (), "),
        ("kl_entropy", lambda q: q, "expected shape (2,)", "one number"),
    ],
)
def test_what_kind_of_thing_is_wanted_is_said_and_nothing_that_was_not_done(named, name, function, said, unsaid):
    reasons = [failure.reason for failure in check(named(name, function)).failures]
    assert any(said in reason for reason in reasons), reasons
    assert not any(unsaid in reason for reason in reasons), reasons


def test_a_branch_without_return_is_asked_for(named):
    def one_branch(mu, y, lr, reduction):
        if reduction == "sum":
            return mu - lr * (mu - y).sum()

    assert "does every way through the function end with return?" in repr(check(named("recipe_sgd_step", one_branch)))


def test_a_lambda_is_told_that_it_has_no_name():
    text = repr(check(lambda p, y: p))
    assert "a lambda has no name" in text
    assert "`def`" in text


def chosen_late(z, y):
    return (torch.where(z > 50, z, torch.log(1 + torch.exp(z))) - y * z).mean()


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("bce_with_logits", chosen_late),
        ("kl_each", lambda log_p, q: torch.where(q > 0, q * torch.log(q / log_p.exp()), 0.0).sum(1)),
    ],
)
def test_a_gradient_of_nan_comes_with_what_it_often_comes_from(named, name, function):
    assert "a branch that `torch.where` leaves out" in repr(check(named(name, function)))


def test_another_wrong_gradient_comes_without_it(named):
    text = repr(check(named("bce_with_logits", lambda z, y: chosen_late(z.clamp(-45, 45), y))))
    assert "torch.where" not in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.26894143, "0.2689"),
        (10000.5, "10000.5"),
        (1 - 2**-20, "0.99999905"),
        (torch.tensor([1 / 3, 1e4, 1e-9]), "[0.3333, 10000, 1e-09]"),
        (19999.0, "19999"),
        (-0.0, "-0"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (3.35e12, "3.35e+12"),
        (Other("a str, 'half'"), "'half'"),
        ([Other("a str, 'half'"), Other("a set")], "['half', a set]"),
    ],
)
def test_a_number_is_shown_short_and_never_rounder_than_it_is(value, text):
    assert show(value) == text


def kahan_without_adding(x):
    total, lost = x.new_zeros(()), x.new_zeros(())
    for term in x:
        new = total + term
        lost = (total - new) + term if total.abs() >= term.abs() else (term - new) + total
        total = new
    return total + lost


def one_by_one(x):
    total = x.new_zeros(())
    for term in x:
        total = total + term
    return total


def in_numbers(x):
    total = 0.0
    for term in x.tolist():
        total += term
    return torch.tensor(total, dtype=torch.float32).to(x.dtype)


def each(p, y):
    return -(y * torch.log(p) + (1 - y) * torch.log(1 - p))


def in_two_halves(z):
    small = torch.exp(-z.abs())
    return torch.where(z >= 0, 1 / (1 + small), small / (1 + small))


def exchanged(z, v, y, T, a):
    soft = torch.nn.functional.kl_div((v / T).log_softmax(1), (z / T).softmax(1), reduction="batchmean")
    return (1 - a) * torch.nn.functional.cross_entropy(z, y) + a * T**2 * soft


# What a misconception is called depends on what was done, where numbers alone do not tell.
TOLD = {
    "fsum": ("bce_python_sum", lambda p, y: math.fsum(each(p, y).tolist()) / len(p), "`math.fsum` for Python's sum"),
    "torch.sum": ("bce_python_sum", lambda p, y: each(p, y).sum() / len(p), "torch.sum for Python's sum"),
    "NumPy": ("bce_python_sum", lambda p, y: each(p, y).numpy().sum() / len(p), None),
    "the mean": ("bce_python_sum", lambda p, y: each(p, y).mean(), None),
    "Python's sum": ("bce_torch_sum", lambda p, y: sum(each(p, y)) / len(p), "Python's sum for torch.sum"),
    "a loop": ("bce_torch_sum", lambda p, y: one_by_one(each(p, y)) / len(p), None),
    "= for +=": ("compensated_sum_loop", kahan_without_adding, "what was lost computed, and lost again"),
    "a total": ("compensated_sum_loop", one_by_one, "a running total alone"),
    "sorted": ("compensated_sum_loop", lambda x: one_by_one(x[x.abs().argsort()]), "the numbers sorted first"),
    "sorted for nothing": ("compensated_sum_loop", lambda x: one_by_one(x.abs().sort()[0] * 0 + x), None),
    "a sigmoid of one's own": (
        "bce_with_logits",
        lambda z, y: each(in_two_halves(z), y).mean(),
        "a probability formed first",
    ),
    "PyTorch's sigmoid": ("bce_with_logits", lambda z, y: each(z.sigmoid(), y).mean(), "a probability formed first"),
    "a divergence the other way": ("kl_distillation", exchanged, "student and teacher exchanged in the divergence"),
    "nan in the gradient alone": ("bce_with_logits", chosen_late, None),
    "Python's numbers": ("compensated_sum_loop", in_numbers, None),
}


@pytest.mark.parametrize("what", TOLD)
def test_a_misconception_is_named_where_it_surely_is_that_one(named, what):
    name, function, misconception = TOLD[what]
    report = check(named(name, function))
    assert report.state == "failed"
    assert report.misconception == misconception


def test_the_report_of_a_reference_is_no_student_s():
    """`run` alone compares; what may be called by whom is a matter of `check`."""
    assert run(exercise("mse").reference, exercise("mse")).passed
