"""Thousands of damaged notebooks and archives: each is read, or refused in one line, and none stops the grader."""

import copy
import io
import json
import random
import time
import zipfile
from pathlib import Path

import pytest

from lossbook.grading.read.finding import NotFoundError, find
from lossbook.grading.read.handed_out import releases
from lossbook.grading.read.reading import Submission, UnreadableError, read

ROOT = Path(__file__).parents[2]
RELEASES = releases(ROOT / "lessons")
LESSON = json.loads((ROOT / "lessons/03-bce.ipynb").read_text(encoding="utf-8"))
LESSON["cells"] = LESSON["cells"][:18]  # enough of everything, and fast
DATA = json.dumps(LESSON, indent=1).encode()
SECONDS = 2.0
STRANGE = [
    None,
    True,
    -1,
    1e308,
    float("nan"),
    10**400,
    "",
    "\0",
    "\ud800",
    "code",
    "x" * 10_000,
    [],
    {},
    [[]],
    [None],
    {"": None},
    ["\udfff\n"],
]


def is_reason(text):
    """Return whether a teacher can be shown the text: one line, and not empty."""
    return bool(text) and text.isprintable()


def survives(data, **options):
    """Read the data, and return whether it was a submission. Any other end fails the test."""
    start, submission, reason = time.process_time(), None, ""
    try:
        submission = read(data, RELEASES, **options)
    except UnreadableError as error:
        reason = str(error)
    assert time.process_time() - start < SECONDS
    if submission is None:
        assert is_reason(reason)
        return False
    assert isinstance(submission, Submission)
    assert submission.lesson in RELEASES
    assert len(submission.cells) == len(submission.numbers)
    assert all(cell.strip() for cell in submission.cells)
    "".join(submission.cells).encode("utf-8")
    return True


def damaged(data, rng):
    """Return the bytes with one to four random changes."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        here, length = rng.randrange(len(data) + 1), rng.choice([1, 2, 8, 100, 5000])
        match rng.randrange(6):
            case 0:
                for place in range(here, min(here + length % 9, len(data))):
                    data[place] ^= 1 << rng.randrange(8)
            case 1 if rng.random() < 0.3:
                del data[here:]
            case 2:
                data[here:here] = rng.randbytes(length)
            case 3:
                data[here:here] = data[here : here + length]
            case 4:
                del data[here : here + length]
            case _:
                data[here:here] = rng.choice(
                    [b'"', b"\\", b"\\ud800", b"{", b"]", b",", b"\0", b"\xff\xfe", b"\n", b"NaN"]
                )
    return bytes(data)


def places(tree):
    """Return every container below and at the tree that has something in it."""
    found, left = [], [tree]
    while left:
        node = left.pop()
        if isinstance(node, dict | list) and node:
            found.append(node)
            left.extend(node.values() if isinstance(node, dict) else node)
    return found


def deeper(value, rng):
    """Return the value inside lists and objects."""
    for _ in range(rng.choice([1, 2, 3, 50])):
        value = [value] if rng.random() < 0.5 else {rng.choice(["cells", "source", "x"]): value}
    return value


def restructured(rng):
    """Return a notebook with one to twelve parts dropped, replaced, deepened, doubled or exchanged."""
    tree = json.loads(DATA)
    for _ in range(rng.randint(1, 12)):
        # Half of the changes near the top, where they hurt most.
        nodes = places(tree)
        node = rng.choice(nodes[:30] if rng.random() < 0.5 else nodes)
        key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
        match rng.randrange(5):
            case 0:
                del node[key]
            case 1:
                node[key] = copy.deepcopy(rng.choice(STRANGE))
            case 2:
                node[key] = deeper(node[key], rng)
            case 3 if isinstance(node, dict):
                node[rng.choice(["cells", "worksheets", "input", "cell_type"])] = copy.deepcopy(node[key])
            case _ if isinstance(node, list):
                node.extend(copy.deepcopy(node[: rng.randint(1, 5)]))
        if not tree:
            break
    return json.dumps(tree).encode()


@pytest.mark.parametrize("seed", range(6))
def test_changed_bytes(seed):
    rng = random.Random(seed)
    read_of = sum(survives(damaged(DATA, rng), name="03-bce.ipynb") for _ in range(600))
    assert 0 < read_of < 600  # the damage is neither harmless nor fatal throughout


@pytest.mark.parametrize("seed", range(4))
def test_changed_structure(seed):
    rng = random.Random(100 + seed)
    read_of = sum(survives(restructured(rng), lesson=rng.choice([None, "03-bce"])) for _ in range(500))
    assert 0 < read_of < 500


def test_every_length_near_the_ends_and_many_between():
    for size in [*range(300), *range(300, len(DATA), 97), *range(len(DATA) - 300, len(DATA))]:
        assert not survives(DATA[:size], lesson="03-bce")


def test_noise():
    rng = random.Random(7)
    for size in range(300):
        survives(rng.randbytes(size))
        survives(bytes(rng.choice(b'{}[]",:\\ue0 1\n') for _ in range(size)))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "utf-8-sig"])
def test_changed_bytes_of_other_encodings(encoding):
    rng = random.Random(encoding)
    data = json.dumps(LESSON, ensure_ascii=False).encode(encoding)
    for _ in range(60):
        survives(damaged(data, rng), lesson="03-bce")


def export(level):
    """Return a zip of two students' files and archives."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("alice/03-bce.ipynb", DATA)
        archive.writestr("bob_123_456_03-bce-1.ipynb", b'{"cells": []}')
        archive.writestr("carl/essay.pdf", b"no")
        if level:
            archive.writestr("dora.zip", export(level - 1))
    return data.getvalue()


