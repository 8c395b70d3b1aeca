"""Two Triton kernels: cross-entropy with its gradient, and a gradient scaled in place.

This module imports Triton, so nothing imports it before a kernel is wanted.
Where the variable ``TRITON_INTERPRET`` is 1 at that time, the kernels run in
Triton's interpreter, on any machine.
"""

# Triton reads a kernel's annotations itself: they must not become strings.

import triton
import triton.language as tl

LOG2_E = tl.constexpr(1.4426950408889634)
INF = tl.constexpr(float("inf"))


@triton.jit
def _columns(R: tl.constexpr, T: tl.constexpr, E: tl.constexpr):  # type: ignore[no-untyped-def]
    """Columns of a block, (R, T E): thread t loads E neighbours, R times."""
    return tl.arange(0, R)[:, None] * (T * E) + tl.arange(0, T * E)[None, :]


@triton.jit
def _row(pointer, start, row, stride, E: tl.constexpr, PEELED: tl.constexpr):  # type: ignore[no-untyped-def]
    """Point at the piece in which a row starts, and say how far inside."""
    at = (tl.full((), 0, tl.int64) + row) * stride
    if PEELED:
        at += start
        return pointer + at // E * E, (at % E).to(tl.int32)
    return pointer + at, 0


@triton.jit
def _pieces(first, V, E: tl.constexpr, PEELED: tl.constexpr):  # type: ignore[no-untyped-def]
    """Return where the pieces that are a row's alone begin and end."""
    if PEELED:
        return (first + E - 1) // E * E, (first + V) // E * E
    return first, first + V


