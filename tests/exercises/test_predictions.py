"""What a student predicts is kept, and shown beside the truth when the check passes; it wins and costs nothing."""

from __future__ import annotations

import math

import pytest
import torch

from lossbook.checks import predictions, report
from lossbook.checks.exercise import Case, Exercise, Prediction
from lossbook.exercises import exercises, predict

ALL = [
    pytest.param(name, prediction, id=f"{name}-{prediction.name}")
    for name, exercise in exercises().items()
    for prediction in exercise.predictions
]


def half(x):
    return x / 2


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Exercise:
    monkeypatch.setattr(predictions, "_said", {})
    return Exercise(
        "sample.half",
        1,
        half,
        lambda generator: [Case((torch.tensor(4.0),))],
        predictions=(
            Prediction("at_four", "half of four", lambda: 4 / 2, "Four is two and two."),
            Prediction(
                "sign", "the sign of half of x", lambda: "that of x", "Two is positive.", ("that of x", "the other")
            ),
        ),
    )


def told(exercise: Exercise, function=half) -> str:
    return repr(report.run(function, exercise))


def test_a_right_and_a_wrong_one_are_told_when_the_check_passes(asked) -> None:
    kept = predictions.keep(asked, {"at_four": 2.01, "sign": "the other"})
    assert repr(kept) == "Kept: check(half) shows it beside the truth when it passes."
    assert "predicted" not in told(asked, lambda x: x)
    said = told(asked)
    assert "As you predicted, half of four is 2. Four is two and two." in said
    assert "You predicted the other, but the sign of half of x is that of x. Two is positive." in said
    assert report.run(half, asked).points == 1


@pytest.mark.parametrize("said", [{}, {"at_four": None, "sign": None}])
def test_what_was_not_predicted_is_told_too(asked, said) -> None:
    if said:
        assert "Not predicted yet: at_four, sign." in repr(predictions.keep(asked, said))
    assert "Not predicted: half of four is 2." in told(asked)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"at_four": "two"}, 'at_four is "two"; it must be a number'),
        ({"at_four": math.nan}, "at_four is nan; it must be a number"),
        ({"at_four": True}, "at_four is True; it must be a number"),
        ({"at_four": torch.ones(2)}, "at_four is [1, 1]; it must be a number"),
        ({"sign": 1}, 'sign is 1; it must be one of "that of x", "the other"'),
        ({"sign": ["that of x"]}, "it must be one of"),
        ({"five": 1}, "five is not asked here; what is asked is at_four, sign"),
    ],
)
def test_what_is_no_answer_is_refused_in_words_and_not_kept(asked, said, message) -> None:
    assert message in repr(predictions.keep(asked, said))
    assert "You predicted" not in told(asked)
    assert "Not predicted: half of four is 2." in told(asked)


def test_a_tensor_of_one_number_and_a_later_answer_count(asked) -> None:
    predictions.keep(asked, {"at_four": 7, "sign": None})
    predictions.keep(asked, {"at_four": torch.tensor(3.0), "sign": None})
    assert "You predicted 3, but half of four is 2." in told(asked)


@pytest.mark.parametrize("name", ["nothing", 7, None])
def test_an_unknown_function_is_told(name) -> None:
    assert "no exercise asks for a function called" in repr(predict(name, x=1))


@pytest.mark.parametrize(("name", "prediction"), ALL)
def test_what_the_course_asks_has_an_answer(name: str, prediction: Prediction) -> None:
    truth = prediction.truth()
    assert prediction.name.isidentifier()
    assert prediction.what
    assert prediction.why.endswith(".")
    if prediction.among:
        assert truth in prediction.among
        assert len({*prediction.among}) == len(prediction.among) >= 2
    else:
        assert not isinstance(truth, str)
        assert math.isfinite(truth)
        assert predictions.right(prediction, truth)


def test_names_of_predictions_are_unique_within_an_exercise() -> None:
    for exercise in exercises().values():
        names = [prediction.name for prediction in exercise.predictions]
        assert len({*names}) == len(names)
