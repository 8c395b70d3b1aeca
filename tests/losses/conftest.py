"""What the tests of the losses share: how to compare one with PyTorch's, and the cases to compare on."""

import re
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import lossbook.losses

torch.set_num_threads(1)

NAMES = lossbook.losses.__all__
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
ULPS = 3.0
FORBIDDEN = re.compile(r"loss|cross_entropy|kl_div|nll|log_softmax|log_?sigmoid|softplus")


@pytest.fixture(params=DTYPES, ids=lambda dtype: str(dtype).removeprefix("torch."))
def dtype(request):
    return request.param


def ulps(mine, theirs, floor):
    """Largest difference, in units of the last place of ``theirs`` (of ``floor`` where that is larger).

    Below ``floor`` lie differences of larger terms: rounded there, not here.
    """
    same = (mine == theirs) | (mine.isnan() & theirs.isnan())
    if same.all():
        return 0.0
    info = torch.finfo(theirs.dtype)
    spacing = (theirs.double().abs().clamp(min=floor) * info.eps).clamp(min=info.tiny * info.eps)
    difference = ((mine.double() - theirs.double()).abs() / spacing).masked_fill(same, 0)
    return difference.nan_to_num(nan=float("inf")).max().item()


@pytest.fixture
def last_digits():
    return ulps


def outcome(function, args, grads, kwargs):
    """What a loss returns: its value, and its gradients by the arguments marked in ``grads``; or what it raises."""
    leaves = [arg.detach().clone().requires_grad_() if g else arg for arg, g in zip(args, grads, strict=True)]
    try:
        loss = function(*leaves, **kwargs)
        wanted = [leaf for leaf, g in zip(leaves, grads, strict=True) if g]
        if not wanted:
            return loss, ()
        incoming = torch.linspace(0.5, 1.5, loss.numel(), dtype=torch.float64).reshape(loss.shape).to(loss.dtype)
        return loss.detach(), torch.autograd.grad(loss, wanted, incoming, allow_unused=True)
    except Exception as error:
        return error, ()


def difference(mine, theirs, floor):
    """Say how two outcomes differ, or nothing."""
    (value, gradients), (expected, expected_gradients) = mine, theirs
    if isinstance(value, Exception) or isinstance(expected, Exception):
        agree = isinstance(expected, Exception) and isinstance(value, type(expected))
        return "" if agree else f"{value!r}, not {expected!r}"
    if len(gradients) != len(expected_gradients):
        return f"{len(gradients)} gradients, not {len(expected_gradients)}"
    pairs = zip((value, *gradients), (expected, *expected_gradients), strict=True)
    for n, (a, b) in enumerate(pairs):
        what = f"gradient {n}" if n else "value"
        if a is None or b is None:
            if a is not b:
                return f"{what} {a}, not {b}"
        elif (a.shape, a.dtype) != (b.shape, b.dtype):
            return f"{what} of {tuple(a.shape)} {a.dtype}, not {tuple(b.shape)} {b.dtype}"
        elif ulps(a, b, floor) > ULPS:
            return f"{what} {a.tolist()}, not {b.tolist()}: {ulps(a, b, floor):.1f} ulps"
    return ""


