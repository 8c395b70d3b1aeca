"""Makes ``examples/class``: what forty made-up students hand in for lesson 3, right, wrong and broken.

``python examples/make_class.py`` writes the folder from ``lessons/03-bce.ipynb``, the same each time; run it when that
lesson has changed. ``EXPECTED`` says what the grader makes of each. Nobody here is a real person.

Most are folders with a student's name. Four are files as Canvas names them, one is a folder of Moodle's, one is a
student's own archive, and twelve lie in the archive of a second group.
"""

from __future__ import annotations

import copy
import io
import json
import shutil
import textwrap
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
CLASS = ROOT / "examples" / "class"
LESSON = "03-bce.ipynb"
SECOND_GROUP = "submissions-second-group.zip"

Notebook = dict[str, Any]
Answers = Mapping[str, str]

# The body of each function, in many styles and with many mistakes. A mistake that the exercise knows has its name.
BODIES: dict[str, dict[str, str]] = {
    "sigmoid": {
        "one formula": "return 1 / (1 + torch.exp(-z))",
        "where": """
            small = torch.exp(-z.abs())
            return torch.where(z >= 0, 1 / (1 + small), small / (1 + small))
        """,
        "tanh of half": "return (1 + torch.tanh(z / 2)) / 2",
        "float64": "return (1 / (1 + torch.exp(-z.double()))).float()",
        "in place": "return z.neg().exp_().add_(1).reciprocal_()",
        "loop": """
            out = torch.empty_like(z)
            for i, value in enumerate(z.flatten().tolist()):
                if value > 0:
                    out.view(-1)[i] = 1 / (1 + math.exp(-value))
                else:
                    out.view(-1)[i] = math.exp(value) / (1 + math.exp(value))
            return out
        """,
        "helper": "return 1 / one_plus_exp(-z)",
        "the exponential of z itself, above and below the line": "return torch.exp(z) / (1 + torch.exp(z))",
        "tanh in place of the sigmoid": "return torch.tanh(z)",
        "PyTorch's own": "return torch.sigmoid(z)",
    },
    "bce": {
        "one line": "return -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()",
        "two means": "return -(y * p.log()).mean() - ((1 - y) * (1 - p).log()).mean()",
        "float64": """
            p, y = p.double(), y.double()
            return -(y * p.log() + (1 - y) * (1 - p).log()).mean().float()
        """,
        "in place": "return p.log().mul_(y).add_((1 - p).log() * (1 - y)).neg_().mean()",
        "einsum": """
            p, y = p.flatten(), y.flatten()
            q = torch.stack([1 - y, y], 1)
            log_p = torch.log(torch.stack([1 - p, p], 1))
            return -torch.einsum("nk,nk->", q, log_p) / len(p)
        """,
        "loop": """
            total = 0
            for pn, yn in zip(p.flatten(), y.flatten()):
                total = total - yn * torch.log(pn) - (1 - yn) * torch.log(1 - pn)
            return total / p.numel()
        """,
        "helper": "return cost(p, y).mean()",
        "the minus forgotten": "return (y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()",
        "the sum in place of the mean": "return -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).sum()",
        "the positive term alone": "return -(y * torch.log(p)).mean()",
        "a small number added inside the logarithms": """
            eps = 1e-7
            return -(y * torch.log(p + eps) + (1 - y) * torch.log(1 - p + eps)).mean()
        """,
        "the gradient lost on the way": """
            loss = -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()
            return torch.tensor(loss.item())
        """,
        "the squared error": "return ((p - y) ** 2).mean()",
        "PyTorch's own": "return torch.nn.functional.binary_cross_entropy(p, y)",
        "no bracket at the end": "return -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean(",
    },
    "bce_gradient": {
        "one line": "return (1 / (1 + torch.exp(-z)) - y) / len(z)",
        "with my sigmoid": "return (sigmoid(z) - y) / len(z)",
        "float64": "return ((torch.sigmoid(z.double()) - y) / z.numel()).float()",
        "in place": "return torch.sigmoid(z).sub_(y).div_(len(z))",
        "loop": """
            slopes = []
            for zn, yn in zip(z, y):
                slopes.append((1 / (1 + torch.exp(-zn)) - yn) / len(z))
            return torch.stack(slopes)
        """,
        "the sign turned": "return (y - torch.sigmoid(z)) / len(z)",
        "the gradient of the sum": "return torch.sigmoid(z) - y",
        "the logit taken for the probability": "return (z - y) / len(z)",
        "backward": """
            z = z.clone().requires_grad_()
            bce_with_logits(z, y).backward()
            return z.grad
        """,
    },
    "bce_diagnosis": {
        "by the entropy": """
            q = y.mean()
            constant = -(q * torch.log(q) + (1 - q) * torch.log(1 - q))
            if train[0] > 1:
                return 4
            if train[-1] > train[0]:
                return 2
            if held[-1] > 1.1 * held.min():
                return 3
            return 1 if train[-1] > 0.95 * constant else 0
        """,
        "with my loss": """
            constant = bce(y.mean().repeat(len(y)), y)
            if abs(train[0] - math.log(2)) > 0.01:
                return 4
            elif train.max() > 1:
                return 2
            elif held[-1] - held.min() > 0.1:
                return 3
            elif abs(train[-1] - constant) < 0.02:
                return 1
            return 0
        """,
        "loop": """
            rises = 0
            for before, after in zip(train, train[1:]):
                if after > before + 0.01:
                    rises += 1
            q = sum(y.tolist()) / len(y)
            constant = -q * math.log(q) - (1 - q) * math.log(1 - q)
            if round(train[0].item(), 1) != 0.7:
                return 4
            if rises:
                return 2
            if held[-1] > held[0]:
                return 3
            return int(train[-1] > 0.9 * constant)
        """,
        "compared with ln 2, whatever the labels are": """
            if train[0] > 1:
                return 4
            if train[-1] > train[0]:
                return 2
            if held[-1] > 1.1 * held.min():
                return 3
            return 1 if train[-1] > 0.95 * math.log(2) else 0
        """,
        "the samples held out not looked at": """
            q = y.mean()
            constant = -(q * torch.log(q) + (1 - q) * torch.log(1 - q))
            if train[0] > 1:
                return 4
            if train[-1] > train[0]:
                return 2
            return 1 if train[-1] > 0.95 * constant else 0
        """,
    },
    "bce_with_logits": {
        "clamp": "return (z.clamp(min=0) - y * z + torch.log1p(torch.exp(-z.abs()))).mean()",
        "softplus": "return (torch.logaddexp(z, 0 * z) - y * z).mean()",
        "logsigmoid": """
            F = torch.nn.functional
            return -(y * F.logsigmoid(z) + (1 - y) * F.logsigmoid(-z)).mean()
        """,
        "logaddexp": "return (torch.logaddexp(z, torch.zeros_like(z)) - y * z).mean()",
        "float64": """
            z, y = z.double(), y.double()
            return (z.clamp(min=0) - y * z + torch.log1p(torch.exp(-z.abs()))).mean().float()
        """,
        "in place": """
            loss = torch.exp(-z.abs()).add(1).log()
            loss += z.clamp(min=0)
            loss -= y * z
            return loss.mean()
        """,
        "loop": """
            total = 0
            for zn, yn in zip(z.flatten(), y.flatten()):
                largest = zn if zn > 0 else 0 * zn
                total = total + largest - yn * zn + torch.log1p(torch.exp(-abs(zn)))
            return total / z.numel()
        """,
        "a probability formed first": """
            p = 1 / (1 + torch.exp(-z))
            return -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()
        """,
        "log(1 + exp(z)) as it stands": "return (torch.log(1 + torch.exp(z)) - y * z).mean()",
        "a small number added inside the logarithms": """
            p = torch.sigmoid(z)
            return -(y * torch.log(p + 1e-7) + (1 - y) * torch.log(1 - p + 1e-7)).mean()
        """,
        "the probability held away from 0 and 1": """
            p = torch.sigmoid(z).clamp(1e-7, 1 - 1e-7)
            return -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()
        """,
    },
    "bce_pos_weight": {
        "softplus": """
            positive, negative = torch.logaddexp(-z, 0 * z), torch.logaddexp(z, 0 * z)
            return (c * y * positive + (1 - y) * negative).mean()
        """,
        "logsigmoid": """
            F = torch.nn.functional
            return -(c * y * F.logsigmoid(z) + (1 - y) * F.logsigmoid(-z)).mean()
        """,
        "by hand": """
            small = torch.log1p(torch.exp(-z.abs()))
            positive = small + (-z).clamp(min=0)
            negative = small + z.clamp(min=0)
            return (c * y * positive + (1 - y) * negative).mean()
        """,
        "by factor": """
            both = torch.logaddexp(-z, torch.zeros_like(z))
            return ((1 - y) * z + (1 + (c - 1) * y) * both).mean()
        """,
        "both terms weighted": "return c * bce_with_logits(z, y)",
        "c for the positives and 1 − c for the negatives": """
            positive, negative = torch.logaddexp(-z, 0 * z), torch.logaddexp(z, 0 * z)
            return (c * y * positive + (1 - c) * (1 - y) * negative).mean()
        """,
        "a probability formed first": """
            p = 1 / (1 + torch.exp(-z))
            return -(c * y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()
        """,
    },
    "bce_python_sum": {
        "sum": """
            each = -(y * torch.log(p) + (1 - y) * torch.log(1 - p))
            return sum(each) / len(each)
        """,
        "loop": """
            total = 0
            for pn, yn in zip(p, y):
                total += -(yn * torch.log(pn) + (1 - yn) * torch.log(1 - pn))
            return total / len(p)
        """,
        "list": """
            each = -(y * torch.log(p) + (1 - y) * torch.log(1 - p))
            return sum(each.tolist()) / len(p)
        """,
        "helper": "return sum(cost(p, y)) / len(p)",
        "torch.sum for Python's sum": """
            each = -(y * torch.log(p) + (1 - y) * torch.log(1 - p))
            return each.sum() / len(each)
        """,
        "the sum not divided": "return sum(-(y * torch.log(p) + (1 - y) * torch.log(1 - p)))",
        "the minus forgotten": "return sum(y * torch.log(p) + (1 - y) * torch.log(1 - p)) / len(p)",
        "the positive term alone": "return sum(-y * torch.log(p)) / len(p)",
        "the first element alone": """
            total = 0
            for i in range(len(p)):
                total -= y[i] * torch.log(p[i]) + (1 - y[i]) * torch.log(1 - p[i])
                return total / len(p)
        """,
    },
    "bce_torch_sum": {
        "sum": """
            each = -(y * torch.log(p) + (1 - y) * torch.log(1 - p))
            return torch.sum(each) / len(each)
        """,
        "products": "return -(y @ torch.log(p) + (1 - y) @ torch.log(1 - p)) / len(p)",
        "einsum": """
            each = -(y * torch.log(p) + (1 - y) * torch.log(1 - p))
            return torch.einsum("n->", each) / len(p)
        """,
        "helper": "return torch.sum(cost(p, y)) / len(p)",
        "Python's sum for torch.sum": """
            each = -(y * torch.log(p) + (1 - y) * torch.log(1 - p))
            return sum(each) / len(each)
        """,
        "the sum not divided": "return torch.sum(-(y * torch.log(p) + (1 - y) * torch.log(1 - p)))",
        "the minus forgotten": "return torch.sum(y * torch.log(p) + (1 - y) * torch.log(1 - p)) / len(p)",
        "the minus before the first term alone": """
            return torch.sum(-y * torch.log(p) + (1 - y) * torch.log(1 - p)) / len(p)
        """,
    },
    "pairwise_sum": {
        "zeros": """
            while len(x) > 1:
                if len(x) % 2:
                    x = torch.cat([x, torch.zeros(1)])
                x = x[0::2] + x[1::2]
            return x[0]
        """,
        "recursion": """
            if len(x) == 1:
                return x[0]
            middle = len(x) // 2
            return pairwise_sum(x[:middle]) + pairwise_sum(x[middle:])
        """,
        "set aside": """
            rest = 0
            while len(x) > 1:
                if len(x) % 2 == 1:
                    rest = rest + x[-1]
                    x = x[:-1]
                x = x[::2] + x[1::2]
            return x[0] + rest
        """,
        "halves": """
            while len(x) > 1:
                half = len(x) // 2
                x = torch.cat([x[:half] + x[half : 2 * half], x[2 * half :]])
            return x.squeeze()
        """,
        "one running total": """
            total = 0
            for value in x:
                total = total + value
            return total
        """,
        "the odd one dropped": """
            while len(x) > 1:
                n = len(x) // 2
                x = x[0 : 2 * n : 2] + x[1 : 2 * n : 2]
            return x[0]
        """,
        "an odd count not provided for": """
            while len(x) > 1:
                x = x[0::2] + x[1::2]
            return x[0]
        """,
    },
    "voter_logits": {
        "descent": """
            mean, spread = x.mean(0), x.std(0)
            x, x_new = (x - mean) / spread, (x_new - mean) / spread
            w, b = torch.zeros(7), 0.0
            for step in range(200):
                error = (torch.sigmoid(x @ w + b) - y) / len(y)
                w, b = w - x.T @ error, b - error.sum()
            return x_new @ w + b
        """,
        "with my gradient": """
            size = x.abs().max(0).values
            x, x_new = x / size, x_new / size
            w, b = torch.zeros(7), 0.0
            for step in range(500):
                error = bce_gradient(x @ w + b, y)
                w, b = w - 4 * x.T @ error, b - 4 * error.sum()
            return x_new @ w + b
        """,
        "a network": """
            torch.manual_seed(0)
            mean, spread = x.mean(0), x.std(0)
            net = torch.nn.Sequential(
                torch.nn.Linear(7, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)
            )
            optimiser = torch.optim.Adam(net.parameters(), 0.02, weight_decay=0.01)
            for step in range(80):
                optimiser.zero_grad()
                bce_with_logits(net((x - mean) / spread).squeeze(1), y).backward()
                optimiser.step()
            return net((x_new - mean) / spread).squeeze(1).detach()
        """,
        "one answer for all voters": "return torch.logit(y.mean()).repeat(len(x_new))",
        "probabilities in place of logits": """
            mean, spread = x.mean(0), x.std(0)
            x, x_new = (x - mean) / spread, (x_new - mean) / spread
            w, b = torch.zeros(7), 0.0
            for step in range(200):
                error = (torch.sigmoid(x @ w + b) - y) / len(y)
                w, b = w - x.T @ error, b - error.sum()
            return torch.sigmoid(x_new @ w + b)
        """,
    },
}

