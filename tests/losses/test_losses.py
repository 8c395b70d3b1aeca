"""What holds for every loss: its signature, its independence of PyTorch's losses, and that a wrong sign is caught."""

import ast
import copy
import importlib.util
import inspect
import sys
import types
from dataclasses import replace
from pathlib import Path

import mpmath
import pytest
import torch
import torch.nn.functional as F

from lossbook import cards, losses
from lossbook.cards import Card, Case, Draw, Hard, Limit, Trial
from lossbook.stability import entries_of, judge, judge_gradient
from lossbook.stability.picture import MARKS

NAMES = sorted(losses.__all__)
REDUCTIONS = ("none", "mean", "sum")


# --- Exports, cards and chapters ----------------------------------------------------------------------------------


def disagreements(exported, of_chapters, others):
    """Return where exports, cards and `course.toml` differ, each with the path to edit.

    Args:
        exported: The module of each public loss, by its name.
        of_chapters: The chapters with their cards.
        others: The functions with symbols of their own, which are no losses.

    """
    carded = {card.name for _, mine in of_chapters for card in mine}
    listed = {name for chapter, _ in of_chapters for name in chapter.losses}
    found = [f"{name} has no card: write it in {cards.path(exported[name])}" for name in sorted({*exported} - carded)]
    found += [f"{name} is in no chapter: name it in course.toml" for name in sorted({*exported} - listed)]
    for chapter, mine in of_chapters:
        path = cards.path(chapter.slug)
        for card in mine:
            if card.name not in exported and "." not in card.name:
                found.append(f"{path}: {card.name} is not exported by src/lossbook/losses/__init__.py")
            if card.name not in chapter.losses:
                found.append(f"{path}: {card.name} is not a loss of that chapter in course.toml")
        found += [
            f"course.toml: {name} has no card: write it in {path}"
            for name in chapter.losses
            if name not in carded and name not in exported and name not in others
        ]
    return found


def public():
    return {name: getattr(losses, name).__module__.rpartition(".")[2] for name in losses.__all__}


def the_course():
    return [(chapter, mine) for chapter, (mine, _) in cards.by_chapter().items()]


def test_exports_cards_and_chapters_agree():
    assert len(set(losses.__all__)) == len(losses.__all__)
    assert disagreements(public(), the_course(), cards.symbols()) == []


def test_what_is_missing_is_named_with_its_path():
    exported = public()
    assert disagreements({**exported, "hinge": "margin"}, the_course(), cards.symbols()) == [
        "hinge has no card: write it in src/lossbook/cards/margin.py",
        "hinge is in no chapter: name it in course.toml",
    ]
    del exported["kl_div"]
    assert disagreements(exported, the_course(), cards.symbols()) == [
        "src/lossbook/cards/kl.py: kl_div is not exported by src/lossbook/losses/__init__.py"
    ]
    elsewhere = [
        (replace(chapter, losses=()) if chapter.slug == "bce" else chapter, mine) for chapter, mine in the_course()
    ]
    told = disagreements(public(), elsewhere, cards.symbols())
    assert "src/lossbook/cards/bce.py: binary_cross_entropy is not a loss of that chapter in course.toml" in told
    assert "course.toml: pairwise_sum has no card: write it in src/lossbook/cards/summation.py" in disagreements(
        public(), the_course(), {}
    )


def test_a_public_loss_without_a_card_is_refused_by_its_path(monkeypatch):
    def hinge_loss():
        """A loss."""

    hinge_loss.__module__ = "lossbook.losses.margin"
    monkeypatch.setattr(losses, "hinge_loss", hinge_loss, raising=False)
    with pytest.raises(LookupError, match=r"hinge_loss has no card: write it in src/lossbook/cards/margin\.py"):
        cards.of("hinge_loss")


