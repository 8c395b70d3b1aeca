"""Every loss under everything that PyTorch does to a function: each cell equals PyTorch's own, in value and dtype.

The matrix is made from what ``lossbook.losses`` exports. A loss that is added there is in it without being named: its
arguments are those of a few kinds that PyTorch's loss of the same name accepts. Where PyTorch has none, they are the
card's, and the right outcome is that of the definition.
"""

import inspect
import itertools
import warnings
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from lossbook import cards, losses
from lossbook.cards import Draw

N, K = 4, 3
AT_MOST = 3  # sets of arguments for a loss
REDUCTIONS = ("mean", "none", "sum")
HALVES = (torch.float16, torch.bfloat16)


def kinds(seed):
    """Tensors of every kind that a loss may take, by name; another seed, other values."""
    torch.manual_seed(seed)
    return {
        "scores": torch.randn(N, K) * 2,
        "probabilities": torch.rand(N, K) * 0.8 + 0.1,
        "classes": torch.randint(K, (N,)),
    }


def required(name):
    return [p.name for p in inspect.signature(getattr(losses, name)).parameters.values() if p.default is p.empty]


def argument_sets(name):
    """Return up to ``AT_MOST`` tuples of arguments that PyTorch's loss accepts, each of other kinds; or the card's."""
    card = cards.of(name)
    if card.twin is None:
        return [card.inputs(Draw.seeded((N, K), torch.float32, seed)) for seed in range(AT_MOST)]
    found = []
    tables = [kinds(seed) for seed in range(len(required(name)))]
    for choice in itertools.product(*(table.items() for table in tables)):
        args = tuple(value for _, value in choice)
        try:
            value = card.twin(*args)
        except (RuntimeError, ValueError, TypeError):
            continue
        if value.isfinite().all() and args[0].is_floating_point():
            found.append(args)
    # The last ones first: those with classes, and with probabilities, for targets.
    return found[::-1][:AT_MOST]


def floating(args):
    return tuple(place for place, arg in enumerate(args) if arg.is_floating_point())


def with_leaves(args):
    return [arg.clone().requires_grad_() if arg.is_floating_point() else arg for arg in args]


def gradients(loss, args, create_graph=False):
    leaves = with_leaves(args)
    by = [leaves[place] for place in floating(args)]
    value = loss(*leaves)
    return torch.autograd.grad(value.sum(), by, create_graph=create_graph, allow_unused=True), by


def value(loss, args):
    return loss(*args)


def value_without_gradients(loss, args):
    with torch.no_grad():
        return loss(*with_leaves(args))


def value_in_inference_mode(loss, args):
    with torch.inference_mode():
        return loss(*args)


def gradient(loss, args):
    return gradients(loss, args)[0]


def second_derivatives(loss, args):
    """Each gradient's derivative by each argument: the mixed ones too."""
    first, by = gradients(loss, args, create_graph=True)
    found = []
    for slope in first:
        if slope is not None and slope.requires_grad:
            rows = torch.autograd.grad((slope * slope.detach()).sum(), by, retain_graph=True, allow_unused=True)
            found += [torch.zeros_like(x) if row is None else row for row, x in zip(rows, by, strict=True)]
        else:
            found += [torch.zeros_like(x) for x in by]
    return found


def scalar(loss):
    return lambda *args: loss(*args).sum()


def func_grad(loss, args):
    return torch.func.grad(scalar(loss), floating(args))(*args)


def func_vjp(loss, args):
    value, pull = torch.func.vjp(lambda x: loss(x, *args[1:]), args[0])
    return value, pull(torch.ones_like(value))


def func_jvp(loss, args):
    """Forward mode, along a direction in all the arguments that have one."""
    places = floating(args)

    def of_floating(*given):
        whole = list(args)
        for place, x in zip(places, given, strict=True):
            whole[place] = x
        return loss(*whole)

    primals = tuple(args[place] for place in places)
    return torch.func.jvp(
        of_floating, primals, tuple(torch.linspace(-1, 2, x.numel()).reshape(x.shape) for x in primals)
    )


def func_jvp_without_gradients(loss, args):
    with torch.no_grad():
        return func_jvp(loss, args)


def dual_numbers(loss, args):
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(args[0], torch.ones_like(args[0]))
        return torch.autograd.forward_ad.unpack_dual(loss(dual, *args[1:])).tangent


def jacfwd(loss, args):
    return torch.func.jacfwd(scalar(loss), floating(args))(*args)


def jacrev(loss, args):
    return torch.func.jacrev(loss)(*args)


def hessian(loss, args):
    return torch.func.hessian(scalar(loss), floating(args))(*args)


def hessian_reverse(loss, args):
    return torch.autograd.functional.hessian(lambda x: loss(x, *args[1:]).sum(), args[0])


def vmap(loss, args):
    return torch.vmap(loss)(*args)


def vmap_grad(loss, args):
    """Per-sample gradients, the standard recipe: over inputs and targets."""
    return torch.vmap(torch.func.grad(scalar(loss)))(*args)


