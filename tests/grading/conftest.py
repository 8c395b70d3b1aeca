"""What the tests of the grader share."""

import os
import shutil

import pytest
import torch

torch.set_num_threads(1)  # tests run side by side: more threads than cores only wait for each other

BEHIND_WALLS = {"test_graded", "test_batch"}  # modules that shut submissions in from their first test to their last


def pytest_collection_modifyitems(items):
    if shutil.which("bwrap") or os.environ.get("CI") == "true":
        return
    for item in items:
        if item.path.stem in BEHIND_WALLS:
            item.add_marker(pytest.mark.skip(reason="bubblewrap is not installed"))