@pytest.mark.parametrize("name", NAMES)
def test_the_card_is_of_this_loss_and_of_pytorchs(name):
    card = cards.of(name)
    assert card.loss is getattr(losses, name)
    assert card.twin is getattr(F, name, None), f"the twin of {name} must be PyTorch's function of that name, if any"
    assert card.hard, f"{name} has no input that is hard for it"
    assert card.limit.why or card.limit.times <= Limit().times, f"{name} may move more than others, for no reason"


@pytest.mark.parametrize("name", NAMES)
def test_signature_is_pytorchs_without_the_deprecated(name):
    def parameters(function):
        return [
            (p.name, p.default, p.kind)
            for p in inspect.signature(function).parameters.values()
            if p.name not in ("size_average", "reduce")
        ]

    mine = parameters(getattr(losses, name))
    if cards.of(name).twin is None:
        assert ("reduction", "mean") in [(parameter, default) for parameter, default, _ in mine]
    else:
        assert mine == parameters(getattr(F, name))


@pytest.mark.parametrize("name", NAMES)
def test_docstring_has_its_sections(name):
    function = getattr(losses, name)
    doc = inspect.getdoc(function)
    for section in (".. math::", "Args:", "Returns:", "Raises:", "Source:", "shape ``("):
        assert section in doc, section
    for argument in inspect.signature(function).parameters:
        assert f"\n    {argument}: " in doc, argument


# --- Equal to the twin, to the definition, and to the exact value -------------------------------------------------


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_equal_on_every_option(name, unlike_twin):
    assert unlike_twin(cards.of(name)) == []


def on_paper(card):
    """Return the sets of options, of those that are tried, that the definition knows: none, first."""
    known = {p.name for p in inspect.signature(card.definition).parameters.values() if p.default is not p.empty}
    draw = Draw.seeded((6, 3) if card.kind != "vocabulary" else (6, 2, 5), torch.float64, 0)
    sets = [{}]
    for trial in card.trials(draw):
        given = {key: value for key, value in trial.options.items() if key in known and not torch.is_tensor(value)}
        sets += [given] if given not in sets else []
    return sets


def unlike_definition(card):
    """Return how a card's loss differs from its definition on the usual arguments, reduced in every way."""
    found = []
    size = {"elements": (7, 3), "classes": (7, 3), "vocabulary": (7, 2, 5)}[card.kind]
    args = card.inputs(Draw.seeded(size, torch.float64, 1))
    for options in on_paper(card):
        for reduction in dict.fromkeys((*REDUCTIONS, card.options.get("reduction", "mean"))):
            both = []
            for loss in (card.loss, card.on_paper):
                leaves = [arg.clone().requires_grad_(k < card.differentiated) for k, arg in enumerate(args)]
                value = loss(*leaves, reduction=reduction, **options)
                both.append([value, *torch.autograd.grad(value.sum(), leaves[: card.differentiated])])
            for what, mine, theirs in zip(("value", *["gradient"] * card.differentiated), *both, strict=True):
                if options and what == "gradient" and theirs.isnan().any():
                    continue  # a branch that is not taken divides by an option of 0, on paper
                if mine.shape != theirs.shape or not torch.allclose(mine, theirs, rtol=1e-9, atol=1e-12):
                    found.append(f"{card.name} {options}, {reduction}: {what} {mine.tolist()}, not {theirs.tolist()}")
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", cards.every())
def test_equal_to_the_definition(name):
    card = cards.every()[name]
    assert unlike_definition(card) == []


def unlike_exact(card):
    """Return how a card's loss differs from the exact value at the hard inputs, in float64, but where it says so."""
    found = []
    for entry in entries_of("", card):
        for case in entry.cases:
            x = torch.tensor(case.input, dtype=torch.float64, requires_grad=True)
            value = entry.ours(x, torch.tensor(case.target, dtype=torch.float64), case.option)
            (gradient,) = torch.autograd.grad(value, x)
            true, slopes = entry.truth(case.input, case.target, case.option)
            verdicts = (
                judge(value.item(), true, x.dtype, bound=entry.bound),
                judge_gradient(gradient.tolist(), slopes, x.dtype),
            )
            marks = "".join(MARKS[verdict][0] for verdict in verdicts)
            if marks != (case.misses or "∙∙")[:2]:
                found.append(f"{entry.name}, {case.label}: {marks} ({value.item()}, and the truth is {float(true)})")
    return found


