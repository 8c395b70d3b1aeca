"""What holds for every loss: its signature, its independence of PyTorch's losses, and that a wrong sign is caught."""

import ast
import copy
import importlib.util
import inspect
import sys
import types
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import lossbook.losses

MODULES = ("weighting", "arguments", "recipe", "mse", "bce", "multiclass", "nll", "kl")
EXPECTED = {
    "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "gaussian_nll_loss", "binary_cross_entropy",
    "binary_cross_entropy_with_logits", "cross_entropy", "nll_loss", "poisson_nll_loss", "kl_div",
}  # fmt: skip


def test_exports_are_pytorchs_names():
    assert set(lossbook.losses.__all__) == EXPECTED
    assert len(lossbook.losses.__all__) == len(EXPECTED)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_signature_is_pytorchs_without_the_deprecated(name):
    def parameters(function):
        return [
            (p.name, p.default, p.kind)
            for p in inspect.signature(function).parameters.values()
            if p.name not in ("size_average", "reduce")
        ]

    assert parameters(getattr(lossbook.losses, name)) == parameters(getattr(F, name))


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_docstring_has_its_sections(name):
    function = getattr(lossbook.losses, name)
    doc = inspect.getdoc(function)
    for section in (".. math::", "Args:", "Returns:", "Raises:", "Source:", "shape ``("):
        assert section in doc, section
    for argument in inspect.signature(function).parameters:
        assert f"\n    {argument}: " in doc, argument


# What PyTorch's loss of logits rounds, of terms as large as this that cancel; ours are then the more precise.
FLOOR = 4.0


def test_equal_on_every_option(cases, compare_with_torch):
    for name, args, grads, kwargs in cases:
        problem = compare_with_torch(name, *args, grads=grads, floor=FLOOR, **kwargs)
        assert not problem, f"{name} {kwargs}: {problem}"


def run(function, args, grads, kwargs):
    leaves = [arg.detach().clone().requires_grad_(g) for arg, g in zip(args, grads, strict=True)]
    function(*leaves, **kwargs).sum().backward()


@pytest.mark.filterwarnings("ignore")
def test_no_loss_of_pytorchs_is_called(cases, watcher):
    for name, args, grads, kwargs in cases:
        with watcher() as seen:
            run(getattr(lossbook.losses, name), args, grads, kwargs)
        assert not seen.seen, f"{name} {kwargs} calls {seen.seen}"


@pytest.mark.filterwarnings("ignore")
def test_the_watcher_sees_each_loss_of_pytorchs(cases, watcher):
    for name, args, grads, kwargs in {case[0]: case for case in cases}.values():
        with watcher() as seen:
            run(getattr(F, name), args, grads, kwargs)
        assert name in seen.seen, name
    for call in (
        lambda x: torch.nn.MSELoss()(x, x),
        lambda x: torch.ops.aten.mse_loss(x, x),
        lambda x: F.log_softmax(x, 0),
        F.logsigmoid,
        F.softplus,
    ):
        with watcher() as seen:
            call(torch.rand(3))
        assert seen.seen


def test_the_watcher_sees_a_backward(watcher):
    x = torch.rand(3, requires_grad=True)
    loss = F.mse_loss(x, torch.zeros(3))
    with watcher() as seen:
        loss.backward()
    assert any("mse_loss_backward" in name for name in seen.seen)


# --- A flipped sign is caught -------------------------------------------------------------------------------------

FLIPS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.USub: ast.UAdd}

# Mutants that live, each with the reason that it may: (module, function, the line as mutated).
SURVIVORS: dict[tuple[str, str, str], str] = {}


