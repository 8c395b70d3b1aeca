"""The picture shows every cell, is told apart without colour, and its words cannot go stale."""

from collections import Counter
from pathlib import Path

import jupytext
import matplotlib
import matplotlib.pyplot as plt
import pytest

from lossbook.stability import FORMS, Verdict, alternative, cells, draw, entries, findings, table, wrong
from lossbook.stability.picture import MARKS, MEANING

matplotlib.use("Agg")

ROOT = Path(__file__).parents[2]
CHAPTERS = sorted({entry.chapter for entry in entries()})


@pytest.fixture(scope="module")
def rows():
    return table("02-mse") + table("03-bce")


def luminance(colour):
    channels = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in matplotlib.colors.to_rgb(colour)]
    return 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2]


def test_every_verdict_has_a_mark_of_its_own_and_a_meaning():
    assert set(MARKS) == set(MEANING) == set(Verdict)
    assert len({mark for mark, _, _ in MARKS.values()}) == len(Verdict)


@pytest.mark.parametrize("verdict", Verdict, ids=lambda verdict: verdict.value)
def test_a_mark_stands_out_from_its_ground(verdict):
    _, ground, ink = MARKS[verdict]
    light, dark = sorted((luminance(ground), luminance(ink)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_the_picture_has_a_mark_for_each_cell_and_each_line_of_the_legend(rows):
    drawn = draw(rows)
    texts = Counter(text.get_text() for text in drawn.axes[0].texts)
    verdicts = Counter(verdict for row in rows for verdict in (row.of_value, row.of_gradient))
    for verdict, (mark, _, _) in MARKS.items():
        assert texts[mark] == verdicts[verdict] + 1
    assert {row.case for row in rows} | {row.loss for row in rows} <= set(texts)
    plt.close(drawn)


def test_nothing_in_the_picture_overlaps_or_leaves_it():
    for chapter in CHAPTERS:
        drawn = draw(table(chapter))
        drawn.canvas.draw()
        frame = drawn.bbox
        boxes = [text.get_window_extent() for text in drawn.axes[0].texts if len(text.get_text()) > 1]
        for k, box in enumerate(boxes):
            assert frame.x0 <= box.x0
            assert box.x1 <= frame.x1
            assert frame.y0 <= box.y0
            assert box.y1 <= frame.y1
            assert not any(box.overlaps(other) for other in boxes[k + 1 :])
        plt.close(drawn)


def test_no_rows_make_no_picture():
    with pytest.raises(ValueError, match="no rows"):
        draw([])


def test_the_words_count_what_the_picture_shows(rows):
    said = findings(rows)
    for loss in ("mse_loss", "binary_cross_entropy"):
        mine = [row for row in rows if row.loss == loss]
        counts = [str(cells(mine, "ours")), *(str(wrong(mine, form)) for form in FORMS)]
        assert any(line.split() == [loss, *counts] for line in said.splitlines())
    assert max(map(len, said.splitlines())) <= 88
    assert "z = ∞, y = 1 (every dtype: nan)" in said.replace("\n  ", " ")
    assert "smooth_l1_loss: r = 1e−4, β = 1e−3 (float16: underflow)" in said


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_page_shows_its_table_with_the_words_of_its_layout(chapter):
    pages = [jupytext.read(path, fmt="md:myst") for path in (ROOT / "book").glob(f"{chapter}*.md")]
    cells = [cell for page in pages for cell in page.cells if cell.cell_type == "code"]
    shown = [cell for cell in cells if "stability.draw(" in cell.source]
    assert len(shown) == 1, f"book/{chapter}.md and its second page draw {len(shown)} tables; they must draw one"
    assert f'stability.table("{chapter}")' in shown[0].source
    assert shown[0].metadata["mystnb"]["image"]["alt"] == alternative(chapter)
    assert any("stability.findings(" in cell.source for cell in cells)
