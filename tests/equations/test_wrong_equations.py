"""The equations that lectures get wrong: each wrong one is named, and right ones hold in anyone's notation."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from lossbook.equations.checking import Record

POINT = r"line \d+, column \d+: (?!it cannot be checked).* is false: .*"

SYMBOLS = {
    "n, m": {"runs": "N"},
    "N": {"size": 3},
    "k, j": {"runs": "K"},
    "K": {"size": 4},
    "i, l": {"runs": "D"},
    "D": {"size": 2},
    "z, b": {"in": "real"},
    "y, p": {"in": "(0, 1)"},
    "y_n, p_n": {"in": "(0, 1)"},
    r"\sigma(z)": {"equals": r"\frac{1}{1 + e^{-z}}"},
    r"\ell(p)": {"equals": r"-y \log p - (1 - y) \log(1 - p)"},
    "L": {"equals": r"\prod_{n=1}^{N} p_n^{y_n} (1 - p_n)^{1 - y_n}"},
    "t_n, a_n": {"in": "real"},
    r"\bar{t}": {"equals": r"\frac{1}{N} \sum_{n=1}^{N} t_n"},
    r"\mathrm{MSE}": {"equals": r"\frac{1}{N} \sum_{n=1}^{N} (t_n - a_n)^2"},
    "z_k": {"in": "real"},
    "s_k": {"equals": r"\frac{e^{z_k}}{\sum_{j=1}^{K} e^{z_j}}"},
    "q_k, r_k": {"in": "probabilities"},
    "c": {"in": r"\{1, \dots, K\}"},
    "H(q)": {"equals": r"-\sum_{k=1}^{K} q_k \log q_k"},
    "H(q, r)": {"equals": r"-\sum_{k=1}^{K} q_k \log r_k"},
    r"D(q \| r)": {"equals": r"\sum_{k=1}^{K} q_k \log \frac{q_k}{r_k}"},
    "x": {"in": "random"},
    r"\mu, u": {"in": "real"},
    "s": {"in": "positive"},
    "f(u)": {"equals": r"\frac{1}{\sqrt{2 \pi s^2}} e^{-\frac{(u - \mu)^2}{2 s^2}}"},
    r"\lambda, \delta": {"in": "positive"},
    "w_i, v_i": {"in": "real"},
    "X_{ni}": {"in": "real"},
    r"\mathbf{w}_i": {"equals": "w_i"},
    r"\boldsymbol{v}_i": {"equals": "v_i"},
    "h(z)": {"equals": r"\max(0, z)"},
}

# What it is about: (its right forms, its wrong ones).
FAMILIES: dict[str, tuple[list[str], list[str]]] = {
    "log-likelihood": (
        [
            r"\log L = \sum_{n=1}^{N} \bigl[ y_n \log p_n + (1 - y_n) \log(1 - p_n) \bigr]",
            r"\ln L = \sum_n \left[ y_n \ln p_n + (1 - y_n) \ln\left(1 - p_n\right) \right] .",
            r"-\log L = -\sum\nolimits_{n=1}^N y_n \ln(p_n) - \sum\limits_{n=1}^N \left(1 - y_n\right) \ln(1 - p_n)",
            r"\log L = \sum_{n} \log \left\{ p_n^{y_n} \left(1 - p_n\right)^{1 - y_n} \right\}",
        ],
        [
            r"\log L = -\sum_{n=1}^{N} \bigl[ y_n \log p_n + (1 - y_n) \log(1 - p_n) \bigr]",
            r"\log L = \sum_{n=1}^{N} \bigl[ y_n \log p_n - (1 - y_n) \log(1 - p_n) \bigr]",
            r"\log L = \sum_{n=1}^{N} \bigl[ y_n \log p_n + (1 - y_n) \log p_n \bigr]",
            r"\log L = \sum_{n=1}^{N} \bigl[ (1 - y_n) \log p_n + y_n \log(1 - p_n) \bigr]",
            r"\log L = \frac{1}{N} \sum_{n=1}^{N} \bigl[ y_n \log p_n + (1 - y_n) \log(1 - p_n) \bigr]",
            r"\log L = \sum_{n=1}^{N-1} \bigl[ y_n \log p_n + (1 - y_n) \log(1 - p_n) \bigr]",
            r"\log L = \sum_{n=2}^{N} \bigl[ y_n \log p_n + (1 - y_n) \log(1 - p_n) \bigr]",
            r"\log L = \sum_n \bigl[ y_n \log_2 p_n + (1 - y_n) \log_2(1 - p_n) \bigr]",
            r"\log L = \prod_n \log\bigl( p_n^{y_n} (1 - p_n)^{1 - y_n} \bigr)",
            r"\log L = \log \sum_n p_n^{y_n} (1 - p_n)^{1 - y_n}",
        ],
    ),
    "sigmoid": (
        [
            r"\sigma'(z) = \sigma(z) (1 - \sigma(z))",
            r"\sigma'(z) = \sigma(z) \cdot \sigma(-z)",
            r"\frac{\mathrm{d} \sigma}{\mathrm{d} z} = \sigma(z) - \sigma(z)^2",
            r"\dfrac{d}{dz} \sigma(z) = \dfrac{e^{-z}}{(1 + e^{-z})^2}",
            r"1 - \sigma(z) = \sigma(-z)",
            r"\sigma(z) = \frac{e^z}{1 + e^z}",
            r"\sigma(z) = 1 / (1 + \exp(-z))",
            r"\sigma(z) = \tfrac12 \bigl( 1 + \tanh \tfrac{z}{2} \bigr)",
            r"\log \sigma(z) = -\log(1 + e^{-z})",
            r"\frac{d}{dz} \log \sigma(z) = 1 - \sigma(z)",
        ],
        [
            r"\sigma'(z) = \sigma(z) (1 + \sigma(z))",
            r"\sigma'(z) = 1 - \sigma(z)^2",
            r"\sigma'(z) = \sigma(z) (\sigma(z) - 1)",
            r"\sigma'(z) = z (1 - z)",
            r"\sigma(-z) = -\sigma(z)",
            r"\sigma(z) = \frac{1}{1 + e^{z}}",
            r"\sigma(z) = \frac{e^{-z}}{1 + e^{-z}}",
            r"\sigma(z) = \frac12 \tanh \frac{z}{2}",
            r"\log \sigma(z) = -\log(1 + e^{z})",
            r"\sigma''(z) = \sigma(z) (1 - \sigma(z))^2",
        ],
    ),
    "gradient of the log loss": (
        [
            r"\frac{\partial \ell(p)}{\partial p} = \frac{p - y}{p (1 - p)}",
            r"\ell'(p) = -\frac{y}{p} + \frac{1 - y}{1 - p}",
            r"\frac{\partial}{\partial z} \ell(\sigma(z)) = \sigma(z) - y",
            r"\frac{\partial^2}{\partial z^2} \ell(\sigma(z)) = \sigma(z) (1 - \sigma(z))",
        ],
        [
            r"\frac{\partial \ell(p)}{\partial p} = \frac{y - p}{p (1 - p)}",
            r"\ell'(p) = \frac{y}{p} + \frac{1 - y}{1 - p}",
            r"\ell'(p) = -\frac{y}{p} - \frac{1 - y}{1 - p}",
            r"\frac{\partial}{\partial z} \ell(\sigma(z)) = y - \sigma(z)",
            r"\frac{\partial}{\partial z} \ell(\sigma(z)) = (\sigma(z) - y) \sigma(z) (1 - \sigma(z))",
            r"\frac{\partial^2}{\partial z^2} \ell(\sigma(z)) = -\sigma(z) (1 - \sigma(z))",
        ],
    ),
    "mean squared error": (
        [
            r"\frac{\partial \, \mathrm{MSE}}{\partial a_n} = \frac{2}{N} (a_n - t_n)",
            r"\frac{\partial}{\partial a_n} \mathrm{MSE} = -\tfrac{2}{N} \left( t_n - a_n \right)",
            r"\mathrm{MSE} = \frac{1}{N} \lVert t - a \rVert^2",
            r"\mathrm{MSE} = \tfrac1N \|t - a\|^2",
            r"N \, \mathrm{MSE} = \left\| t - a \right\|_2^2",
            r"\mathrm{MSE} = \frac1N (t - a)^\top (t - a)",
            r"\mathrm{MSE} = \frac1N (t - a)^T (t - a)",
            r"\mathrm{MSE} = \frac1N \langle t - a, t - a \rangle",
            r"\frac{1}{N} \sum_{n=1}^{N} (t_n - b)^2 = \operatorname{Var}(t) + (\bar{t} - b)^2",
            r"\operatorname{Var}(t) = \frac{1}{N} \sum_n t_n^2 - \bar{t}^{2}",
        ],
        [
            r"\frac{\partial \, \mathrm{MSE}}{\partial a_n} = \frac{2}{N} (t_n - a_n)",
            r"\frac{\partial \, \mathrm{MSE}}{\partial a_n} = 2 (a_n - t_n)",
            r"\frac{\partial \, \mathrm{MSE}}{\partial a_n} = \frac{1}{N} (a_n - t_n)",
            r"\mathrm{MSE} = \sum_{n=1}^{N} (t_n - a_n)^2",
            r"\mathrm{MSE} = \frac{1}{N} \lVert t - a \rVert",
            r"\mathrm{MSE} = \frac{1}{2 N} \sum_{n=1}^{N} (t_n - a_n)^2",
            r"\mathrm{MSE} = \frac{1}{N} \sum_{n=1}^{N} |t_n - a_n|",
            r"\mathrm{MSE} = \bigl( \frac{1}{N} \sum_{n=1}^{N} (t_n - a_n) \bigr)^2",
            r"\frac{1}{N} \sum_{n=1}^{N} (t_n - b)^2 = \operatorname{Var}(t) - (\bar{t} - b)^2",
            r"\operatorname{Var}(t) = \frac{1}{N - 1} \sum_{n=1}^{N} (t_n - \bar{t})^2",
            r"\operatorname{Var}(t) = \bar{t}^{2} - \frac{1}{N} \sum_n t_n^2",
        ],
    ),
    "softmax": (
        [
            r"\frac{\partial s_k}{\partial z_j} = s_k \bigl( [k = j] - s_j \bigr)",
            r"\frac{\partial s_k}{\partial z_j} = s_k (\mathbb{1}[k = j] - s_j)",
            r"\frac{\partial s_k}{\partial z_j} = s_k \, (\mathbf{1}\{j = k\} - s_j)",
            r"\frac{\partial s_k}{\partial z_j} = \begin{cases} s_k (1 - s_k) & \text{if } k = j, \\"
            r" -s_k s_j & \text{otherwise.} \end{cases}",
            r"\log s_k = z_k - \log \sum_j e^{z_j}",
            r"\frac{\partial}{\partial z_k} \log \sum_{j=1}^{K} \exp(z_j) = s_k",
            r"-\frac{\partial}{\partial z_k} \log s_c = s_k - [k = c]",
            r"\sum_{k=1}^{K} s_k = 1",
            r"\max_k z_k \le \log \sum_k e^{z_k} \leq \max_k z_k + \ln K",
        ],
        [
            r"\frac{\partial s_k}{\partial z_j} = s_k (1 - s_j)",
            r"\frac{\partial s_k}{\partial z_j} = s_k \bigl( s_j - [k = j] \bigr)",
            r"\frac{\partial s_k}{\partial z_j} = s_j (1 - s_j)",
            r"\frac{\partial s_k}{\partial z_j} = s_k \, [k = j]",
            r"\frac{\partial s_k}{\partial z_j} = s_k s_j",
            r"\log s_k = z_k - \sum_j z_j",
            r"\log s_k = z_k - \sum_j \log e^{z_j}",
            r"s_k = \frac{e^{z_k}}{\sum_{j=1}^{K-1} e^{z_j}}",
            r"s_k = \frac{z_k}{\sum_{j=1}^{K} z_j}",
            r"-\frac{\partial}{\partial z_k} \log s_c = [k = c] - s_k",
            r"-\frac{\partial}{\partial z_k} \log s_c = s_k - 1",
            r"\log \sum_k e^{z_k} \le \max_k z_k",
            r"\log \sum_k e^{z_k} = \max_k z_k + \log \sum_k e^{z_k + \max_j z_j}",
            r"\log (r_1 + r_2) = \log r_1 + \log r_2",
        ],
    ),
    "divergence": (
        [
            r"D(q \| r) = H(q, r) - H(q)",
            r"D(q \,\|\, r) = -\sum_k q_k \log \frac{r_k}{q_k}",
            r"D(q \mid r) = \mathbb{E}_q \bigl[ \log \tfrac{q}{r} \bigr]",
            r"D(q \| r) \ge 0",
            r"D(q \| r) \ge \frac12 \Bigl( \sum_k |q_k - r_k| \Bigr)^2",
            r"H(q) \le \log K",
            r"D(q \| r) \ne D(r \| q)",
        ],
        [
            r"D(q \| r) = H(q) - H(q, r)",
            r"D(q \| r) = H(r, q) - H(q)",
            r"D(q \| r) = \sum_k r_k \log \frac{r_k}{q_k}",
            r"D(q \| r) = D(r \| q)",
            r"D(q \| r) = \sum_k q_k \log q_k r_k",
            r"D(q \| r) \le 0",
            r"H(q) \ge \log K",
            r"H(q) = \sum_k q_k \log q_k",
            r"H(q, r) \le H(q)",
            r"H(q, r) = \sum_k q_k \log \frac{1}{q_k}",
        ],
    ),
    "expectation": (
        [
            r"\operatorname{Var}(x) = \mathbb{E}[x^2] - (\mathbb{E}[x])^2",
            r"\operatorname{Var}(x) = \operatorname{E}[(x - \operatorname{E}[x])^2]",
            r"\mathbb E \left[ x - \mu \right] = \mathbb E[x] - \mu",
            r"\operatorname{Var}(b x + \mu) = b^2 \operatorname{Var}(x)",
            r"\mathbb{E}[e^{x}] \ge e^{\mathbb{E}[x]}",
            r"\mathbb{E}[(x - b)^2] = \operatorname{Var}(x) + (\mathbb{E}[x] - b)^2",
        ],
        [
            r"\operatorname{Var}(x) = \mathbb{E}[x^2] + (\mathbb{E}[x])^2",
            r"\operatorname{Var}(x) = \mathbb{E}[x^2]",
            r"\operatorname{Var}(b x + \mu) = b \operatorname{Var}(x)",
            r"\operatorname{Var}(b x + \mu) = b^2 \operatorname{Var}(x) + \mu",
            r"\mathbb{E}[e^{x}] \le e^{\mathbb{E}[x]}",
            r"\mathbb{E}[x^2] = (\mathbb{E}[x])^2",
            r"\mathbb{E}[e^{x}] = e^{\mathbb{E}[x]}",
        ],
    ),
    "normal density": (
        [
            r"-\log f(u) = \frac{(u - \mu)^2}{2 s^2} + \log s + \frac12 \log 2 \pi",
            r"-\ln f(u) = \frac{(u - \mu)^2}{2 s^2} + \frac{1}{2} \ln\left(2 \pi s^2\right)",
            r"\frac{\partial \log f(u)}{\partial \mu} = \frac{u - \mu}{s^2}",
            r"\frac{\partial}{\partial s} \log f(u) = \frac{(u - \mu)^2}{s^3} - \frac1s",
            r"\int_{-\infty}^{\infty} f(u) \, \mathrm{d} u = 1",
        ],
        [
            r"-\log f(u) = \frac{(u - \mu)^2}{s^2} + \log s + \frac12 \log 2 \pi",
            r"-\log f(u) = \frac{(u - \mu)^2}{2 s^2} - \log s + \frac12 \log 2 \pi",
            r"-\log f(u) = \frac{(u - \mu)^2}{2 s^2} + \log s + \log 2 \pi",
            r"-\log f(u) = \frac{u - \mu}{2 s^2} + \log s + \frac12 \log 2 \pi",
            r"f(u) = \frac{1}{\sqrt{2 \pi s}} e^{-(u - \mu)^2 / 2 s^2}",
            r"f(u) = \frac{1}{\sqrt{2 \pi} s} e^{(u - \mu)^2 / 2 s^2}",
            r"f(u) = \frac{1}{2 \pi s^2} e^{-(u - \mu)^2 / 2 s^2}",
            r"\frac{\partial \log f(u)}{\partial \mu} = \frac{\mu - u}{s^2}",
            r"\frac{\partial}{\partial s} \log f(u) = \frac{(u - \mu)^2}{s^3}",
        ],
    ),
    "linear model": (
        [
            r"\frac{\partial}{\partial w_i} \sum_n (t_n - X_n^{\top} w)^2 = -2 \sum_n (t_n - X_n^{\top} w) X_{ni}",
            r"w^{\top} v = \sum_{i=1}^{D} w_i v_i",
            r"\mathbf{w}^\top \boldsymbol{v} = \langle w, v \rangle",
            r"\lvert w^T v \rvert \le \|w\| \, \|v\|",
            r"\frac{\partial}{\partial w_i} \lambda \|w\|^2 = 2 \lambda w_i",
            r"\nabla_w \|w\|^2 = 2 w",
            r"\sum_i (w \odot v)_i = w^\top v",
        ],
        [
            r"\frac{\partial}{\partial w_i} \sum_n (t_n - X_n^{\top} w)^2 = 2 \sum_n (t_n - X_n^{\top} w) X_{ni}",
            r"\frac{\partial}{\partial w_i} \sum_n (t_n - X_n^{\top} w)^2 = -2 \sum_n (t_n - X_n^{\top} w)",
            r"\frac{\partial}{\partial w_i} \lambda \|w\|^2 = \lambda w_i",
            r"\frac{\partial}{\partial w_i} \lambda \|w\| = 2 \lambda w_i",
            r"\|w\| = w^\top w",
            r"\|w\|^2 = \sum_{i=1}^{D} |w_i|",
            r"\|w + v\|^2 = \|w\|^2 + \|v\|^2",
            r"\|w + v\| \ge \|w\| + \|v\|",
        ],
    ),
    "kinks": (
        [
            r"\frac{d}{dz} |z| = \operatorname{sign}(z)",
            r"\frac{d}{dz} \lvert z \rvert = \frac{z}{|z|}",
            r"h(z) = \frac{z + |z|}{2}",
            r"h(z) = \begin{cases} z & z > 0 \\ 0 & \text{otherwise} \end{cases}",
            r"h'(z) = [z > 0]",
            r"\max\{0, z\} = h(z)",
            r"\log(1 + e^z) = \max(z, 0) + \log(1 + e^{-|z|})",
            r"\log(1 + e^{z}) - z y = h(z) - z y + \log(1 + e^{-|z|})",
        ],
        [
            r"\frac{d}{dz} |z| = 1",
            r"\frac{d}{dz} |z| = |z|",
            r"h(z) = |z|",
            r"h(z) = \begin{cases} z & z < 0 \\ 0 & \text{otherwise} \end{cases}",
            r"h'(z) = [z < 0]",
            r"\log(1 + e^z) = \max(z, 0) + \log(1 + e^{|z|})",
            r"\log(1 + e^z) = \max(z, 0) - \log(1 + e^{-|z|})",
            r"\log(1 + e^z) = z + \log(1 + e^{z})",
        ],
    ),
    "logarithms": (
        [
            r"\log \prod_{n=1}^{N} p_n = \sum_{n=1}^{N} \log p_n",
            r"\log_2 p = \frac{\ln p}{\ln 2}",
            r"\log(s^b) = b \log s",
            r"\log \frac{s}{\lambda} = \log s - \log \lambda",
            r"\log \biggl( \frac1N \sum_{n=1}^{N} p_n \biggr) \ge \frac1N \sum_{n=1}^{N} \log p_n",
            r"\log \frac{p}{1 - p} = z \iff p = \sigma(z)",
        ],
        [
            r"\log \sum_{n=1}^{N} p_n = \sum_{n=1}^{N} \log p_n",
            r"\log_2 p = \ln(p) \ln 2",
            r"\log s^b = (\log s)^b",
            r"\log \frac{s}{\lambda} = \frac{\log s}{\log \lambda}",
            r"\log(s + \lambda) = \log s \cdot \log \lambda",
            r"\log \biggl( \frac1N \sum_{n=1}^{N} p_n \biggr) \le \frac1N \sum_{n=1}^{N} \log p_n",
            r"\log \frac{1 - p}{p} = z \iff p = \sigma(z)",
            r"\frac{d}{ds} \log_2 s = \frac{1}{s}",
        ],
    ),
}
RIGHT = [form for right, _ in FAMILIES.values() for form in right]
WRONG = [form for _, wrong in FAMILIES.values() for form in wrong]


@pytest.fixture(scope="module")
def records(checked: Callable[..., Any]) -> dict[str, Record]:
    displays = {f"right-{at}": form for at, form in enumerate(RIGHT)}
    displays |= {f"wrong-{at}": form for at, form in enumerate(WRONG)}
    faults, found = checked(SYMBOLS, displays)
    assert not faults
    return dict(found)


@pytest.mark.parametrize("at", range(len(RIGHT)), ids=RIGHT)
def test_a_right_equation_holds(records: dict[str, Record], at: int) -> None:
    record = records[f"right-{at}"]
    assert record.holds, record.faults
    assert record.steps


@pytest.mark.parametrize("at", range(len(WRONG)), ids=WRONG)
def test_a_wrong_equation_is_named(records: dict[str, Record], at: int) -> None:
    (fault,) = records[f"wrong-{at}"].faults
    assert re.fullmatch(POINT, fault), fault


def test_there_are_many() -> None:
    assert len(WRONG) == len(set(WRONG)) >= 60
    assert len(RIGHT) == len(set(RIGHT)) >= 60