@triton.jit
def _edges(first, V, E: tl.constexpr):  # type: ignore[no-untyped-def]
    """Return a row's columns in the two pieces that it may share; else -1."""
    end = first + V
    lane = tl.arange(0, 2 * E)
    edge = tl.where(lane < E, lane, end // E * E + lane - E)
    piece = edge // E * E
    mine = (edge >= first) & (edge < end)
    mine &= (piece < first) | (piece + E > end)
    mine &= (lane < E) | (piece > 0)  # one piece may be both
    return tl.where(mine, edge, -1)


@triton.jit
def _load(row, columns, stride, low, high, AGAIN: tl.constexpr):  # type: ignore[no-untyped-def]
    """Load a block of logits, -inf where there are none or none are wanted.

    What is read AGAIN is to stay in the cache; what is not, to go first.
    """
    return tl.load(
        row + columns.to(tl.int64) * stride,
        mask=(columns >= low) & (columns < high),
        other=-INF,
        eviction_policy="evict_last" if AGAIN else "evict_first",
    )


@triton.jit
def _cap(z, CAP: tl.constexpr):  # type: ignore[no-untyped-def]
    """Return CAP tanh(z / CAP), by an exponential that can't overflow."""
    e = tl.exp2(tl.abs(z) * (-2 / CAP * LOG2_E))
    capped = CAP * (1 - e) / (1 + e)
    return tl.where(z < 0, -capped, capped)


@triton.jit
def _widened(z, columns, low, high, real: tl.constexpr, CAP: tl.constexpr):  # type: ignore[no-untyped-def]
    """Return a block of logits in the dtype of sums, and capped."""
    z = z.to(real)
    if CAP > 0:
        z = tl.where((columns >= low) & (columns < high), _cap(z, CAP), -INF)
    return z


@triton.jit
def _online(m, d, z, E: tl.constexpr):  # type: ignore[no-untyped-def]
    """Step the online softmax: each thread for itself, on what it holds."""
    z = tl.reshape(z, (z.shape[0], z.shape[1] // E, E))
    top = tl.maximum(m, tl.max(tl.max(z, 2), 0))
    base = tl.where(top == -INF, 0.0, top)
    e = tl.exp2((z - base[None, :, None]) * LOG2_E)
    return top, d * tl.exp2((m - base) * LOG2_E) + tl.sum(tl.sum(e, 2), 0)


@triton.jit
def _weighed(  # type: ignore[no-untyped-def]
    z, columns, low, high, first, origin, weight_ptr, WEIGHTED: tl.constexpr
):
    """Return the weighed logits, measured from an origin; 0 for none."""
    present = (columns >= low) & (columns < high)
    z = tl.where(present, z - origin, 0.0)
    if WEIGHTED:
        w = tl.load(weight_ptr + columns - first, present, 0)
        z = z * w.to(z.dtype)
    return z


@triton.jit
def _summed(s, x, E: tl.constexpr):  # type: ignore[no-untyped-def]
    """Add a block to each thread's sum."""
    x = tl.reshape(x, (x.shape[0], x.shape[1] // E, E))
    return s + tl.sum(tl.sum(x, 2), 0)


@triton.jit
def _store(  # type: ignore[no-untyped-def]
    row, columns, stride, z, top, a, b, weight_ptr, first, low, end,
    SMOOTH: tl.constexpr, WEIGHTED: tl.constexpr, CAP: tl.constexpr,
    EVEN: tl.constexpr,
):  # fmt: skip
    """Store a block of the gradient, a exp(z - top) - b w: without the label."""
    present = (columns >= low) & (columns < end)
    g = tl.exp2((z - top) * LOG2_E) * a
    if SMOOTH and WEIGHTED:
        w = tl.load(weight_ptr + columns - first, present, 0)
        g -= b * w.to(z.dtype)
    elif SMOOTH:
        g -= b
    if CAP > 0:
        # Of a row that does not count each logit is -inf, and g is 0.
        g *= tl.where(z == -INF, 1.0, 1 - (z / CAP) * (z / CAP))
    tl.store(
        row + columns.to(tl.int64) * stride,
        g.to(row.dtype.element_ty),
        mask=None if EVEN else present,
        eviction_policy="evict_first",
    )


@triton.jit(do_not_specialize=["N", "ignore_index", "start"])
def loss_and_gradient(  # type: ignore[no-untyped-def]
    z_ptr, z_row, z_column, gradient_ptr, gradient_row, gradient_column, start,
    target_ptr, weight_ptr, weight_sum_ptr, divisor_ptr, losses_ptr, lse_ptr,
    N, V, ignore_index, SMOOTHING: tl.constexpr, WEIGHTED: tl.constexpr,
    CAP: tl.constexpr, Z_LOSS: tl.constexpr, DIVIDED: tl.constexpr,
    LSE: tl.constexpr, GRADIENT: tl.constexpr, EVEN: tl.constexpr,
    PEELED: tl.constexpr,
    R: tl.constexpr, T: tl.constexpr, E: tl.constexpr,
):  # fmt: skip
    """Write the loss of every row, and its gradient by the row's logits.

    The programs deal the rows among them. A row is read forwards for the
    online softmax, then backwards for the gradient: what was read last is
    still at hand, in registers first and then in the caches. Gradient and
    logits may be the same memory.

    Logits are read and written in pieces of E. Rows that start or end inside a
    piece are PEELED: the few logits at their edges, which share a piece with a
    neighbour, are read and written one by one.
    """
    real: tl.constexpr = losses_ptr.dtype.element_ty
    smooth: tl.constexpr = SMOOTHING > 0
    block: tl.constexpr = R * T * E
    blocks = tl.cdiv(V, block)
    if PEELED:
        blocks = tl.cdiv(V + E - 1, block)
    else:  # which the compiler must see to load E at once
        V, z_row = V // E * E, z_row // E * E
        gradient_row = gradient_row // E * E
    columns = _columns(R, T, E)
    row0, step = tl.program_id(0), tl.num_programs(0)

    y = tl.load(target_ptr + row0)
    here, first = _row(z_ptr, start, row0, z_row, E, PEELED)
    low, end = _pieces(first, V, E, PEELED)
    high = tl.where(y != ignore_index, end, 0)
    z = _load(here, columns, z_column, low, high, GRADIENT)
    for row in range(row0, N, step):
        here, first = _row(z_ptr, start, row, z_row, E, PEELED)
        low, end = _pieces(first, V, E, PEELED)
        counted = y != ignore_index
        high = tl.where(counted, end, 0)
        named = counted & (y >= 0) & (y < V)
        z_y = tl.load(here + (first + y) * z_column, named, 0).to(real)
        if CAP > 0:
            z_y = _cap(z_y, CAP)
        w_y = tl.full((), 1, real)
        if WEIGHTED:
            w_y = tl.load(weight_ptr + y, named, 0).to(real)
        # A target that names no class poisons its row.
        w_y = tl.where(counted & (named == 0), float("nan"), w_y)
        origin = tl.where(tl.abs(z_y) < INF, z_y, 0.0)

        m, d = tl.full((T,), -INF, real), tl.zeros((T,), real)
        s = tl.zeros((T,), real)
        x = _widened(z, columns, low, high, real, CAP)
        m, d = _online(m, d, x, E)
        if smooth:
            x = _weighed(
                x, columns, low, high, first, origin, weight_ptr, WEIGHTED
            )
            s = _summed(s, x, E)
        for i in range(1, blocks):
            at = i * block + columns
            z = _load(here, at, z_column, low, high, GRADIENT)
            x = _widened(z, at, low, high, real, CAP)
            m, d = _online(m, d, x, E)
            if smooth:
                x = _weighed(
                    x, at, low, high, first, origin, weight_ptr, WEIGHTED
                )
                s = _summed(s, x, E)

        top, spread = tl.max(m, 0), tl.sum(s, 0)
        if PEELED:
            edge = _edges(first, V, E)
            seen = tl.where(counted, first + V, 0)
            z_edge = _load(here, edge, z_column, 0, seen, GRADIENT)
            z_edge = _widened(z_edge, edge, 0, seen, real, CAP)
            top = tl.maximum(top, tl.max(z_edge, 0))
        base = tl.where(top == -INF, 0.0, top)
        total = tl.sum(d * tl.exp2((m - base) * LOG2_E), 0)
        if PEELED:
            total += tl.sum(tl.exp2((z_edge - base) * LOG2_E), 0)
            if smooth:
                x = _weighed(
                    z_edge, edge, 0, seen, first, origin, weight_ptr, WEIGHTED
                )  # fmt: skip
                spread += tl.sum(x, 0)
        lse = tl.log(total) + top
        # The row's loss, and its gradient: a p - b w, less f at the label.
        f = w_y * (1 - SMOOTHING)
        loss = f * (tl.log(total) + (top - z_y))
        a, b = f, tl.zeros((), real)
        if smooth:
            b += SMOOTHING
            b /= V
            w = tl.full((), V, real)
            if WEIGHTED:
                w = tl.load(weight_sum_ptr).to(real)
            a += b * w
            loss += b * (w * (tl.log(total) + (top - origin)) - spread)
        if Z_LOSS != 0:
            loss += Z_LOSS * lse * lse
            a += 2 * Z_LOSS * lse
        tl.store(losses_ptr + row, tl.where(counted, loss, 0.0))
        if LSE:
            tl.store(lse_ptr + row, tl.where(counted, lse, 0.0))
        if DIVIDED:
            divisor = tl.load(divisor_ptr).to(real)
            a, b, f = a / divisor, b / divisor, f / divisor
        # Of a row that does not count, each logit was read as -inf: with top 0
        # its exponential is 0, and so is the gradient.
        a = tl.where(counted, a / total, 0.0)
        b = tl.where(counted, b, 0.0)
        top = tl.where(counted, top, 0.0)

        there, _ = _row(gradient_ptr, start, row, gradient_row, E, PEELED)
        if GRADIENT:
            at = (blocks - 1) * block + columns
            x = _widened(z, at, low, high, real, CAP)
            _store(
                there, at, gradient_column, x, top, a, b, weight_ptr, first,
                low, end, smooth, WEIGHTED, CAP, EVEN,
            )  # fmt: skip
        # The next row sets out while this one ends.
        y_next = tl.load(target_ptr + row + step, row + step < N, ignore_index)
        next_row, first_ = _row(z_ptr, start, row + step, z_row, E, PEELED)
        low_, end_ = _pieces(first_, V, E, PEELED)
        high_ = tl.where(y_next != ignore_index, end_, 0)
        early = _load(next_row, columns, z_column, low_, high_, GRADIENT)
        if GRADIENT:
            for i in range(1, blocks):
                at = (blocks - 1 - i) * block + columns
                z = _load(here, at, z_column, low, high, False)
                x = _widened(z, at, low, high, real, CAP)
                _store(
                    there, at, gradient_column, x, top, a, b, weight_ptr, first,
                    low, end, smooth, WEIGHTED, CAP, EVEN,
                )  # fmt: skip
            if PEELED:
                _store(
                    there, edge, gradient_column, z_edge, top, a, b, weight_ptr,
                    first, 0, end + E, smooth, WEIGHTED, CAP, False,
                )  # fmt: skip
            # The label's entry again, after every thread has stored its own.
            tl.debug_barrier()
            g = tl.exp2((z_y - top) * LOG2_E) * a - f
            if smooth and WEIGHTED:
                b *= tl.load(weight_ptr + y, named, 0).to(real)
            g -= b
            if CAP > 0:
                g *= 1 - (z_y / CAP) * (z_y / CAP)
            tl.store(there + (first + y) * gradient_column, g, mask=named)
        z, y = early, y_next


@triton.jit
def _scale(where, factor, present):  # type: ignore[no-untyped-def]
    """Multiply what is present by a factor, in place."""
    g = tl.load(where, present, eviction_policy="evict_first")
    g = (g.to(factor.dtype) * factor).to(g.dtype)
    tl.store(where, g, present, eviction_policy="evict_first")


@triton.jit(do_not_specialize=["N", "start", "ignore_index"])
def scale(  # type: ignore[no-untyped-def]
    gradient_ptr, row_stride, column_stride, start, factor_ptr, factor_stride,
    target_ptr, ignore_index, N, V, REAL: tl.constexpr, EVEN: tl.constexpr,
    PEELED: tl.constexpr, R: tl.constexpr, T: tl.constexpr, E: tl.constexpr,
):  # fmt: skip
    """Multiply rows by factors, in place.

    Rows are left alone whose factor is 1, and those that do not count: their
    zeros stay, whatever comes in.
    """
    blocks = tl.cdiv(V, R * T * E)
    if PEELED:
        blocks = tl.cdiv(V + E - 1, R * T * E)
    else:
        V, row_stride = V // E * E, row_stride // E * E
    columns = _columns(R, T, E)
    for row in range(tl.program_id(0), N, tl.num_programs(0)):
        factor = tl.load(factor_ptr + row * factor_stride).to(REAL)
        counted = tl.load(target_ptr + row) != ignore_index
        if (factor != 1) & counted:
            here, first = _row(gradient_ptr, start, row, row_stride, E, PEELED)
            low, end = _pieces(first, V, E, PEELED)
            for i in range(blocks):
                at = i * (R * T * E) + columns
                present = None if EVEN else (at >= low) & (at < end)
                where = here + at.to(tl.int64) * column_stride
                _scale(where, factor, present)
            if PEELED:
                edge = _edges(first, V, E)
                _scale(here + edge, factor, edge >= 0)
