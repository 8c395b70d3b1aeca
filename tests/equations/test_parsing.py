"""Every construct of the grammar is read as what it is, and what is no mathematics is refused where it goes wrong."""

import pytest

from lossbook.equations.parsing import MathError, Node, name, parse


def only(latex: str) -> Node:
    tree = parse(latex)
    assert len(tree.parts) == 1
    return tree.parts[0].parts[0]


@pytest.mark.parametrize(
    ("latex", "kind"),
    [
        ("1", "num"),
        ("0.5", "num"),
        ("x", "sym"),
        (r"\varepsilon", "sym"),
        (r"\mathrm{BCE}", "sym"),
        (r"\text{odds}", "sym"),
        (r"\hat y", "sym"),
        ("x_n", "sub"),
        ("x_{n,k}", "sub"),
        ("x^2", "pow"),
        (r"x^{\top}", "transpose"),
        ("f'", "prime"),
        ("n!", "fact"),
        ("a b", "juxt"),
        (r"a \cdot b", "mul"),
        ("a / b", "frac"),
        (r"\frac{a}{b}", "frac"),
        (r"\dfrac12", "frac"),
        ("a - b", "add"),
        ("-a", "neg"),
        ("(a)", "group"),
        ("[a]", "group"),
        ("{a}", "group"),
        (r"\{ a, b \}", "set"),
        (r"\#\{ y_n < c \}", "count"),
        ("|a|", "abs"),
        (r"\lvert a \rvert", "abs"),
        (r"\vert a \vert", "abs"),
        (r"\lceil a \rceil", "ceil"),
        (r"\lVert a \rVert", "norm"),
        (r"\|a\|", "norm"),
        (r"\langle a, b \rangle", "inner"),
        (r"\binom{n}{k}", "binom"),
        (r"\sqrt{x}", "sqrt"),
        (r"\log x", "call"),
        (r"\max(a, b)", "call"),
        (r"\max\{a, b\}", "call"),
        (r"\sum_{n=1}^{N} x_n", "big"),
        (r"\prod_n x_n", "big"),
        (r"\int_0^1 x \, dx", "big"),
        (r"\operatorname*{arg\,min}_c f", "big"),
        (r"\arg\max_c f", "big"),
        (r"\underbrace{a}_{\text{word}}", "underbrace"),
        (r"\begin{cases} a & x > 0 \\ b & \text{otherwise} \end{cases}", "cases"),
        (r"\begin{cases} a, & \text{if } x > 0, \\ b, & \text{otherwise}. \end{cases}", "cases"),
        ("a = b", "chain"),
    ],
)
def test_each_construct_has_its_kind(latex: str, kind: str) -> None:
    assert only(latex).kind == kind


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"\hat y", r"\hat{y}"),
        (r"\widehat{y}", r"\hat{y}"),
        ("t_0", "t_{0}"),
        (r"\mathbf w", r"\mathbf{w}"),
        (r"\operatorname{E}[x]", r"\mathbb E[x]"),
        ("x_n^2", "x^2_n"),
        (r"\frac{1}{2}", r"\tfrac12"),
        (r"\left( a \right)", "(a)"),
        (r"\sum\nolimits_n x_n", r"\sum_n x_n"),
        (r"\|a\|", r"\lVert a \rVert"),
    ],
)
def test_one_thing_written_in_two_ways_is_read_as_one(one: str, other: str) -> None:
    assert name(only(one)) == name(only(other))


def test_what_a_display_is_made_of() -> None:
    tree = parse(r"a = b < c, \quad x > 0 \Longrightarrow y > 0 \\ p = q \quad \text{if} \quad n = m .")
    assert [len(item.parts) for item in tree.parts] == [1, 2, 2]
    assert [str(mark) for mark in tree.parts[0].parts[0].marks] == ["=", "<"]
    assert [mark.type for mark in tree.parts[2].marks] == ["IF"]


@pytest.mark.parametrize(
    ("latex", "items"),
    [
        (r"a &= b \\ &= c", 1),
        (r"a &= b , \\ c &= d .", 2),
        (r"a &= b \\ + c", 1),
        (r"a = f(b, c), d = e", 2),
        (r"\begin{aligned} a &= b \\[4pt] c &= d \end{aligned}", 2),
    ],
)
def test_rows_go_on_or_end(latex: str, items: int) -> None:
    assert len(parse(latex).parts) == items


