"""The picture of a failed check: an image that says in words what it shows."""

import base64
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

from lossbook.checks.showing import HEIGHT, LEFT, RIGHT_ONE, TOP, WIDTH, picture, svg, words
from lossbook.exercises import check

X = [-2.0, -1.0, 0.0, 1.0, 2.0]
RIGHT = [0.0, 1.0, 2.0, 3.0, 4.0]


class Elements(HTMLParser):
    """What elements a text has, and what it says outside of them."""

    def __init__(self, text):
        super().__init__()
        self.found, self.said = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.said.append(data)


def opened(element):
    """Return the attributes of an image element, and the SVG that it holds."""
    ((tag, attributes),) = Elements(element).found
    assert tag == "img"
    start = "data:image/svg+xml;base64,"
    assert attributes["src"].startswith(start)
    return attributes, ET.fromstring(base64.b64decode(attributes["src"].removeprefix(start)))


def test_it_is_an_image_and_nothing_that_a_sanitizer_takes_apart():
    element = picture(X, [0.0] * 5, RIGHT, "z", "p")
    attributes, root = opened(element)
    assert attributes.keys() == {"src", "width", "height", "alt"}  # JupyterLab leaves these to what it does not trust
    assert Elements(element).said == []
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert attributes["alt"] == words(X, [0.0] * 5, RIGHT, "z", "p")


def test_labels_are_words_and_never_elements():
    label = "a < b & \"c\" 'd' <script>alert(1)</script>"
    attributes, root = opened(picture(X, RIGHT, RIGHT, label, label))
    assert attributes["alt"].startswith(f"{label} against {label}, from -2 to 2.")
    assert {item.tag.split("}")[1] for item in root.iter()} <= {"svg", "title", "rect", "path", "text"}
    assert any(item.text == f"{label} → {label}" for item in root.iter())


def test_the_ground_is_light_so_that_it_can_be_read_on_a_dark_page():
    _, root = opened(picture(X, RIGHT, RIGHT, "z", "p"))
    ground = root.find("{*}rect")
    assert (ground.get("width"), ground.get("height"), ground.get("fill")) == (str(WIDTH), str(HEIGHT), "white")
    assert "<rect" not in svg(X, RIGHT, RIGHT, "z", "p")


@pytest.mark.parametrize("heights", [RIGHT, RIGHT[::-1], [4.0] * 5], ids=["rising", "falling", "flat"])
def test_the_names_of_the_curves_do_not_lie_on_them(heights):
    root = ET.fromstring(svg(X, [9.0, -9.0, 2.0, None, 1.0], heights, "z", "p"))
    names = [item for item in root.findall("{*}text") if item.text in ("— right", "- - yours")]
    assert len(names) == 2
    curves = [item.get("d") for item in root.findall("{*}path")]
    highest = min(float(up) for d in curves for up in re.findall(r"[ML][\d.]+ ([\d.]+)", d))
    assert highest >= TOP
    assert all(float(item.get("y")) + 4 <= TOP for item in names)


def test_a_curve_has_a_gap_where_a_call_failed():
    root = ET.fromstring(svg(X, [0.0, 1.0, None, 3.0, 4.0], RIGHT, "z", "p"))
    own = next(item for item in root.findall("{*}path") if item.get("stroke-dasharray"))
    assert (own.get("d").count("M"), own.get("d").count("L")) == (2, 2)
    whole = next(item for item in root.findall("{*}path") if item.get("stroke") == RIGHT_ONE)
    assert (whole.get("d").count("M"), whole.get("d").count("L")) == (1, 4)
    assert own.get("d").startswith(f"M{LEFT:.1f} ")


@pytest.mark.parametrize(
    ("mine", "right", "said"),
    [
        ([0.0, 1.0, 2.0, 9.0, 4.0], RIGHT, "Yours differs most at 1: 9, where 3 is right."),
        ([0.5, 1.0, 2.0, 3.0, 4.0], RIGHT, "Yours differs most at -2: 0.5, where 0 is right."),
        ([None, 1.0, 2.0, 3.0, 5.0], RIGHT, "most at 2: 5, where 4 is right. Yours has no value at 1 of 5 points."),
        ([None] * 5, RIGHT, "Yours has no value anywhere."),
        ([1.0] + [None] * 4, [None, 1.0, 2.0, 3.0, 4.0], "Yours has no value where the right curve has one."),
        (RIGHT, RIGHT, "Yours lies on it."),
        ([5.0] * 5, [5.0] * 5, "Yours lies on it."),
        ([6.0] * 5, [5.0] * 5, "Yours differs most at -2: 6, where 5 is right."),
        ([0.0] * 5, [0.0, 0.0, 0.0, 0.0, 0.0], "Yours lies on it."),
        ([0.0, 1.0, 1e30, 3.0, 4.0], RIGHT, "Yours differs most at 0: 1e+30, where 2 is right."),
        ([1.0, 1.0, 2.0, 3.0, 4.0], [None, 1.0, 2.0, 3.0, 3.5], "Yours differs most at 2: 4, where 3.5 is right."),
    ],
)  # fmt: skip
def test_the_words_say_where_the_curves_are_furthest_apart(mine, right, said):
    text = words(X, mine, right, "logit z", "probability")
    assert text.startswith("probability against logit z, from ")
    assert text.endswith(said)


def test_a_failed_check_shows_it():
    def sigmoid(z):
        return z * 0 + 0.25

    elements = Elements(check(sigmoid)._repr_html_())
    (image,) = [attributes for tag, attributes in elements.found if tag == "img"]
    assert "Yours differs most at" in image["alt"]
    assert not any(tag == "svg" for tag, _ in elements.found)
    assert "→" not in "".join(elements.said)  # of the picture's labels nothing is left over
    calls = [attributes for tag, attributes in elements.found if tag == "pre"]
    assert len(calls) > 1
    assert all("margin-bottom:1em" in attributes["style"] for attributes in calls)