# What someone writes who writes nothing special.
USUAL = {
    "sigmoid": "one formula",
    "bce": "one line",
    "bce_gradient": "one line",
    "bce_diagnosis": "by the entropy",
    "bce_with_logits": "clamp",
    "bce_pos_weight": "by hand",
    "bce_python_sum": "sum",
    "bce_torch_sum": "sum",
    "pairwise_sum": "zeros",
    "voter_logits": "descent",
}
ALL = tuple(USUAL)

HELPERS = '''\
def one_plus_exp(z):
    """Return 1 + exp(z)."""
    return 1 + torch.exp(z)


def cost(p, y):
    return -(y * torch.log(p) + (1 - y) * torch.log(1 - p))
'''
SCRIPT = "<script>document.title = 'owned'"  # a folder's name can hold no slash


def filled(lesson: Notebook, answers: Answers) -> Notebook:
    """Return the lesson with functions written: for each, the body of this style."""
    made = copy.deepcopy(lesson)
    for cell in made["cells"]:
        name = cell.get("id")
        if name in answers:
            cell["source"] = written(cell["source"], BODIES[name][answers[name]])
    return made


def written(stub: list[str], body: str) -> list[str]:
    """Return a cell's lines with the stub's last line replaced by a body."""
    lines = textwrap.indent(textwrap.dedent(body).strip("\n"), "    ")
    return ("".join(stub[:-1]) + lines.rstrip()).splitlines(keepends=True)


