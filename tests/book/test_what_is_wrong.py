"""The page for who is stuck: its contents lead to each symptom, and the messages are what PyTorch says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lossbook.prose.rules import read

PAGE = Path(__file__).parents[2] / "book" / "what-is-wrong.md"
TEXT = PAGE.read_text(encoding="utf-8")
CONTENTS = TEXT[: TEXT.index("\n## ")]
PIECES = re.split(r"^(?=\((?:wrong-[\w-]+)\)=$|## )", TEXT, flags=re.MULTILINE)
SECTIONS = {piece[1 : piece.index(")")]: piece for piece in PIECES if re.match(r"\((wrong-[\w-]+)\)=\n### ", piece)}

HELD = {name for cell in read(PAGE).cells for name in cell.claims}


def test_the_contents_lead_to_each_symptom_and_to_the_table():
    led = re.findall(r"<(wrong-[\w-]+)>", CONTENTS)
    assert set(led) == {*SECTIONS, "wrong-numbers"}
    assert len(SECTIONS) == len(re.findall(r"^### ", TEXT, re.MULTILINE)), "each symptom has its anchor"


@pytest.mark.parametrize("label", SECTIONS)
def test_a_symptom_has_a_short_program_and_a_reason_that_is_checked(label):
    body = SECTIONS[label]
    prose = re.sub(r"^```.*?^```$", "", body, flags=re.MULTILINE | re.DOTALL)
    names = re.findall(r"<([\w-]+)>`+", " ".join(re.findall(r"\{claim\}.*?>`+", prose, re.DOTALL)))
    assert names
    assert set(names) <= HELD
    shown = re.findall(r"^```(?:\{code-cell\} python3|python)\n(?!:tags: \[remove-cell)(.*?)^```$", body, re.M | re.S)
    assert sum(len(code.splitlines()) for code in shown) in range(2, 26)


def test_each_message_in_the_contents_is_asserted_in_its_section():
    for line in re.findall(r"^- (.*)$", CONTENTS, re.MULTILINE):
        (label,) = re.findall(r"<(wrong-[\w-]+)>", line)
        body = SECTIONS[label]
        strings = re.sub(r'"\s*f?"', "", body)  # a text that is broken over lines
        bare = " ".join(re.sub(r"\([^()]*(?:\([^()]*\))?[^()]*\) ?", "", strings).split())
        for message in re.findall(r"`([^`]+)`", re.sub(r"\{ref\}`[^`]+`", "", line)):
            assert message in strings or message in bare, message