@pytest.mark.parametrize("name", NAMES)
def test_equal_to_the_exact_value(name):
    assert unlike_exact(cards.of(name)) == []


def soft_margin_card(loss):
    """A card of PyTorch's soft margin loss, which the course does not have."""

    def soft_margin_loss(z, y):
        return torch.log(1 + torch.exp(-y * z))

    def trials(draw):
        for reduction in REDUCTIONS:
            yield Trial((draw.normal(), 2 * draw.labels() - 1), {"reduction": reduction})

    def exact(x, y, option):
        tail = mpmath.exp(-y[0] * x[0])
        return mpmath.log1p(tail), [-y[0] * tail / (1 + tail)]

    hard = Hard(paper="log(1 + exp(−yz))", exact=exact, cases=(Case("z = 1, y = −1", (1.0,), (-1.0,)),))
    return Card(
        name="soft_margin_loss", loss=loss, definition=soft_margin_loss, twin=F.soft_margin_loss, kind="elements",
        inputs=lambda draw: (draw.normal(), 2 * draw.labels() - 1), trials=trials, hard=(hard,), symbols="",
    )  # fmt: skip


def twice(*args, **options):
    return 2 * F.soft_margin_loss(*args, **options)


def test_a_loss_that_is_twice_pytorchs_is_caught_three_times(unlike_twin):
    right, wrong = soft_margin_card(F.soft_margin_loss), soft_margin_card(twice)
    for check in (unlike_twin, unlike_definition, unlike_exact):
        assert check(right) == []
        assert check(wrong), check.__name__
    alone = replace(wrong, twin=None)
    assert unlike_twin(replace(right, twin=None)) == []
    assert unlike_twin(alone), "a loss without a twin is held against its definition"


# --- No loss of PyTorch's is called -------------------------------------------------------------------------------


def run(function, args, grads, kwargs):
    leaves = [arg.detach().clone().requires_grad_(g) for arg, g in zip(args, grads, strict=True)]
    function(*leaves, **kwargs).sum().backward()


@pytest.mark.filterwarnings("ignore")
def test_no_loss_of_pytorchs_is_called(cases, watcher):
    for name, args, grads, kwargs in cases:
        with watcher() as seen:
            run(getattr(losses, name), args, grads, kwargs)
        assert not seen.seen, f"{name} {kwargs} calls {seen.seen}"


@pytest.mark.filterwarnings("ignore")
def test_the_watcher_sees_each_loss_of_pytorchs(cases, watcher):
    for name, args, grads, kwargs in {case[0]: case for case in cases if hasattr(F, case[0])}.values():
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

FOLDER = Path(importlib.util.find_spec("lossbook.losses").origin).parent
FLOOR = 4.0  # what PyTorch's loss of logits rounds, of terms as large as this that cancel; ours are more precise


def parts():
    """Return the modules of the public losses and what they import of each other, each after what it imports."""
    found = {}

    def visit(module):
        if module in found:
            return
        tree = ast.parse((FOLDER / f"{module}.py").read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lossbook.losses."):
                visit(node.module.rpartition(".")[2])
        found[module] = tree

    for module in ("recipe", *public().values()):
        visit(module)
    return found


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
    names = [f"lossbook.losses.{module}" for module in trees]
    saved = {name: sys.modules.get(name) for name in names}
    namespace = types.SimpleNamespace()
    try:
        for module, name in zip(trees, names, strict=True):
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
    trees = parts()
    assert not is_caught(trees, cases, compare_with_torch), "the losses themselves fail the comparison"

    flipped, alive = 0, set()
    for module in trees:
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
