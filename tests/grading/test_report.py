"""The report: what is in it, that nothing a student wrote can do anything in it, and what it costs."""

import csv
import io
import re
import time
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from lossbook.exercises import exercises
from lossbook.grading.keep.gradebook import Book
from lossbook.grading.keep.records import Listed, Mark, Record, Waiting
from lossbook.grading.tell import report
from lossbook.grading.tell.mathematics import formula
from lossbook.grading.tell.wording import plain, told

X = tuple(float(x) for x in range(-3, 4))
DRAWING = {"xlabel": "z", "ylabel": "loss", "x": X, "mine": [None, *X[1:]], "right": [x * x for x in X]}
FAILED = Mark(
    "sigmoid", "failed", 0.0, 2.0, 9,
    (("sigmoid([100.])", "a large logit", "got      nan\nexpected 1"),
     ("sigmoid([0.])", "", "got      1\nexpected 0.5")),
    4, "the minus forgotten", "What sign has `log(p)` when $p < 1$?", "Look at $e^{-z}$.", DRAWING,
)  # fmt: skip
PASSED = Mark("odds", "passed", 1.0, 1.0, 5)
BLANK = Mark("entropy", "not attempted", 0.0, 1.0, 5)
RECORD = Record(
    "ann.ipynb", "Ann", "bce", 1, False, "aa", "graded", "", 1.0, 4.0, 2.5, "namespaces", (PASSED, FAILED, BLANK),
    ((3, "NameError: name 'torhc' is not defined"),), ("cell 5 names torch._C",),
)  # fmt: skip

EVIL = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "{{7*7}}{% raw %}",
    "</style></title></pre></textarea><script src=//x>",
    "<!-- -->]]><svg/onload=alert(1)>",
    "javascript:alert(1)",
    "=cmd()|' /C calc'!A0",
    "\u202egnp.exe\u2066",
    "a\x00b\x1b[31m\r\nnew line\u2028more",
    "lone \udcff surrogate",
    "Z" + "\u0301" * 500,
    "long " * 100_000,
    "../../etc/passwd",
    "",
    "`<b>` and $<b>$ and *<b>*",
]
TAGS = """
    html head meta title style body header main section nav footer article figure figcaption h1 h2 h3 p a strong em
    small span i br bdi code pre ul li dl dt dd div table thead tbody tr th td caption svg path rect text
    math mrow mi mo mn mspace msub msup msubsup mfrac msqrt mover
"""
VOID = {"meta", "br"}


