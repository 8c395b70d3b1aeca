"""The table holds what the chapters say: where the forms on paper fail, and that ours fail nowhere else than here."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import torch.nn.functional as F

from lossbook import losses
from lossbook.stability import DTYPES, FORMS, Verdict, entries, findings, table, wrong
from lossbook.stability.picture import DTYPE_NAMES, MARKS

ROOT = Path(__file__).parents[2]
FINE = " ".join(["∙∙"] * len(DTYPES))

# Every input at which one of our losses is not right, with its verdicts as the card says: in float64, float32, float16
# and bfloat16, a mark for the value and one for the gradient. PyTorch's are the same but for those in OTHER.
CASES = [(entry, case) for entry in entries() for case in entry.cases]
OURS = {(entry.name, case.label): case.misses for entry, case in CASES if case.misses}
OTHER = {(entry.name, case.label) for entry, case in CASES if case.twin_differs}

# Where the chapters say that the form on paper fails, and how.
PAPER = [
    ("likelihood", "every p = 0.5", "float32", Verdict.OVERFLOW),
    ("likelihood", "every p = 0.1", "float64", Verdict.OVERFLOW),
    ("mse_loss", "ŷ = 60000.1, y = 60000", "float64", Verdict.CANCELLATION),
    ("mse_loss", "ŷ = 60000.1, y = 60000", "float32", Verdict.UNDERFLOW),
    ("huber_loss", "r = 300, δ = 1000", "float16", Verdict.OVERFLOW),
    ("binary_cross_entropy(sigmoid(z))", "z = 20, y = 0", "float32", Verdict.OVERFLOW),
    ("binary_cross_entropy(sigmoid(z))", "z = 12, y = 0", "float16", Verdict.OVERFLOW),
    ("binary_cross_entropy(sigmoid(z))", "z = 12, y = 0", "bfloat16", Verdict.OVERFLOW),
    ("binary_cross_entropy_with_logits", "z = 12, y = 0", "float16", Verdict.OVERFLOW),
    ("binary_cross_entropy_with_logits", "z = 200, y = 0", "float32", Verdict.OVERFLOW),
    ("binary_cross_entropy_with_logits", "z = 1000, y = 0", "float64", Verdict.OVERFLOW),
    ("cross_entropy", "z = (200, 0), y = 1", "float32", Verdict.OVERFLOW),
    ("cross_entropy", "z = (1000, 1001), y = 0", "float64", Verdict.NAN),
    ("log_softmax, nll_loss", "z = (0, 200), y = 0", "float32", Verdict.OVERFLOW),
    ("log_softmax, nll_loss", "z = (0, 20), y = 0", "float16", Verdict.OVERFLOW),
    ("kl_div", "q = 0, log p = −1", "float64", Verdict.NAN),
    ("kl_div", "q = (0.3, 0.7), p 1e−3 off", "float32", Verdict.CANCELLATION),
]


@pytest.fixture(scope="module")
def rows():
    return table()


def marks(rows, form="ours"):
    """Return the marks of one form, by loss and case, as OURS writes them."""
    found = {}
    for row in rows:
        if row.form == form:
            pair = MARKS[row.of_value][0] + MARKS[row.of_gradient][0]
            found.setdefault((row.loss, row.case), []).append(pair)
    return {key: " ".join(pairs) for key, pairs in found.items()}


def cell(rows, loss, case, form, dtype):
    (row,) = (r for r in rows if (r.loss, r.case, r.form, r.dtype) == (loss, case, form, dtype))
    return row


def test_ours_is_right_everywhere_but_where_it_is_said(rows):
    assert {key: said for key, said in marks(rows).items() if said != FINE} == OURS


def test_every_fault_of_ours_has_a_reason_and_every_reason_a_fault(rows):
    assert {(entry.name, case.label) for entry, case in CASES if case.why} == set(OURS)
    assert len(OURS) > 20
    assert "no reason is known" not in findings(rows)


@pytest.mark.parametrize("loss", [entry for entry in entries() if entry.name != "l1_loss"], ids=lambda loss: loss.name)
def test_a_loss_that_became_unstable_is_seen(rows, loss):
    """The form on paper in place of ours. That of the absolute error is ours."""
    broken = dataclasses.replace(loss, ours=loss.on_paper)
    assert marks(table(losses=[broken])) != marks([row for row in rows if row.loss == loss.name])


@pytest.mark.parametrize(("loss", "case", "dtype", "verdict"), PAPER)
def test_the_form_on_paper_fails_where_the_chapters_say(rows, loss, case, dtype, verdict):
    assert cell(rows, loss, case, "on paper", dtype).of_value is verdict


def test_pytorch_has_our_verdicts_but_for_a_few_where_ours_is_right_more_often(rows):
    ours, theirs = marks(rows), marks(rows, "PyTorch")
    assert {key for key in theirs if ours[key] != theirs[key]} <= OTHER
    assert all(ours[key].count("∙") >= theirs[key].count("∙") for key in OTHER)
    assert set(theirs) >= OTHER


def test_what_the_pages_say_of_the_bounds(rows):
    for form in FORMS[1:]:
        held = cell(rows, "binary_cross_entropy(sigmoid(z))", "z = 200, y = 0", form, "float32")
        assert (held.value, held.gradient, held.true_value, held.true_gradient) == (100.0, (0.0,), 200.0, (1.0,))
    perfect = [cell(rows, "binary_cross_entropy", "p = 0, y = 0", form, "float16") for form in FORMS[1:]]
    assert [row.of_gradient for row in perfect] == [Verdict.UNDERFLOW, Verdict.NAN]
    from_p = [row for row in rows if row.loss == "binary_cross_entropy"]
    assert wrong(from_p, "ours") > wrong(from_p, "on paper")


def test_what_the_pages_say_of_the_counts(rows):
    for chapter in {entry.chapter for entry in entries()}:
        mine = [row for row in rows if row.chapter == chapter]
        assert wrong(mine, "ours") < wrong(mine, "on paper")
    assert not any(row.form == "ours" and not row.right for row in rows if row.chapter == "01-recipe")
    assert all(row.right for row in rows if row.loss == "l1_loss")


def test_the_table_is_whole(rows):
    assert len(rows) == sum(len(entry.cases) * len(entry.forms) for entry in entries()) * len(DTYPES)
    assert all(entry.pytorch or not hasattr(F, entry.name.split(",")[0]) for entry in entries())
    pages = [path for path in (ROOT / "book").glob("0*-*.md") if "stability.table(" in path.read_text("utf-8")]
    shown = {path.stem.removesuffix("-pytorch") for path in pages}
    assert {row.chapter for row in rows} == shown
    tried = " ".join(entry.name for entry in entries())
    assert [name for name in losses.__all__ if name not in tried] == []
    for entry in entries():
        assert len({case.label for case in entry.cases}) == len(entry.cases)


def test_a_row_says_what_came_out(rows):
    row = cell(rows, "mse_loss", "ŷ = 300, y = 0", "ours", "float32")
    assert (row.value, row.gradient, row.true_value, row.true_gradient, row.ulps) == (90000, (600,), 90000, (600,), 0)
    assert row.chapter == "02-mse"
    assert row.right
    assert DTYPE_NAMES == ("float64", "float32", "float16", "bfloat16")


def test_a_chapter_that_has_no_loss_is_refused():
    with pytest.raises(ValueError, match="07-hinge"):
        table("07-hinge")


def test_the_losses_need_neither_the_table_nor_its_arithmetic():
    code = "import sys, lossbook, lossbook.losses, lossbook.exercises; print({'lossbook.stability'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    users = {
        path.relative_to(ROOT / "src/lossbook").parts[0]
        for path in (ROOT / "src/lossbook").rglob("*.py")
        if "import mpmath" in path.read_text(encoding="utf-8")
    }
    assert {"stability", "cards"} <= users
    assert not users & {"losses", "exercises", "timing", "figures.py", "__init__.py"}