def vmap_of_one_target(loss, args):
    return torch.vmap(loss, (0, *(None,) * (len(args) - 1)))(torch.stack([args[0], args[0].flip(0)]), *args[1:])


def vmap_over_a_last_dimension(loss, args):
    return torch.vmap(loss, in_dims=-1)(*(torch.stack([x, x.flip(0)], -1) for x in args))


def in_one_graph(function, **options):
    torch.compiler.reset()
    return torch.compile(function, backend="aot_eager", fullgraph=True, **options)


def uncompiled(function, **options):
    return function


def compile_value(loss, args, compiled):
    return compiled(loss)(*args)


def compile_value_without_gradients(loss, args, compiled):
    with torch.no_grad():
        return compiled(loss)(*args)


def compile_dynamic(loss, args, compiled):
    run = compiled(loss, dynamic=True)
    return run(*args), run(*(torch.cat([x, x.flip(0)]) for x in args))


def compile_gradient(loss, args, compiled):
    return gradients(compiled(loss), args)[0]


def compile_func_grad(loss, args, compiled):
    return compiled(torch.func.grad(scalar(loss), floating(args)))(*args)


def compile_vmap_grad(loss, args, compiled):
    return compiled(torch.vmap(torch.func.grad(scalar(loss))))(*args)


def compile_jvp(loss, args, compiled):
    return compiled(lambda x: torch.func.jvp(lambda x: loss(x, *args[1:]), (x,), (torch.ones_like(x),)))(args[0])


def compile_autocast(loss, args, compiled):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return compiled(loss)(*halved(args, torch.bfloat16))


def halved(args, dtype):
    return tuple(arg.to(dtype) if arg.is_floating_point() else arg for arg in args)


def autocast(dtype, mixed=False):
    def cell(loss, args):
        given = halved(args, dtype)
        if mixed:
            given = (given[0], *args[1:])
        leaves = with_leaves(given)
        with torch.autocast("cpu", dtype=dtype):
            result = loss(*leaves)
        return result, torch.autograd.grad(result.sum(), leaves[0])

    return cell


def in_dtype(dtype):
    return lambda loss, args: loss(*halved(args, dtype))


def traced_with_symbols(loss, args):
    return make_fx(lambda *given: loss(*given), tracing_mode="symbolic")(*args)(*args)


def meta(loss, args):
    made = loss(*(arg.to("meta") for arg in args))
    assert made.device.type == "meta"
    return torch.ones(made.shape, dtype=made.dtype)


def meta_in_half(loss, args):
    return meta(loss, halved(args, torch.float16))


def fake(loss, args):
    with FakeTensorMode() as mode:
        made = loss(*(mode.from_tensor(arg) for arg in args))
    return torch.ones(tuple(made.shape), dtype=made.dtype)


CELLS = {
    cell.__name__: cell
    for cell in (
        value, value_without_gradients, value_in_inference_mode, gradient, second_derivatives, func_grad, func_vjp,
        func_jvp, func_jvp_without_gradients, dual_numbers, jacfwd, jacrev, hessian, hessian_reverse, vmap, vmap_grad,
        vmap_of_one_target, vmap_over_a_last_dimension, compile_value, compile_value_without_gradients,
        compile_dynamic, compile_gradient, compile_func_grad, compile_vmap_grad, compile_jvp, compile_autocast, meta,
        meta_in_half, fake, traced_with_symbols,
    )
}  # fmt: skip
CELLS |= {f"autocast {dtype}": autocast(dtype) for dtype in HALVES}
CELLS |= {f"autocast {dtype}, mixed": autocast(dtype, mixed=True) for dtype in HALVES}
CELLS |= {f"in {dtype}": in_dtype(dtype) for dtype in (torch.float64, *HALVES)}
COMPILED = {name for name in CELLS if name.startswith("compile")}


def flat(result):
    return list(torch.utils._pytree.tree_leaves(result))


def tried(cell, loss, args):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return flat(cell(loss, args))
        except Exception as error:
            return error


def tolerance(dtype):
    return {torch.float16: 4e-3, torch.bfloat16: 3e-2}.get(dtype, 2e-5)


def problem(mine, theirs):
    """Say what is wrong with our outcome of a cell, given the right one; or nothing."""
    if isinstance(mine, Exception):
        return f"{type(mine).__name__}: {str(mine).splitlines()[0]}"
    if len(mine) != len(theirs):
        return f"{len(mine)} results, not {len(theirs)}"
    for a, b in zip(mine, theirs, strict=True):
        if a is None or b is None:
            if a is not b:
                return f"{a}, not {b}"
            continue
        if (a.shape, a.dtype) != (b.shape, b.dtype):
            return f"{tuple(a.shape)} {a.dtype}, not {tuple(b.shape)} {b.dtype}"
        if not torch.allclose(a.double(), b.double(), rtol=tolerance(b.dtype), atol=tolerance(b.dtype), equal_nan=True):
            return f"{a.tolist()}, not {b.tolist()}"
    return ""


