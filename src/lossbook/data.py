"""Real data for the book's pages, from packages that are installed with the extra `book`; nothing is downloaded.

A lesson imports PyTorch, NumPy and Matplotlib alone, so none imports this.
"""

from __future__ import annotations

import torch


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Return the handwritten digits that come with scikit-learn: the pictures and what each of them is.

    They are the test set of *Optical Recognition of Handwritten Digits* (E. Alpaydin and C. Kaynak, UCI Machine
    Learning Repository, 1998, licence CC BY 4.0): 1,797 pictures of 8 by 8 pixels.

    Returns:
        The pixels, shape (1797, 64), float64 from 0 (paper) to 1 (ink), and the digits, shape (1797,), int64.

    """
    from sklearn.datasets import load_digits  # slow to import: only where there is something to read

    pixels, digit = load_digits(return_X_y=True)
    return torch.from_numpy(pixels / 16), torch.from_numpy(digit).long()
