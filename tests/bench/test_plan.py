"""What a command asks for becomes cases, or a sentence that says what is wrong."""

import pytest
import torch

from lossbook import losses
from lossbook.bench import plan
from lossbook.bench.implementations import applies
from lossbook.bench.plan import BOTH, FORWARD, LOSSES, WrongCommandError, cases, parse_size, sizes_for, traffic


def test_every_loss_of_the_package_is_measured():
    assert LOSSES.keys() == {*losses.__all__, "linear_cross_entropy"}


def test_all_is_every_loss_in_every_implementation_at_every_size_both_ways():
    asked = cases(applies=applies)
    assert len(asked) == len(set(asked))
    assert {case.loss for case in asked} == LOSSES.keys()
    assert {case.passes for case in asked} == {FORWARD, BOTH}
    for name, loss in LOSSES.items():
        mine = [case for case in asked if case.loss == name]
        assert {case.size for case in mine} == set(plan.SIZES["cpu"][loss.kind])
        wanted = {"definition", "reference", "compiled", *(["pytorch"] if loss.twin else [])}
        assert wanted <= {case.implementation for case in mine}
        assert ("fused" in {case.implementation for case in mine}) == ("cross_entropy" in name and "binary" not in name)


def test_the_figures_sizes_are_among_those_measured():
    quick = plan.QUICK_SIZES["cpu"]
    assert quick["elements"] == ((10**6,),)
    assert quick["classes"] == ((4096, 1000),)
    assert (8192, 131_072) in plan.SIZES["cuda"]["classes"]


def test_the_implementations_of_one_loss_stand_side_by_side():
    asked = cases(["mse_loss", "l1_loss"], ["reference", "pytorch"], sizes=[(5,)])
    assert [(case.loss, case.passes, case.implementation) for case in asked[:4]] == [
        ("mse_loss", FORWARD, "reference"),
        ("mse_loss", FORWARD, "pytorch"),
        ("mse_loss", BOTH, "reference"),
        ("mse_loss", BOTH, "pytorch"),
    ]
    assert len(asked) == 8


def test_what_is_given_twice_is_measured_once():
    twice = cases(["mse_loss"] * 2, ["pytorch"] * 2, ["cpu"] * 2, [(5,)] * 2, ["float32"] * 2)
    assert twice == cases(["mse_loss"], ["pytorch"], ["cpu"], [(5,)], ["float32"])
    assert len(twice) == 2


def test_a_size_goes_to_the_losses_of_its_kind():
    asked = cases(sizes=[(7,), (3, 4)])
    assert {case.size for case in asked if LOSSES[case.loss].kind == "elements"} == {(7,)}
    assert {case.size for case in asked if LOSSES[case.loss].kind == "classes"} == {(3, 4)}
    assert not [case for case in asked if case.loss == "linear_cross_entropy"]


def test_a_gpu_has_sizes_and_dtypes_of_its_own():
    asked = cases(["cross_entropy"], ["fused"], ["cpu", "cuda"], quick=True)
    assert {(case.device, case.dtype) for case in asked} == {
        ("cpu", "float32"),
        ("cuda", "float32"),
        ("cuda", "bfloat16"),
    }
    assert sizes_for(LOSSES["cross_entropy"], "cuda", [], True) == plan.QUICK_SIZES["cuda"]["classes"]


def test_on_a_gpu_cross_entropy_meets_the_vocabularies_of_language_models():
    asked = cases(["cross_entropy", "nll_loss"], ["fused", "liger"], ["cpu", "cuda"])
    found = {(case.loss, case.device, case.dtype) for case in asked if case.size == (8192, 50_257)}
    assert found == {("cross_entropy", "cuda", "float32"), ("cross_entropy", "cuda", "bfloat16")}
    sizes = {case.size for case in asked if (case.loss, case.device) == ("cross_entropy", "cuda")}
    assert sizes == {*plan.SIZES["cuda"]["classes"], *((8192, V) for V in plan.VOCABULARIES)}
    assert not {case.size for case in cases(devices=["cuda"], quick=True)} & {(8192, 50_257)}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"losses": ["hinge"]}, "LOSS is 'hinge'; it must be one of mse_loss, "),
        ({"implementations": ["best"]}, "--implementation is 'best'; it must be one of definition, reference, "),
        ({"devices": ["tpu"]}, "--device is 'tpu'; it must be one of cpu, cuda"),
        ({"dtypes": ["int8"]}, "--dtype is 'int8'; it must be one of float32, float64, float16, bfloat16"),
        ({"losses": ["nll_loss"], "sizes": [(5,)]}, "--size is 5; one must have the form NxK for nll_loss"),
    ],
)
def test_what_is_unknown_is_named_with_what_it_must_be(given, said):
    with pytest.raises(WrongCommandError) as error:
        cases(**given)
    assert str(error.value).startswith(said)


@pytest.mark.parametrize("text", ["", "x", "10k", "1e6", "3x", "3x4x5x6", "3 4", "½", "٣", "1" * 16])
def test_a_malformed_size(text):
    with pytest.raises(WrongCommandError, match="it must be whole numbers, 1 or more") as error:
        parse_size(text)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize(
    ("text", "size"), [("5", (5,)), ("4096x1000", (4096, 1000)), ("1x2x3", (1, 2, 3)), ("-3", (-3,))]
)
def test_a_size_is_read(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("name", LOSSES)
def test_inputs_are_the_same_each_time_in_the_dtype_asked_for(name):
    loss = LOSSES[name]
    size = (6, 5, 4)[: len(plan.KINDS[loss.kind])]
    first, second = (plan.make_inputs(loss, size, "bfloat16", "cpu") for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert {item.dtype for item in first if item.is_floating_point()} == {torch.bfloat16}
    assert not any(item.requires_grad for item in first)


def test_the_traffic_is_each_input_and_each_result_once():
    mse, nll = LOSSES["mse_loss"], LOSSES["nll_loss"]
    pair = plan.make_inputs(mse, (100,), "float32", "cpu")
    assert traffic(mse, pair, FORWARD) == 2 * 400 + 4
    assert traffic(mse, pair, BOTH) == 3 * 400 + 4
    picked = plan.make_inputs(nll, (10, 30), "float32", "cpu")
    assert traffic(nll, picked, FORWARD) == 10 * (4 + 8) + 4
    assert traffic(nll, picked, BOTH) == 10 * (4 + 8) + 10 * 30 * 4 + 4
    linear = LOSSES["linear_cross_entropy"]
    hidden = plan.make_inputs(linear, (3, 4, 5), "float32", "cpu")
    assert traffic(linear, hidden, BOTH) == 2 * 4 * (12 + 20) + 3 * 8 + 4


def test_the_traffic_agrees_with_what_is_counted():
    from lossbook.bench.implementations import implementation
    from lossbook.bench.running import passing
    from lossbook.timing.work import work_of

    for name in ("mse_loss", "kl_div", "cross_entropy", "binary_cross_entropy"):
        loss = LOSSES[name]
        inputs = plan.make_inputs(loss, (64, 32)[: len(plan.KINDS[loss.kind])], "float32", "cpu")
        for passes in plan.PASSES:
            call, args = passing(implementation(name, "pytorch", "cpu"), inputs, loss, passes)
            assert work_of(call, *args).bytes == pytest.approx(traffic(loss, inputs, passes), abs=64), (name, passes)