@pytest.mark.parametrize(
    ("latex", "items"),
    [
        (r"2 x = 3 x \\ -x = 2 x", 2),
        (r"2 x &= 3 x \\ -x &= 2 x", 2),
        (r"& 2 x = 3 x \\ & -x = 2 x", 2),
        (r"2 x = 3 x, \\ -x = 2 x", 2),
        (r"a = b \iff c = d \\ -c = -d", 2),
        (r"a = b \quad \text{if } c > 0 \\ -c = d", 2),
        (r"a < b \\ -b < -a \\ -c = d", 3),
        (r"a = b \\ c \\ = d", 2),
        (r"a \\ = b \\ -c \le d", 2),
        # one long sum, or one long product
        (r"a \\ - b = c", 1),
        (r"a = b \\ - c", 1),
        (r"a = b \\ \quad - c", 1),
        (r"a &= b \\ & - c", 1),
        (r"a &= b \\ &\quad - c \\ &= d", 1),
        (r"a &= b \\ &\quad - c = d", 1),
        (r"a &= b \\ &{} - c = d", 1),
        (r"a &= b \\ &+ c = d", 1),
        (r"a &= b \\ + c &= d", 1),  # no statement begins with a plus
        (r"a = b - \\ c = d", 1),
        (r"a = b \\ + c \\ = d", 1),
        (r"a = b \\ \cdot c = d", 1),
        (r"a = b \\ / c", 1),
        (r"a = \Bigl[ b \\ + c \Bigr] d", 1),
        (r"a = \\ b", 1),
        (r"a = b \\ \text{if } c > 0", 1),
        (r"a = b \\ \iff c = d", 1),
        # lines and spaces within a row
        ("a\n= b\n+ c\n= d", 1),
        ("a = b\n+ c = d", 1),
        ("a = b\n- c", 1),
        ("a = b -\nc = d", 1),
        ("a = b\n\\exp(c)", 1),
        ("a = b \\cdot\nc = d", 1),
        ("\\frac{d}{d a}\n[ b ] = c", 1),
        ("a = \\frac{b}\n{c} = d", 1),
        ("a = b_\nc = d", 1),
        ("a = b, \\qquad c = d", 2),
        ("a = b,\n-c = d", 2),
        (r"a &= b && = c", 1),
        (r"a &= b &+ c &- d", 1),
    ],
)
def test_what_stands_around_a_row_s_end_or_a_new_line_tells_whether_a_statement_ends(latex: str, items: int) -> None:
    assert len(parse(latex).parts) == items


ROW = "it cannot be told whether this row goes on the row above"
NEW = "it cannot be told whether a new statement begins here"


@pytest.mark.parametrize(
    ("latex", "at", "said"),
    [
        (r"2 x = 3 x \\ -x \\ = 2 x", "-x", ROW),
        (r"2 x = 3 x \\ \quad -x = 2 x", "-x", ROW),
        (r"2 x &= 3 x \\ & -x = 2 x", "-x", ROW),
        (r"a = b \quad \text{if } c > 0 \\ + d = e", "+ d", ROW),
        (r"2 x &= 3 x \\ & y = x", "y", ROW),
        (r"a = b \quad \text{if } c > 0 \\ - d", "- d", ROW),
        (r"a = b \quad \text{if } c > 0 \\ = d", "= d", "put the condition last"),
        ("a = b \\quad \\text{if } c > 0\n= d", "= d", "put the condition last"),
        (r"a = ( b \\ c )", "c", "a row ends inside brackets"),
        ("x^2 = x\nx = x^2", "x = x^2", NEW),
        ("x^2 = x\n(x) = x^2", "(x)", NEW),
        ("x^2 = x\n\\log x = x^2", r"\log", NEW),
        ("x^2 = x\nx\n= x^2", "x\n= x^2", NEW),
        ("a = |b|\n|c| = d", "|c|", NEW),
        ("[a = b\nc = d] = 1", "c", NEW),
        ("2 x = 3 x\n-x = 2 x", "-x", NEW),
        ("2 x = 3 x\n-x\n= 2 x", "-x", NEW),
        ("a = b \\iff c = d\ne = f", "e", NEW),
        (r"x^2 = x \qquad x = x^2", "x = x^2", NEW),
        (r"2 x = 3 x \qquad -x = 2 x", "-x", NEW),
        (r"2 x = 3 x \; \; -x = 2 x", "-x", NEW),
        (r"|x| = x \quad (x > 0)", "(x > 0)", NEW),
        (r"x^2 &= x & x &= x^2", "x &= x^2", NEW),
        (r"2 x &= 3 x & -x &= 2 x", "-x", NEW),
    ],
)
def test_what_could_be_one_statement_or_two_is_refused(latex: str, at: str, said: str) -> None:
    with pytest.raises(MathError) as caught:
        parse(latex)
    assert said in str(caught.value)
    assert caught.value.position == latex.rindex(at)