class Reader(HTMLParser):
    """Reads a page and refuses what the templates would never write."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.links, self.counts = [], [], [], {}

    def handle_starttag(self, tag, attrs):
        assert tag in TAGS.split(), f"an unknown tag came out: {tag}"
        self.counts[tag] = self.counts.get(tag, 0) + 1
        for name, value in attrs:
            assert not name.startswith("on"), f"an event came out: {name}"
            if name == "href":
                self.links.append(value)
                assert re.fullmatch(r"#[a-z0-9-]+|grades\.csv|students/[a-z0-9-]+\.html", value), value
            assert name not in ("src", "srcdoc", "action", "formaction")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    def handle_comment(self, data):
        raise AssertionError(f"a comment came out: {data}")


def read(path):
    source = path.read_text("utf-8")
    reader = Reader()
    reader.feed(re.sub(r"<title>(ylabel|[^<]* against [^<]*)</title>", "", source))
    reader.close()
    assert reader.open == []
    assert source.count("<title>") - source.count("<svg xmlns") <= 1
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in source.replace("&#39;", "'")
    return reader, " ".join("".join(reader.text).split())


def written(tmp_path, *records, finish=True, seed=20, titles=None, waiting=()):
    with Book(tmp_path) as book:
        isolation = records[0].isolation if records else "namespaces"
        run = book.begin([Waiting(key, key) for key in waiting], seed=seed, isolation=isolation, root="/s")
        for record in records:
            book.save(run, record)
        if finish:
            book.finish(run)
        return report.write(book, titles=titles)


def table(path):
    source = path.read_bytes()
    assert source.startswith(b"\xef\xbb\xbf")  # so that Excel reads it as UTF-8
    return list(csv.DictReader(io.StringIO(source.decode("utf-8-sig"), newline="")))


def test_a_students_page_says_what_was_found(tmp_path):
    summary = written(tmp_path, RECORD, titles={"bce": "Lesson 3: BCE"})
    assert (summary.students, summary.records, summary.states, summary.waiting) == (1, 1, {"graded": 1}, 0)
    assert (summary.points, summary.out_of, summary.forgeable) == (1.0, 4.0, 0)
    path = tmp_path / "students" / report.page_name("Ann")
    reader, text = read(path)
    assert "Lesson 3: BCE" in text
    assert "1 of 4 points" in text
    assert "1 of 3 exercises is right." in text
    assert "It looks like: the minus forgotten." in text
    assert "What sign has log(p) when p<1?" in text
    assert "4 of 9 cases differ; here are the first 2." in text
    assert "sigmoid([100.]) got nan expected 1" in text
    assert "A hint. Look at e−z." in text
    assert "Cell 3: NameError: name 'torhc' is not defined" in text
    assert "torch._C" not in text  # remarks are for the teacher
    assert "loss against z: the right curve, and yours, dashed" in path.read_text()
    assert "<math>" in path.read_text()
    assert "script" not in reader.counts


def test_the_teachers_page_says_what_was_found(tmp_path):
    unreadable = replace(
        RECORD, key="bob", student="Bob", state="unreadable", reason="no JSON", points=0.0, marks=(), remarks=()
    )
    third = replace(RECORD, key="eve", student="Eve", points=4.0, late=True, remarks=())
    summary = written(tmp_path, RECORD, unreadable, third)
    reader, text = read(summary.index)
    assert "3 students · seed 20" in text
    assert "Handed in3 1 late" in text
    assert "Median62% 2.5 of 4" in text
    assert "All points1" in text
    assert "2 students in sigmoid: the minus forgotten." in text
    assert "Bob · unreadable · no JSON" in text
    assert "Ann · cell 5 names torch._C" in text
    assert "forged" not in text
    assert "wait to be graded" not in text
    names = [f"students/{report.page_name(name)}" for name in ("Ann", "Bob", "Eve")]
    assert reader.links[-3:] == names
    hardest = re.findall(r"<code>(\w+)</code>", summary.index.read_text())[:3]
    assert set(hardest[:2]) == {"sigmoid", "entropy"}
    assert hardest[2] == "odds"
    assert 'aria-label="Students by score: 0 from 0 to 10 percent, 0 from 10 to 20 percent, 1 from' in (
        summary.index.read_text()
    )


def test_no_isolation_is_said_loudly(tmp_path):
    summary = written(tmp_path, replace(RECORD, isolation="none"))
    _, text = read(summary.index)
    assert summary.forgeable == 1
    assert "These marks may have been forged." in text
    assert "1 submission was run without isolation" in text


def test_what_waits_is_said(tmp_path):
    summary = written(tmp_path, RECORD, finish=False, waiting=("a", "b"))
    assert summary.waiting == 2
    assert "2 submissions still wait to be graded." in read(summary.index)[1]


def test_an_empty_book_makes_a_page(tmp_path):
    summary = written(tmp_path)
    assert summary.records == 0
    assert "Nothing is graded yet." in read(summary.index)[1]
    assert table(summary.grades) == []


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("partial", "a part could not be judged"),
        ("timed out", "ran longer than is allowed"),
        ("killed", "stopped by force"),
        ("unreadable", "No notebook could be read"),
        ("not attempted", "Nothing is attempted yet."),
    ],
)
def test_every_state_has_its_words(tmp_path, state, said):
    marks = {"unreadable": (), "not attempted": (BLANK,)}.get(state, (PASSED, replace(FAILED, state="lost")))
    written(tmp_path, replace(RECORD, state=state, reason="the reason", marks=marks))
    _, text = read(tmp_path / "students" / report.page_name("Ann"))
    assert said in text
    assert "the reason" in text
    assert ("could not be judged · 0 of 2 points" in text) == (len(marks) == 2)


def test_one_lesson_makes_a_column_of_each_exercise(tmp_path):
    lost = replace(RECORD, key="b", student="Bob", marks=(PASSED, replace(FAILED, state="lost")))
    unreadable = replace(RECORD, key="c", student="Cy", lesson="", state="unreadable", out_of=0.0, marks=())
    rows = table(written(tmp_path, RECORD, lost, unreadable).grades)
    assert list(rows[0])[:12] == list(report.HEADINGS)
    first = {"student": "Ann", "lesson": "bce", "points": "1", "out_of": "4", "percent": "25.0", "state": "graded"}
    assert first.items() <= rows[0].items()
    assert {"late": "no", "attempt": "1", "seed": "20", "isolation": "namespaces", "reason": ""}.items() <= rows[
        0
    ].items()
    assert [(row["odds"], row["sigmoid"], row["entropy"]) for row in rows] == [
        ("1", "0", "0"),
        ("1", "", ""),
        ("", "", ""),
    ]
    assert rows[2]["percent"] == ""
    assert not (tmp_path / "exercises.csv").exists()


def test_several_lessons_make_a_second_table(tmp_path):
    other = replace(RECORD, key="2", lesson="mse", marks=(replace(PASSED, function="mse"),))
    summary = written(tmp_path, RECORD, other)
    assert list(table(summary.grades)[0]) == list(report.HEADINGS)
    rows = table(tmp_path / "exercises.csv")
    assert [(row["lesson"], row["exercise"], row["points"]) for row in rows] == [
        ("bce", "odds", "1"), ("bce", "sigmoid", "0"), ("bce", "entropy", "0"), ("mse", "mse", "1"),
    ]  # fmt: skip
    assert rows[1]["misconception"] == "the minus forgotten"
    _, text = read(summary.index)
    assert "1 student · 2 lessons" in text
    assert "Your results in 2 lessons" in read(tmp_path / "students" / report.page_name("Ann"))[1]


def test_only_what_counts_is_in_the_report(tmp_path):
    written(tmp_path, RECORD)
    summary = written(tmp_path, replace(RECORD, attempt=2, points=4.0))
    assert [(row["attempt"], row["points"]) for row in table(summary.grades)] == [("2", "4")]
    assert [path.name for path in (tmp_path / "students").iterdir()] == [report.page_name("Ann")]
    assert not list(tmp_path.rglob("*.part"))


def test_a_page_that_is_nobodys_any_more_is_taken_away(tmp_path):
    written(tmp_path, replace(RECORD, student="CS101"))
    for name in ("notes.html", f".{report.page_name('Zed')}.0123abcd.part"):
        (tmp_path / "students" / name).touch()
    written(tmp_path, RECORD)
    names = {path.name for path in (tmp_path / "students").iterdir()}
    assert names == {report.page_name("Ann"), "notes.html"}, "what is not the report's own stays"


def hostile(number, text):
    mark = Mark(
        text, "failed", 0.0, 1.0, 3, ((text, text, text),) * 3, 3, text, text, text, {**DRAWING, "xlabel": text}
    )
    return Record(
        str(number), text, text, number, True, "aa", "killed", text, 0.0, 1.0, 1.0, "none", (mark,), ((number, text),),
        (text,),
    )  # fmt: skip


def test_nothing_a_student_wrote_does_anything(tmp_path):
    summary = written(tmp_path, *(hostile(number, text) for number, text in enumerate(EVIL)))
    pages = list((tmp_path / "students").iterdir())
    assert len(pages) == summary.students == len(EVIL)
    for path in [summary.index, *pages]:
        source = path.read_text("utf-8")
        reader, text = read(path)
        assert "script" not in reader.counts
        assert "img" not in reader.counts
        assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08\x0b-\x1f\u2028]", source)
        assert len(source) < 200_000
    _, text = read(summary.index)
    assert "{{7*7}}" in text
    assert "<script>alert(1)</script>" in text
    assert r"\u202egnp.exe\u2066" in text
    assert r"lone \udcff surrogate" in text
    assert "(no name)" in text


def test_nothing_a_student_wrote_is_a_formula(tmp_path):
    names = [*EVIL, "+1", "-1", "@SUM(A1)", " =1", "\t=1", "＝1", 'a,b;"c"\n=d']
    written(tmp_path, *(hostile(number, text) for number, text in enumerate(names)))
    for path in (tmp_path / "grades.csv", tmp_path / "exercises.csv"):
        rows = table(path)
        assert len(rows) == len(names)
        for row in rows:
            for value in row.values():
                assert not value.lstrip().startswith(("=", "+", "-", "@", "＝"))
                assert "\n" not in value
                assert "\r" not in value
                assert len(value) <= 5000
    assert report.guarded("=1") == "'=1"
    assert report.guarded("José") == "José"


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_no_formula_hides_behind_another_separator(tmp_path, separator):
    names = ["Bo;=cmd|' !'!A0", "a\t=1", 'b;"=1', "c; +1", "d|-1", "e;\"' @x", "f;＝1", '"=1', "g,=1", "'=1"]
    written(tmp_path, *(hostile(number, text) for number, text in enumerate(names)))
    for path in (tmp_path / "grades.csv", tmp_path / "exercises.csv", tmp_path / "files.csv"):
        text = path.read_text(encoding="utf-8-sig")
        for line in text.splitlines():
            # As a spreadsheet cuts a line: a quote has a meaning at the beginning of a field alone.
            for field in next(csv.reader([line], delimiter=separator)):
                assert not field.strip(" \"'").startswith(tuple("=+-@＝")) or field.lstrip(' "').startswith("'")
        assert all(field.startswith('"') for field in re.findall(r'(?:^|(?<=",))[^,]+', text.splitlines()[0]))


def test_every_field_is_quoted_and_excel_has_a_table_of_its_own(tmp_path):
    written(tmp_path, replace(RECORD, student='Zoë "Z" Ångström'))
    first, second = (tmp_path / "grades.csv").read_text(encoding="utf-8-sig").splitlines()
    assert first.startswith('"student","lesson","points"')
    assert second.startswith('"Zoë ""Z"" Ångström","bce","1","4","25.0"')
    source = (tmp_path / "grades-excel.csv").read_bytes()
    assert source.startswith(b"\xff\xfe")
    for_excel = list(csv.DictReader(io.StringIO(source.decode("utf-16"), newline=""), delimiter="\t"))
    assert for_excel == table(tmp_path / "grades.csv")


def test_files_that_do_not_count_are_named_with_the_reason(tmp_path):
    second = replace(RECORD, key="ann (1).ipynb", points=4.0)
    with Book(tmp_path) as book:
        run = book.begin([], seed=1, isolation="namespaces", root="/s")
        book.save(run, RECORD)
        book.save(run, second)
        why = "ann (1).ipynb counts: its name has the higher number"
        listed = [Listed(RECORD.key, "Ann", 1, why), Listed(second.key, "Ann", 2, "its name has the higher number")]
        book.census("/s", [*listed, Listed("<b>roster.csv", "", 0, "it is no notebook"), Listed("new.ipynb", "Bo", 1)])
        summary = report.write(book)
    assert [row["points"] for row in table(summary.grades)] == ["4"]
    rows = [(row["file"], row["student"], row["standing"], row["why"]) for row in table(tmp_path / "files.csv")]
    assert rows == [
        ("ann (1).ipynb", "Ann", "counts", ""),
        ("ann.ipynb", "Ann", "superseded", why),
        ("<b>roster.csv", "", "not used", "it is no notebook"),
        ("new.ipynb", "Bo", "waiting", ""),
    ]
    assert [each.key for each in summary.idle] == ["ann.ipynb", "<b>roster.csv"]
    _, text = read(summary.index)
    assert f"ann.ipynb · Ann · superseded · {why}" in text
    assert "<b>roster.csv · not used · it is no notebook" in text


def test_names_of_pages_are_safe(tmp_path):
    names = [*EVIL, "Ann", "ANN", "ann", "Ann ", "Ánn", "CON", "nul", "a/b", "a\\b", "日本", "", ".", "..", "x" * 300]
    pages = [report.page_name(name) for name in dict.fromkeys(names)]
    assert len({page.lower() for page in pages}) == len(pages)
    for page in pages:
        assert re.fullmatch(r"[a-z0-9][a-z0-9-]*-[0-9a-f]{16}\.html", page)
        assert len(page.encode()) <= 100
    assert report.page_name("Ann") == "ann-17239b6e25011033.html"


@pytest.mark.parametrize(
    "drawing",
    [
        None,
        {},
        {**DRAWING, "x": []},
        {**DRAWING, "x": X[:3]},
        {**DRAWING, "right": [None] * 7},
        {**DRAWING, "x": ["<b>"] * 7},
        {**DRAWING, "x": None},
        {**DRAWING, "right": "<script>"},
    ],
)
def test_what_cannot_be_drawn_is_left_out(drawing):
    assert report.drawn(drawing) is None


def test_what_is_no_number_is_not_drawn():
    inf, nan = float("inf"), float("nan")
    drawn = report.drawn({**DRAWING, "mine": [inf, -inf, nan, "<script>", True, 10**400, 1e299], "ylabel": "p < 1"})
    assert "script" not in drawn
    assert "nan" not in drawn
    assert "inf" not in drawn
    assert "p &lt; 1" in drawn
    report.drawn({**DRAWING, "right": [1e299, -1e299, *X[2:]]})
    report.drawn({**DRAWING, "x": [0.0] * 7})


def test_a_long_label_is_told_below():
    long = {**DRAWING, "xlabel": "the first of three predictions, in a column; the others are right"}
    assert report.caption(long) == f"From left to right: {long['xlabel']}. Upwards: loss."
    assert report.caption(DRAWING) == ""


def test_every_formula_of_the_course_is_drawn():
    texts = [text for found in exercises().values() for text in found.hints]
    texts += [wrong.advice for found in exercises().values() for wrong in found.misconceptions]
    formulas = [tex for text in texts for tex in re.findall(r"\$([^$\n]+)\$", text)]
    assert [tex for tex in formulas if not formula(tex).startswith("<math>")] == []


UNKNOWN = ["{" * 9999, r"\sqrt" * 9999, "x^", "}", "x_1_2", r"\frac{1}", "\\", r"\evil{x}", "{x", r"\text{a & b}"]
UNKNOWN += [r"\text{<script>alert(1)</script>}", r"\text{</mtext><img src=x onerror=y>}", r"\href{u}{x}"]


@pytest.mark.parametrize("tex", UNKNOWN)
def test_a_formula_beyond_what_is_known_is_shown_as_code(tex):
    assert formula(tex).startswith("<code>")


@pytest.mark.parametrize(
    "tex",
    [r"\mathbb{R}", r"\boldsymbol{x}^\top", r"\rho", r"\lfloor x \rfloor", r"\begin{cases} 1 & x \\ 0 & y \end{cases}"],
)
def test_what_later_hints_need_is_drawn(tex):
    assert formula(tex).startswith("<math>")


def test_a_name_of_a_function_stands_apart():
    gap = '<mspace width=".17em"></mspace>'
    assert gap in formula(r"\log p")
    assert gap in formula(r"\log_2 p")
    assert gap not in formula(r"\log (p) + \mathrm{e}^x")


def test_texts_of_the_course_are_set():
    assert told("*all* `a < b` $p_k$") == (
        "<em>all</em> <code>a &lt; b</code> <math><mrow><msub><mi>p</mi><mi>k</mi></msub></mrow></math>"
    )


def test_texts_are_made_plain():
    assert plain("a\tb\nc") == "a b c"
    assert plain("a\r\nb", lines=True) == "a\nb"
    assert plain("x" * 300, 10) == "xxxxxxxxx…"
    assert plain("می\u200cخواهم 日本 é\xa0") == "می\u200cخواهم 日本 é "
    assert len(plain("e" + "\u0301" * 500, 999)) == 5


def test_a_thousand_pages_are_written_in_seconds(tmp_path):
    records = [replace(RECORD, key=str(n), student=f"student {n}", marks=(PASSED, FAILED, FAILED)) for n in range(1000)]
    with Book(tmp_path) as book:
        run = book.begin([], seed=1, isolation="namespaces", root="/s")
        for record in records:
            book.save(run, record)
        start = time.process_time()
        assert report.write(book).students == 1000
        assert time.process_time() - start < 8  # about one second on a quiet machine