def inserted(notebook: Notebook, at: int, source: str) -> Notebook:
    """Return the notebook with a cell of the student's own at this place."""
    cell = {
        "cell_type": "code",
        "execution_count": None,
        "id": f"own-{at}",
        "metadata": {},
        "outputs": [],
        "source": source.splitlines(keepends=True),
    }
    notebook["cells"].insert(at, cell)
    return notebook


def as_text(notebook: Notebook) -> bytes:
    """Return the bytes of a notebook's file."""
    return (json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode()


def plain(lesson: Notebook, answers: Answers) -> bytes:
    """Return the lesson with answers."""
    return as_text(filled(lesson, answers))


def with_helpers(lesson: Notebook, answers: Answers) -> bytes:
    """Return the lesson with answers that lean on a cell of helpers at the top."""
    return as_text(inserted(filled(lesson, answers), 3, HELPERS))


def in_one_cell(lesson: Notebook, answers: Answers) -> bytes:
    """Return the lesson with its stubs as they were, and all answers in one new cell at the end."""
    cells = {cell["id"]: cell for cell in filled(lesson, answers)["cells"]}
    source = "\n\n\n".join("".join(cells[name]["source"]) for name in answers)
    return as_text(inserted(copy.deepcopy(lesson), len(lesson["cells"]), source))


def from_colab(lesson: Notebook, answers: Answers) -> bytes:
    """Return the lesson as Colab saves it: older format, ids in the metadata, its own fields."""
    made = filled(lesson, answers)
    for number, cell in enumerate(made["cells"]):
        cell["metadata"] = {"id": f"{cell.pop('id')[:6]}-{number:05d}", **cell["metadata"]}
    made["metadata"] = {
        "colab": {"provenance": [], "toc_visible": True},
        "kernelspec": {"name": "python3", "display_name": "Python 3"},
        "language_info": {"name": "python"},
    }
    return as_text({"nbformat": 4, "nbformat_minor": 0, "metadata": made["metadata"], "cells": made["cells"]})


def cut_off(lesson: Notebook, answers: Answers) -> bytes:
    """Return the first third of a file, as after an upload that broke off."""
    whole = plain(lesson, answers)
    return whole[: len(whole) // 3]


def nothing(lesson: Notebook, answers: Answers) -> bytes:
    """Return an empty file."""
    return b""


def renamed_pdf(lesson: Notebook, answers: Answers) -> bytes:
    """Return a print-out whose name was changed."""
    return (
        b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n"
        b"2 0 obj\n<< /Type /Pages /Kids [] /Count 0 >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n"
    )


def with_cell(after: str, source: str) -> Callable[[Notebook, Answers], bytes]:
    """Return what adds a cell behind that of a function."""

    def made(lesson: Notebook, answers: Answers) -> bytes:
        notebook = filled(lesson, answers)
        place = [cell.get("id") for cell in notebook["cells"]].index(after) + 1
        return as_text(inserted(notebook, place, source))

    return made


def with_script(lesson: Notebook, answers: Answers) -> bytes:
    """Return answers with outputs, a title and an error that would run in a careless report."""
    notebook = filled(lesson, answers)
    evil = "<script>document.title = 'owned'</script><img src=x onerror=\"document.title = 'owned'\">"
    notebook["metadata"]["title"] = evil
    for cell in notebook["cells"]:
        if cell.get("id") == "bce":
            cell["source"] = [*cell["source"][:-1], f"    raise ValueError({evil!r})"]
            shown = {"text/html": [evil], "text/plain": ["\x1b[2J\x1b]0;owned\x07"]}
            cell["outputs"] = [{"output_type": "display_data", "metadata": {}, "data": shown}]
    return as_text(notebook)


@dataclass(frozen=True)
class Student:
    """One student.

    Args:
        name: As the grader is to call the student.
        wrong: For each function that is not the usual one: its style in ``BODIES``.
        wrote: The functions that the student has written at all.
        make: What makes the file.
        place: Where it lies below the class, or in the archive named before ``::``; a folder with the name otherwise.

    """

    name: str
    wrong: Answers = field(default_factory=dict)
    wrote: tuple[str, ...] = ALL
    make: Callable[[Notebook, Answers], bytes] = plain
    place: str = ""

    @property
    def answers(self) -> dict[str, str]:
        """The style of each function that was written."""
        return {name: self.wrong.get(name, USUAL[name]) for name in self.wrote}

    @property
    def path(self) -> str:
        """Where the file lies below the class."""
        return self.place or f"{self.name}/{LESSON}"


def second_group(name: str, *rest: Any, **others: Any) -> Student:
    """Return a student whose folder lies in the archive of the second group."""
    return Student(name, *rest, **others, place=f"{SECOND_GROUP}::{name}/{LESSON}")


def style(name: str, **others: str) -> dict[str, str]:
    """Return the functions that have a body in this style, and others."""
    return {**{function: name for function, bodies in BODIES.items() if name in bodies}, **others}


STUDENTS = (
    # All right, each in a way of their own.
    Student("Amara Quillmoor", style("loop", pairwise_sum="recursion")),
    Student(
        "Bjarni Ösplund",
        style("einsum", bce_with_logits="logaddexp", bce_pos_weight="by factor", voter_logits="a network"),
    ),
    Student("Chiamaka Odunwe-Harth", style("float64", bce_python_sum="list", pairwise_sum="halves")),
    Student("Dmitri Valkenrode", style("in place", bce_diagnosis="with my loss")),
    Student(
        "Esperanza Tilúa", {"sigmoid": "where", "bce_gradient": "with my sigmoid", "voter_logits": "with my gradient"}
    ),
    Student("Farid Zamanpur", style("softplus", sigmoid="tanh of half", bce="two means")),
    Student("Giulia Branzetto", style("logsigmoid", bce_torch_sum="products", bce_diagnosis="with my loss")),
    Student("Hyun-woo Saebyeok", style("helper"), make=with_helpers),
    Student("Ines Caldeverde", {"pairwise_sum": "set aside", "bce_diagnosis": "loop"}, make=from_colab),
    Student("orangejamal", place="orangejamal_48213_930114_03-bce.ipynb"),
    # One to four mistakes, or half finished.
    Student("Kalani Mahoe-Finn", style("the minus forgotten")),
    Student(
        "Leonie Strohbach",
        {
            "bce": "the sum in place of the mean",
            "bce_gradient": "the gradient of the sum",
            **style("the sum not divided"),
        },
    ),
    Student(
        "Mbali Nkosazane",
        style("a probability formed first", sigmoid="the exponential of z itself, above and below the line"),
    ),
    Student("Nikolai Perevoz", style("a small number added inside the logarithms")),
    second_group("Oluwaseun Adetiba-Rowe", wrote=ALL[:3]),
    second_group("Parvati Choudhanil", wrote=ALL[:1]),
    second_group(
        "Quentin Lamorlaye",
        {
            "bce": "the minus forgotten",
            "bce_gradient": "the sign turned",
            "bce_diagnosis": "the samples held out not looked at",
            "bce_pos_weight": "both terms weighted",
        },
    ),
    second_group(
        "Rosalind Achterop",
        {
            "voter_logits": "probabilities in place of logits",
            "bce_gradient": "the gradient of the sum",
            "bce_with_logits": "the probability held away from 0 and 1",
        },
    ),
    second_group(
        "Sofía Encinaluz",
        {
            "bce": "the positive term alone",
            "bce_python_sum": "the positive term alone",
            "bce_with_logits": "a probability formed first",
        },
    ),
    second_group(
        "Tariq Belhadir",
        {
            "bce_with_logits": "a probability formed first",
            "bce_pos_weight": "c for the positives and 1 − c for the negatives",
        },
    ),
    second_group(
        "Ursina Gadmerhof",
        {
            "bce_python_sum": "torch.sum for Python's sum",
            "bce_torch_sum": "Python's sum for torch.sum",
        },
    ),
    second_group(
        "Václav Horymír",
        {
            "bce": "the sum in place of the mean",
            "bce_torch_sum": "the minus before the first term alone",
            "pairwise_sum": "the odd one dropped",
        },
    ),
    Student(
        "Wanjiru Kamotho-Bell",
        {"bce": "the gradient lost on the way", "pairwise_sum": "one running total"},
        place="Wanjiru Kamotho-Bell_5512870_assignsubmission_file_/03-bce.ipynb",
    ),
    second_group("Xiulan Tengfei", {"bce": "no bracket at the end", "voter_logits": "one answer for all voters"}),
    Student(
        "yarrowbeatrix",
        {
            "bce_diagnosis": "compared with ln 2, whatever the labels are",
            "bce_gradient": "the logit taken for the probability",
            "pairwise_sum": "an odd count not provided for",
        },
        place="yarrowbeatrix_48877_930377_03-bce-1.ipynb",
    ),
    Student(
        "Zdravko Milanek",
        {"bce": "the squared error", "bce_with_logits": "log(1 + exp(z)) as it stands"},
        place="Zdravko Milanek.zip::03-bce.ipynb",
    ),
    second_group(
        "Aiyana Redcliff-Moss",
        {
            "sigmoid": "tanh in place of the sigmoid",
            "bce": "the minus forgotten",
            "bce_python_sum": "the first element alone",
        },
        ALL[:7],
    ),
    # As it was handed out.
    Student("Bao Lâmthien", wrote=()),
    second_group("Corentin Hazeldyne", wrote=()),
    # Unusual, and as it may come.
    Student("Dilnoza Yuldashkent", {"bce": "two means"}, make=in_one_cell),
    Student("ekströmvega", {"bce": "the minus forgotten"}, place="ekströmvega_49020_930402_03-bce-1.ipynb"),
    Student("ekströmvega", place="ekströmvega_LATE_49020_931188_03-bce-2.ipynb"),
    Student("Fenna Duinkerk", make=cut_off),
    Student("Goran Stipelj", make=nothing),
    Student("Hana Mizushiro", make=renamed_pdf),
    # What must not harm anyone.
    Student("Idris Wembury", make=with_cell("bce", "step = 1\nwhile step > 0:\n    step = step / 2 + 1")),
    Student(
        "Jolanta Krzewin",
        make=with_cell("bce_gradient", "import os\n\nos._exit(0)  # it said the kernel was busy"),
    ),
    Student("Kwabena Asumadu-Lee", {"bce": "PyTorch's own"}),
    Student("Lucian Vâlcroft", {"sigmoid": "PyTorch's own", "bce_gradient": "backward"}),
    Student("Marisol Undevane", make=with_cell("sigmoid", "table = torch.ones(2**31)  # 8 GiB")),
    second_group(SCRIPT, make=with_script),
)

FORGOTTEN = "the minus forgotten"
UNDIVIDED = "the sum not divided"
SMALL = "a small number added inside the logarithms"
THROUGH_P = "a probability formed first"

# What the grader makes of each: the state, the points of twenty, and the mistakes that it tells by name.
EXPECTED: dict[str, tuple[str, float, dict[str, str]]] = {
    "Amara Quillmoor": ("graded", 20, {}),
    "Bjarni Ösplund": ("graded", 20, {}),
    "Chiamaka Odunwe-Harth": ("graded", 20, {}),
    "Dmitri Valkenrode": ("graded", 20, {}),
    "Esperanza Tilúa": ("graded", 20, {}),
    "Farid Zamanpur": ("graded", 20, {}),
    "Giulia Branzetto": ("graded", 15, {}),
    "Hyun-woo Saebyeok": ("graded", 20, {}),
    "Ines Caldeverde": ("graded", 20, {}),
    "orangejamal": ("graded", 20, {}),
    "Kalani Mahoe-Finn": (
        "graded",
        16,
        {"bce": FORGOTTEN, "bce_python_sum": FORGOTTEN, "bce_torch_sum": FORGOTTEN},
    ),
    "Leonie Strohbach": (
        "graded",
        14,
        {
            "bce": "the sum in place of the mean",
            "bce_gradient": "the gradient of the sum",
            "bce_python_sum": UNDIVIDED,
            "bce_torch_sum": UNDIVIDED,
        },
    ),
    "Mbali Nkosazane": (
        "graded",
        13,
        {
            "sigmoid": "the exponential of z itself, above and below the line",
            "bce_with_logits": THROUGH_P,
            "bce_pos_weight": THROUGH_P,
        },
    ),
    "Nikolai Perevoz": ("graded", 15, {"bce": SMALL, "bce_with_logits": SMALL}),
    "Oluwaseun Adetiba-Rowe": ("graded", 6, {}),
    "Parvati Choudhanil": ("graded", 2, {}),
    "Quentin Lamorlaye": (
        "graded",
        12,
        {
            "bce": FORGOTTEN,
            "bce_gradient": "the sign turned",
            "bce_diagnosis": "the samples held out not looked at",
            "bce_pos_weight": "both terms weighted",
        },
    ),
    "Rosalind Achterop": (
        "graded",
        12,
        {
            "bce_gradient": "the gradient of the sum",
            "bce_with_logits": "the probability held away from 0 and 1",
            "voter_logits": "probabilities in place of logits",
        },
    ),
    "Sofía Encinaluz": (
        "graded",
        14,
        {
            "bce": "the positive term alone",
            "bce_with_logits": THROUGH_P,
            "bce_python_sum": "the positive term alone",
        },
    ),
    "Tariq Belhadir": (
        "graded",
        15,
        {
            "bce_with_logits": THROUGH_P,
            "bce_pos_weight": "c for the positives and 1 − c for the negatives",
        },
    ),
    "Ursina Gadmerhof": (
        "graded",
        18,
        {"bce_python_sum": "torch.sum for Python's sum", "bce_torch_sum": "Python's sum for torch.sum"},
    ),
    "Václav Horymír": (
        "graded",
        15,
        {
            "bce": "the sum in place of the mean",
            "bce_torch_sum": "the minus before the first term alone",
            "pairwise_sum": "the odd one dropped",
        },
    ),
    "Wanjiru Kamotho-Bell": (
        "graded",
        16,
        {"bce": "the gradient lost on the way", "pairwise_sum": "one running total"},
    ),
    "Xiulan Tengfei": ("graded", 15, {"voter_logits": "one answer for all voters"}),
    "yarrowbeatrix": (
        "graded",
        14,
        {
            "bce_gradient": "the logit taken for the probability",
            "bce_diagnosis": "compared with ln 2, whatever the labels are",
            "pairwise_sum": "an odd count not provided for",
        },
    ),
    "Zdravko Milanek": ("graded", 15, {"bce_with_logits": "log(1 + exp(z)) as it stands"}),
    "Aiyana Redcliff-Moss": (
        "graded",
        9,
        {"sigmoid": "tanh in place of the sigmoid", "bce": FORGOTTEN, "bce_python_sum": "the first element alone"},
    ),
    "Bao Lâmthien": ("not attempted", 0, {}),
    "Corentin Hazeldyne": ("not attempted", 0, {}),
    "Dilnoza Yuldashkent": ("graded", 20, {}),
    "ekströmvega": ("graded", 20, {}),  # the later attempt counts
    "Fenna Duinkerk": ("unreadable", 0, {}),
    "Goran Stipelj": ("unreadable", 0, {}),
    "Hana Mizushiro": ("unreadable", 0, {}),
    "Idris Wembury": ("timed out", 20, {}),  # without the cell that never ends, all the rest is right
    "Jolanta Krzewin": ("partial", 20, {}),  # likewise without the cell that ends the process
    "Kwabena Asumadu-Lee": ("graded", 18, {}),
    "Lucian Vâlcroft": ("graded", 16, {}),
    "Marisol Undevane": ("graded", 20, {}),  # the cell fails for want of memory, like any cell that raises
    SCRIPT: ("graded", 18, {}),
}


def lesson() -> Notebook:
    """Return the lesson as it was handed out, without outputs."""
    notebook: Notebook = json.loads((ROOT / "lessons" / LESSON).read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=None)
    return notebook


def zipped(members: Mapping[str, bytes]) -> bytes:
    """Return an archive without the time of day in it."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)
    return held.getvalue()


def files() -> dict[str, bytes]:
    """Return every file of the class, by its path below it."""
    handed_out = lesson()
    made: dict[str, bytes] = {}
    archives: dict[str, dict[str, bytes]] = {}
    for student in STUDENTS:
        data = student.make(handed_out, student.answers)
        archive, inside, member = student.path.partition("::")
        if inside:
            archives.setdefault(archive, {})[member] = data
        else:
            made[archive] = data
    return {**made, **{name: zipped(members) for name, members in archives.items()}}


def main() -> None:
    """Write the class anew."""
    shutil.rmtree(CLASS, ignore_errors=True)
    for name, data in files().items():
        path = CLASS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


if __name__ == "__main__":
    main()