@pytest.mark.parametrize(
    "latex",
    [
        "2 e^3",
        "2 e x",
        "l n",
        "x_{max}",
        "x_{ln}",
        r"\log \sum_n a_n",
        r"\log \log a",
        r"\log(a) \log b",
        "2 a 3^n",
        r"2 \cdot 3",
        r"2 (3)",
        r"\log^2 a",
        r"\frac12 \frac{a}{2}",
        r"\begin{aligned}[t] a \end{aligned}",
    ],
)
def test_what_can_be_read_in_one_way_is_read(latex: str) -> None:
    assert only(latex)


def test_a_bar_ends_what_a_bar_in_the_same_brackets_began() -> None:
    inner = only("|a + (|b|)|")
    assert inner.kind == "abs"
    assert [part.kind for part in inner.walk()].count("abs") == 2


def test_two_bars_separate_where_they_stand_alone() -> None:
    call = only(r"D(q \,\|\, p)")
    assert [str(mark) for mark in call.parts[1].marks] == [r"\|"]
    assert [part.kind for part in only(r"f(\|a\|, b)").walk()].count("norm") == 1


def test_every_node_knows_its_place() -> None:
    latex = r"a = \frac{b + c}{d_n} \log x"
    for node in parse(latex).walk():
        if node.kind == "sym":
            assert latex[node.start : node.end] == node.text


@pytest.mark.parametrize(
    ("latex", "position", "said"),
    [
        (r"a = \foo{b", 10, "ends too early"),
        ("a = (b", 6, "ends too early"),
        ("a = b)", 5, "')' cannot stand here"),
        ("a = é", 4, "'é' cannot stand here"),
        ("= a", 0, "nothing stands before '='"),
        ("a . b", 2, "a full stop before the end"),
        ("x^10", 2, "LaTeX takes only the 1"),
        (r"\exp (x)^2", 0, "can be read in two ways"),
        ("x_n_m", 0, "two subscripts"),
        ("x^a^b", 0, "two subscripts or two exponents"),
        (r"\sum_n_m x", 6, "two subscripts"),
        (r"\langle a \rangle", 0, "two vectors"),
        ("a = 2 3", 6, "two numbers beside each other"),
        (r"a = 10\,000", 8, "two numbers beside each other"),
        (r"a = 2 \frac{1}{2}", 6, "two numbers beside each other"),
        ("a = 2 3^2 x", 6, "two numbers beside each other"),
        ("a = 1e3", 4, "a power of ten"),
        ("a = 1.5e-3", 4, "a power of ten"),
        ("a = log(p)", 4, r"write \log, or put spaces"),
        ("a = -exp(x)", 5, r"write \exp"),
        ("a = max(0, x)", 4, r"write \max"),
        ("a = logp", 4, r"write \log"),
        ("a = 2ln x", 5, r"write \ln"),
        ("a = x_max", 6, r"write \max"),
        (r"\tanh^{-1} x", 0, "two ways"),
        (r"\log^{-1}(x)", 0, "two ways"),
        (r"\log a \log b", 7, "bracket it"),
        (r"\sin 2 x \cos x", 9, "bracket it"),
        (r"\log 2 \sum_n a_n", 7, "bracket it"),
        ("", 0, "ends too early"),
        (r"a \sim b", None, ""),
        ("a := b", 2, "':' cannot stand here"),
        (r"\sqrt[3]{x}", 5, "cannot stand here"),
        ("(" * 3000 + "a" + ")" * 3000, 0, "nested too deeply"),
    ],
)
def test_what_is_no_mathematics_is_refused_with_its_place(latex: str, position: int | None, said: str) -> None:
    if position is None:  # no relation that is known: a symbol, which no page declares
        assert name(only(latex)) == r"a\simb"
        return
    with pytest.raises(MathError) as caught:
        parse(latex)
    assert said in str(caught.value)
    assert caught.value.position == position
