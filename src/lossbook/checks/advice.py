"""What helps with the errors that Python and PyTorch raise most often in answers to exercises."""

from __future__ import annotations

import re

# A pattern found in what was raised, and the advice. The first that fits counts.
ADVICE: tuple[tuple[str, str], ...] = (
    (
        r"not compiled with (CUDA|XPU)|No CUDA GPUs are available|Found no NVIDIA driver|CUDA (driver|error)|"
        r"PyTorch is not linked with support for \w+ devices|MPS backend|doesn't have the \w+ backend",
        "Your function needs a GPU, and none is there. Compute where the arguments are: without `.cuda()`, without "
        "`.to('cuda')`, and with `device=z.device` where a tensor is made.",
    ),
    (
        r"No module named",
        "Where submissions are graded, Python's own modules, torch, NumPy, matplotlib and tqdm can be imported, and no "
        "others.",
    ),
    (
        r"Boolean value of Tensor with more than one value",
        "`if`, `while`, `and`, `max` and `min` want one truth value, and a tensor has one for each element. Choose "
        "element by element: `torch.where(condition, a, b)`, `torch.maximum(a, b)`, `a.clamp(min=0)`; or ask `.any()` "
        "or `.all()`.",
    ),
    (
        r"only one element tensors can be converted|Tensor with \d+ elements cannot be converted to Scalar",
        "`math.exp`, `math.log`, `float`, `int` and `.item()` take one number. For a whole tensor there is "
        "`torch.exp(z)`, `torch.log(z)`; for a list of tensors `torch.stack`.",
    ),
    (
        r"return_types\.(max|min|median|mode|sort|topk|kthvalue|cummax|cummin)",
        "With a dimension, `max` and its kind return a pair: the values and where they stand. Take `.values`, or "
        "`z.amax(1)` for the largest.",
    ),
    (
        r"bitwise_xor_cpu|unsupported operand type\(s\) for \^|bitwise_xor",
        "In Python `^` is no power. The square of `r` is `r ** 2`.",
    ),
    (
        r"bitwise_(and|or)_cpu|operator\.invert",
        "`&`, `|` and `~` combine truth values: put each comparison in brackets, as in `(a > 0) & (b < 1)`.",
    ),
    (
        r"The size of tensor a \(\d+\) must match|doesn't match the broadcast shape|shape mismatch",
        "The shapes do not fit together. Print both. A row's sum or maximum of shape `(N,)` meets an `(N, K)` table as "
        "a column: `keepdim=True`, or `m[:, None]`.",
    ),
    (
        r"size mismatch|shapes cannot be multiplied|mat1 and mat2|inconsistent tensor size|batch1 and batch2",
        "In `a @ b` the last dimension of `a` must be as long as the first of `b`. Print both shapes: is one to be "
        "transposed, with `.T`?",
    ),
    (
        r"must have the same dtype|expected scalar type|same dtype, but got",
        "Two dtypes meet. Convert one: `y.float()` makes numbers to compute with, `y.long()` indices.",
    ),
    (
        r"tensors used as indices must be|Expected dtype int\d+(/int\d+)? for index|applicable to index tensor"
        r"|only integers, slices|tensors? of a single element can be converted to an index",
        "An index is a whole number: an int, or a tensor of dtype int64, such as `y.long()`.",
    ),
    (
        r"Index tensor must have the same number of dimensions",
        "`gather` wants as many dimensions in the index as in the table: `y[:, None]` makes a column of `y`.",
    ),
    (
        r"out of bounds for dimension|index out of range",
        "An index points outside the tensor. Classes run from 0 to K − 1, and an ignored target is no index at all.",
    ),
    (
        r"Dimension out of range",
        "The tensor has fewer dimensions than you name. Print its shape: dimensions count from 0, and -1 is the last.",
    ),
    (
        r"len\(\) of a 0-d tensor|iteration over a 0-d tensor|invalid index of a 0-dim tensor|zero-dimensional tensor",
        "A tensor of shape `()` is one number: it has no length and nothing to walk through. Was it summed too early?",
    ),
    (
        r"leaf Variable that requires grad",
        "A tensor that a gradient is taken to may not be changed in place. Write `w = w + 1` for `w += 1`, or work on "
        "a copy, `w.clone()`.",
    ),
    (
        r"modified by an inplace operation",
        "A tensor that the gradient still needs was changed in place. Make a new one: `x = x * 2` for `x *= 2`.",
    ),
    (
        r"Can't call numpy\(\) on Tensor that requires grad",
        "NumPy knows no gradients, and this loss is to have one. Stay with PyTorch's functions: `torch.exp` for "
        "`np.exp`.",
    ),
    (
        r"unsupported ScalarType BFloat16",
        "NumPy has no bfloat16. Stay with PyTorch's operations, and with the dtype that is given.",
    ),
    (
        r"missing \d+ required (positional|keyword-only) argument",
        "Something is called with too few arguments. Compare the call with the `def` line, and that with the lesson's.",
    ),
    (
        r"takes (from )?\d+ .*arguments? but \d+ (was|were) given|unexpected keyword argument",
        "Something is called with arguments that it does not take. Compare the call with the `def` line, and that with "
        "the lesson's.",
    ),
    (
        r"NameError: name 'F'",
        "`F` is the usual short name: `import torch.nn.functional as F` in a cell above.",
    ),
    (
        r"NameError",
        "No such name is known: is it spelled as in the `def` line, or as in the cell that defines it, and was that "
        "cell run?",
    ),
    (
        r"UnboundLocalError|cannot access local variable",
        "The name gets its value further down, or in a branch that was not taken. Give it a value first.",
    ),
    (
        r"NoneType",
        "Something is None: a function without `return`, or a method that was meant to give something back.",
    ),
    (
        r"argument '\w+' \(position \d+\) must be Tensor, not (float|int|list|tuple|numpy\.\w+)",
        "This function of PyTorch takes a tensor. For a plain number there is `math.log` and its kind; "
        "`torch.tensor(x)` makes a tensor of numbers.",
    ),
    (
        r"received an invalid combination of arguments",
        "This function of PyTorch does not take such arguments. Behind `got` stands what they are: is one missing, too "
        "many, or a plain number where a tensor belongs? `torch.where` wants three, the last two for where the "
        "condition holds and where it does not.",
    ),
    (
        r"'torch\.Size'",
        "`shape`, and `size()` without a number, are all sizes at once. Take the one that you mean: `x.shape[0]`, or "
        "`x.numel()` for how many numbers there are.",
    ),
    (
        r"expected Tensor as element \d+ in argument",
        "`torch.stack` and `torch.cat` join tensors. For plain numbers write `torch.tensor(numbers)`.",
    ),
    (
        r"'(float|int|bool|list|tuple)' object has no attribute",
        "That is no tensor any more, but a plain number, list or tuple. Where did it stop being one: at `.item()`, at "
        "`.tolist()`, or in Python's `sum` of nothing?",
    ),
    (
        r"'(float|int|bool)' object is not (subscriptable|iterable)|object of type '(float|int)' has no len",
        "That is one plain number: there is nothing to index or to walk through.",
    ),
    (
        r"object is not callable",
        "Brackets behind something that is no function. Is a `*` missing, or has a name such as `sum` been given to a "
        "number?",
    ),
    (
        r"builtin_function_or_method|'method'|'method-wrapper'",
        "A method was named and not called: put brackets behind it, as in `x.mean()`.",
    ),
    (
        r"could not infer output dtype|can only calculate the mean of floating",
        "A mean is taken of floating-point numbers: `.float()` makes them of integers or truth values.",
    ),
    (
        r"operator, (with|on) (a|two) bool tensors?|on a bool tensor",
        "Truth values are not subtracted. `(a > b).float()` makes numbers 1 and 0 of them.",
    ),
    (
        r"view size is not compatible",
        "`view` needs the numbers in order in memory. `reshape` does the same and copies where it must.",
    ),
    (
        r"shape '\[.*\]' is invalid for input of size",
        "So many numbers do not fill that shape. Print the tensor's shape, and its `numel()`.",
    ),
    (
        r"math domain error",
        "`math.log` is taken of 0 or of a negative number. `torch.log` gives −∞ or nan there; which is meant?",
    ),
    (
        r"math range error|Numerical result out of range",
        "The exponential is too large for a float. Take the large part out first, as the lesson derives.",
    ),
    (
        r"ZeroDivisionError",
        "Something is divided by 0: which count or sum is 0 in this call?",
    ),
    (
        r"RecursionError",
        "The function calls itself without end: what ends it, and does the argument get smaller?",
    ),
    (
        r"values to unpack",
        "The left side names another number of things than the right side has.",
    ),
    (
        r"does not require grad and does not have a grad_fn",
        "No gradient can be taken: nothing that it was computed from asks for one.",
    ),
    (
        r"unsupported operand type\(s\)",
        "Two things meet that cannot be combined. Print both: one of them is not what you think.",
    ),
)


def advise(error: str) -> str:
    """Return the advice for an error, given in one line; empty where there is none."""
    for pattern, advice in ADVICE:
        if re.search(pattern, error):
            return advice
    return ""