def survives_search(root):
    """Find and read what is below the root, and return how many submissions could be read."""
    found, reason = [], ""
    try:
        found = find(root)
    except NotFoundError as error:
        reason = str(error)
    assert found or is_reason(reason)
    assert len({each.key for each in found}) == len(found)
    return sum(map(survives_reading, found))


def survives_reading(each):
    """Read one submission, and return whether that was possible."""
    assert all(map(str.isprintable, (each.key, each.student, each.name, each.problem)))
    assert each.student
    content, reason = None, ""
    try:
        content = each.read()
    except UnreadableError as error:
        reason = str(error)
    if content is None:
        assert is_reason(reason)
        return False
    return survives(content, name=each.name)


def test_changed_archives(tmp_path):
    rng = random.Random(8)
    data, path = export(1), tmp_path / "class.zip"
    table = data.rindex(b"PK\x01\x02") - 300
    read_of = 0
    for number in range(800):
        # Half of the damage in the table of contents at the end, which the bulk would hide.
        path.write_bytes(damaged(data, rng) if number % 2 else data[:table] + damaged(data[table:], rng))
        start = time.process_time()
        read_of += survives_search(path) + survives_search(tmp_path)
        assert time.process_time() - start < SECONDS
    assert read_of > 100
    assert list(tmp_path.iterdir()) == [path]


def of_cells(*cells):
    return json.dumps({"cells": cells}).encode()


@pytest.mark.parametrize(
    "line",
    [
        " " * 900_000,
        "a" * 900_000,
        "=" * 900_000,
        " =" * 450_000,
        "a," * 450_000 + "(",
        "!pip install lossbook" * 40_000,
    ],
)
def test_code_made_to_be_slow(line):
    start = time.process_time()
    for source in (line, line + "x", "import " + line, "%pip install lossbook\n" + line + "x", "def " + line):
        survives(of_cells({"cell_type": "code", "source": source}), lesson="03-bce")
    survives(of_cells({"cell_type": "markdown", "source": "#" + line + "\n" + line}))
    assert time.process_time() - start < 4