def signs(tree):
    """Yield the function and the node of every sign in the body of a function."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for statement in function.body:
                for node in ast.walk(statement):
                    if isinstance(node, ast.BinOp | ast.UnaryOp) and type(node.op) in FLIPS:
                        yield function.name, node


def load(trees):
    """Execute the modules, in which one is a mutant, as a package of their own."""
    names = [f"lossbook.losses.{module}" for module in MODULES]
    saved = {name: sys.modules.get(name) for name in names}
    namespace = types.SimpleNamespace()
    try:
        for module, name in zip(MODULES, names, strict=True):
            sys.modules[name] = types.ModuleType(name)
            exec(compile(trees[module], name, "exec"), sys.modules[name].__dict__)
            vars(namespace).update(vars(sys.modules[name]))
    finally:
        sys.modules.update(saved)
    return namespace


def curvature_at_the_ends(namespace):
    """Return the second derivatives at probabilities of 0 and 1, where PyTorch's are 0 and the truth is 1."""
    p = torch.tensor([0.0, 1.0], dtype=torch.float64, requires_grad=True)
    loss = namespace.binary_cross_entropy(p, p.detach(), reduction="sum")
    (slope,) = torch.autograd.grad(loss, p, create_graph=True)
    return torch.autograd.grad(slope.sum(), p)[0]


def baselines_differ(namespace):
    """Say whether what PyTorch has no function for is wrong."""
    y = torch.tensor([0.0, 1, 1, 1], dtype=torch.float64)
    z = torch.tensor([[1.0, 3, 2], [0, 1000, 5]], dtype=torch.float64)
    pairs = (
        (namespace.negative_log_likelihood(y), -y.mean()),
        (namespace.best_constant_mse(y), y.var(correction=0)),
        (namespace.best_constant_bce(y), F.binary_cross_entropy(y.mean().expand(4), y)),
        (namespace.best_constant_cross_entropy(y.long(), 2).double(), F.binary_cross_entropy(y.mean().expand(4), y)),
        (curvature_at_the_ends(namespace), torch.ones(2, dtype=torch.float64)),
        (namespace.logsumexp(z, 1), z.logsumexp(1, keepdim=True)),
    )
    return not all(torch.allclose(a, b, atol=1e-6) for a, b in pairs)


def refusals_differ(namespace, compare):
    """Say whether what is refused has changed."""
    z, y = torch.rand(4, 3), torch.tensor([0, 1, 2, 0])
    pairs = (
        ("nll_loss", (z, torch.tensor([0, 1, 2, -1])), {}),
        ("nll_loss", (z, torch.tensor([0, 1, 2, 3])), {}),
        ("nll_loss", (z, y), {"weight": torch.ones(2)}),
        ("nll_loss", (z[None].mT, y[None, :3]), {}),
        ("gaussian_nll_loss", (z, z, torch.rand(3)), {}),
        ("gaussian_nll_loss", (z, z, -z), {}),
    )
    return any(compare(name, *args, namespace=namespace, **kwargs) for name, args, kwargs in pairs)


def is_caught(trees, cases, compare):
    namespace = load(trees)
    try:
        if baselines_differ(namespace) or refusals_differ(namespace, compare):
            return True
    except Exception:
        return True
    return any(
        compare(name, *args, grads=grads, floor=FLOOR, namespace=namespace, **kwargs)
        for name, args, grads, kwargs in cases
    )


def test_a_flipped_sign_is_caught(cases, compare_with_torch):
    folder = Path(importlib.util.find_spec("lossbook.losses").origin).parent
    trees = {module: ast.parse((folder / f"{module}.py").read_text(encoding="utf-8")) for module in MODULES}
    assert not is_caught(trees, cases, compare_with_torch), "the losses themselves fail the comparison"

    flipped, alive = 0, set()
    for module in MODULES:
        mutant = copy.deepcopy(trees[module])
        for function, node in signs(mutant):
            sign = node.op
            node.op = FLIPS[type(sign)]()
            if not is_caught({**trees, module: mutant}, cases, compare_with_torch):
                alive.add((module, function, ast.unparse(node)))
            node.op = sign
            flipped += 1
    assert flipped >= 50
    assert alive == set(SURVIVORS)