def bound(function, options):
    return lambda *args: function(*args, **options)


def option_sets(cell):
    yield {}
    if cell not in COMPILED:
        yield from ({"reduction": reduction} for reduction in REDUCTIONS[1:])


def precisely(card):
    """Return a card's definition, computed in float64, in the dtype that it has in the arguments' own.

    Under autocast that is at least float32, as it is for every loss of PyTorch's.
    """

    def definition(*args, **options):
        wide = (arg.double() if arg.is_floating_point() else arg for arg in args)
        dtype = card.on_paper(*args, **options).dtype
        if dtype in HALVES and torch.is_autocast_enabled("cpu"):
            dtype = torch.float32
        return card.on_paper(*wide, **options).to(dtype)

    return definition


def right_outcome(name, cell, options, args):
    """What PyTorch's loss gives in a cell, uncompiled; or its definition, where there is none or it can't do that.

    PyTorch's ``gaussian_nll_loss`` reads values to refuse some, and so fails in a cell in which there are none to read.
    """
    run = partial(CELLS[cell], compiled=uncompiled) if cell in COMPILED else CELLS[cell]
    card = cards.of(name)
    theirs = tried(run, bound(card.twin, options), args) if card.twin else NotImplementedError()
    if isinstance(theirs, Exception):
        theirs = tried(run, bound(precisely(card), options), args)
    assert not isinstance(theirs, Exception), f"neither PyTorch's {name} nor its definition can do {cell}: {theirs}"
    return theirs


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("name", losses.__all__)
def test_cell_equals_pytorchs(name, cell):
    sets = argument_sets(name)
    assert sets, f"{name}: PyTorch's takes no arguments of these kinds; add the kind that it takes to kinds()"
    for args, options in itertools.product(sets[: 1 if cell in COMPILED else None], option_sets(cell)):
        run = partial(CELLS[cell], compiled=in_one_graph) if cell in COMPILED else CELLS[cell]
        mine = tried(run, bound(getattr(losses, name), options), args)
        wrong = problem(mine, right_outcome(name, cell, options, args))
        assert not wrong, f"{name} {options}, {[tuple(x.shape) for x in args]}: {wrong}"


# --- Options of other kinds than Python's -------------------------------------------------------------------------

NUMBERS = {
    "float": (
        np.float32(0.5), np.float64(0.5), np.float16(0.5), np.int64(1), np.bool_(True), True, 1,
        torch.tensor(0.5), torch.tensor(0.5, dtype=torch.float64), torch.tensor(1),
    ),
    "int": (np.int64(2), np.int32(2), np.uint8(2), np.array(2), torch.tensor(2), torch.tensor([2])),
}  # fmt: skip
NO_NUMBERS = {
    "float": ("1", None, 1j, np.array([0.5]), torch.tensor([0.5, 1.0]), torch.tensor(1j)),
    "int": ("2", None, 2.0, np.float64(2), torch.tensor(2.0), torch.tensor([1, 2]), np.bool_(True)),
}


def options_of(name, kind):
    parameters = inspect.signature(getattr(losses, name)).parameters.values()
    return [p.name for p in parameters if type(p.default).__name__ == kind]


NUMERIC = [(name, kind, option) for name in losses.__all__ for kind in NUMBERS for option in options_of(name, kind)]


@pytest.mark.parametrize(("name", "kind", "option"), NUMERIC)
def test_options_may_be_numbers_of_numpys_and_tensors_without_dimensions(name, kind, option):
    args = argument_sets(name)[0]
    both = getattr(losses, name), cards.of(name).held_against
    for number in NUMBERS[kind]:
        mine, theirs = (tried(value, bound(function, {option: number}), args) for function in both)
        assert not problem(mine, theirs), f"{option}={number!r}: {problem(mine, theirs)}"


@pytest.mark.parametrize(("name", "kind", "option"), NUMERIC)
def test_what_is_no_number_is_refused_by_name(name, kind, option):
    args = argument_sets(name)[0]
    for wrong in (*NO_NUMBERS[kind], torch.tensor(0.5, requires_grad=True)):
        with pytest.raises(TypeError, match=f"{option} is .*; it must be"):
            getattr(losses, name)(*args, **{option: wrong})


def test_a_compiled_loss_takes_numpys_numbers():
    x, y = torch.randn(5), torch.randn(5)
    torch.compiler.reset()
    compiled = torch.compile(lambda x, y, delta: losses.huber_loss(x, y, delta=delta), backend="aot_eager")
    for number in (np.float32(0.5), np.int64(1), torch.tensor(0.5)):
        torch.testing.assert_close(compiled(x, y, number), F.huber_loss(x, y, delta=float(number)))


def test_a_type_of_numpys_is_told_from_pythons():
    with pytest.raises(TypeError, match=r"full is a numpy\.bool"):
        losses.poisson_nll_loss(torch.ones(2), torch.ones(2), full=np.bool_(True))