def compare(name, *args, grads=None, floor=0.0, namespace=lossbook.losses, **kwargs):
    """Say how a loss of ours differs from PyTorch's of the same name, or nothing."""
    grads = grads or (True,) + (False,) * (len(args) - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mine = outcome(getattr(namespace, name), args, grads, kwargs)
        theirs = outcome(getattr(F, name), args, grads, kwargs)
    return difference(mine, theirs, floor)


@pytest.fixture
def agrees():
    """Fail unless a loss of ours equals PyTorch's: value, gradients, shape, dtype; or both refuse."""

    def check(name, *args, **options):
        problem = compare(name, *args, **options)
        assert not problem, f"{name}{tuple(args)} {options}: {problem}"

    return check


@pytest.fixture
def both_refuse():
    """Fail unless PyTorch refuses, and ours raises the same class, naming the argument."""

    def check(name, argument, *args, **kwargs):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs, _ = outcome(getattr(F, name), args, (False,) * len(args), kwargs)
            mine, _ = outcome(getattr(lossbook.losses, name), args, (False,) * len(args), kwargs)
        assert isinstance(theirs, Exception), f"PyTorch accepts {name}{args} {kwargs}"
        # A thing that is no tensor fails in PyTorch by the way, for want of an attribute; ours says so.
        expected = TypeError if isinstance(theirs, AttributeError) else type(theirs)
        assert isinstance(mine, expected), f"{name}{args} {kwargs}: {mine!r}, not {theirs!r}"
        assert argument in str(mine)

    return check


class Watcher:
    """Records every PyTorch function and operation called inside it whose name is that of a loss."""

    def __init__(self):
        self.seen = []
        watcher = self

        class Functions(TorchFunctionMode):
            def __torch_function__(self, func, types, args=(), kwargs=None):
                watcher.note(getattr(func, "__name__", str(func)))
                return func(*args, **(kwargs or {}))

        class Operations(TorchDispatchMode):
            def __torch_dispatch__(self, func, types, args=(), kwargs=None):
                watcher.note(str(func))
                return func(*args, **(kwargs or {}))

        self.modes = (Functions(), Operations())

    def note(self, name):
        if FORBIDDEN.search(name):
            self.seen.append(name)

    def __enter__(self):
        for mode in self.modes:
            mode.__enter__()
        return self

    def __exit__(self, *error):
        for mode in reversed(self.modes):
            mode.__exit__(*error)


@pytest.fixture
def watcher():
    return Watcher


def all_cases():
    """Yield ``(name, args, grads, kwargs)``: every loss through every option, once, in float64, seldom more."""
    torch.manual_seed(0)
    f64 = torch.float64
    z, y_hat = torch.randn(6, 3, dtype=f64) * 3, torch.randn(6, 3, dtype=f64) * 2
    p, q, w = torch.rand(6, 3, dtype=f64), torch.rand(6, 3, dtype=f64), torch.rand(6, 3, dtype=f64)
    counts = torch.tensor([0.0, 1, 2, 3, 5, 8], dtype=f64)[:, None].expand(6, 3)
    both, one = (True, True), (True, False)

    for reduction in ("none", "mean", "sum"):
        r = {"reduction": reduction}
        for weight in (None, w):
            yield "mse_loss", (y_hat, z), both, {**r, "weight": weight}
            yield "l1_loss", (y_hat, z), both, {**r, "weight": weight}
            yield "huber_loss", (y_hat, z), both, {**r, "weight": weight, "delta": 0.7}
            yield "binary_cross_entropy", (p, q), both, {**r, "weight": weight}
            for pos_weight in (None, 3 * w[0]):
                options = {**r, "weight": weight, "pos_weight": pos_weight}
                yield "binary_cross_entropy_with_logits", (z, q), both, options
        for beta in (0.0, 0.7):
            yield "smooth_l1_loss", (y_hat, z), both, {**r, "beta": beta}
        for full in (False, True):
            for var in (w, w[:, 0], w[:, :1], w[:1]):
                yield "gaussian_nll_loss", (y_hat, z, var), (True, True, True), {**r, "full": full, "eps": 0.1}
            yield "gaussian_nll_loss", (y_hat, z), one, {**r, "full": full, "var": 0.3}
            yield "gaussian_nll_loss", (y_hat[None], z[None], w[None, :, 0]), (True, True, True), {**r, "full": full}
            yield "poisson_nll_loss", (z, counts), one, {**r, "full": full}
            yield "poisson_nll_loss", (p, counts), one, {**r, "full": full, "log_input": False, "eps": 0.1}
            yield "poisson_nll_loss", (p, counts + 0.5), both, {**r, "full": full}
        for log_target in (False, True):
            yield "kl_div", (z, q), both, {**r, "log_target": log_target}
        for shape, sizes in (((6, 3), (6,)), ((1, 3, 6), (1, 6)), ((2, 3, 3, 1), (2, 3, 1)), ((3,), ())):
            k = 0 if shape == (3,) else 1
            logits = z.flatten()[: torch.Size(shape).numel()].reshape(shape)
            log_p = logits - logits.logsumexp(k, keepdim=True)
            y = torch.tensor([0, 1, 2, 1, 1, 2])[: torch.Size(sizes).numel()].reshape(sizes)
            for weight in (None, w[0]):
                for ignore_index in (-100, 1):
                    options = {**r, "weight": weight, "ignore_index": ignore_index}
                    yield "nll_loss", (log_p, y), one, options
                    for smoothing in (0.0, 0.2):
                        yield "cross_entropy", (logits, y), one, {**options, "label_smoothing": smoothing}
                for smoothing in (0.0, 0.2):
                    options = {**r, "weight": weight, "label_smoothing": smoothing}
                    yield "cross_entropy", (logits, logits.sigmoid()), both, options

    yield "kl_div", (z, q), both, {"reduction": "batchmean"}
    yield "kl_div", (z[0, 0], q[0, 0]), both, {"reduction": "batchmean"}
    extreme = torch.tensor([[0.0, 1000, -1000], [1000, 1000, -1000]], dtype=f64)
    yield "cross_entropy", (extreme, torch.tensor([0, 2])), one, {"reduction": "none"}
    labels = torch.tensor([[0.0, 1, 0], [0, 0.5, 1]], dtype=f64)
    yield "binary_cross_entropy_with_logits", (extreme, labels), both, {"reduction": "none"}
    certain = torch.tensor([[0.0, 1, 0.3], [0, 1, 0]], dtype=f64)
    yield "binary_cross_entropy", (certain, labels), one, {"reduction": "none"}
    half = (y_hat[:, :2].to(torch.bfloat16), z[:, :2].to(torch.bfloat16))
    yield "huber_loss", half, both, {}
    yield "cross_entropy", (half[0], torch.tensor([0, 1, 1, 0, 1, 1])), one, {}


@pytest.fixture(scope="session")
def cases():
    return list(all_cases())


@pytest.fixture(scope="session")
def compare_with_torch():
    return compare
