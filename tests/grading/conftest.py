"""What the tests of the grader share."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
from pathlib import Path
from types import SimpleNamespace

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


@pytest.fixture(scope="session")
def first_worker(tmp_path_factory):
    """Start one worker as the grader does; return its socket, and PyTorch's losses that it has.

    It imports PyTorch, which takes seconds, and never runs a submission itself.
    """
    from lossbook.grading.grade import allowed
    from lossbook.grading.read.handed_out import releases
    from lossbook.grading.run import isolation

    lessons = Path(__file__).parents[2] / "lessons"
    losses = allowed(releases(lessons))
    folder = isolation.Folder()
    isolation.stage(folder.path)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    secret = [*isolation.course(lessons), tmp_path_factory.getbasetemp()]
    words = isolation.shut_in(folder.path, theirs.fileno(), losses, secret)
    silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with theirs:
        process = subprocess.Popen(words, pass_fds=[theirs.fileno()], cwd=folder.path, start_new_session=True, **silent)
    try:
        assert json.loads(ours.recv(65536))[0] == "ready"
        yield ours, losses
    finally:
        ours.close()
        process.kill()
        process.wait()
        folder.remove()


@pytest.fixture(scope="session")
def warm_workers(first_worker):
    """Return a context in which a worker is forked from the first one, as the grader forks one for each exercise.

    All else stays: its orders, its walls and its processes. What is tested is not how a worker is started or killed:
    tests of that, and those of attacks, start their own.
    """
    from lossbook.grading.run.isolation import NAMESPACES
    from lossbook.grading.run.supervisor import Line, Worker

    ours, losses = first_worker
    start = Worker.start

    async def forked(self):
        if self.mode != NAMESPACES or self.allowed != losses:
            return await start(self)
        self.lines[None] = main = Line()
        order = json.dumps(["clone", sorted(self.allowed), []]).encode()
        socket.send_fds(ours, [order], [main.theirs.fileno()])
        self.process = SimpleNamespace(poll=lambda: None, kill=lambda: None, wait=lambda: None)  # hung up, it ends
        self.gone = False
        self.torch = await self.use(main)

    @contextlib.contextmanager
    def warm():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Worker, "start", forked)
            yield

    return warm


@pytest.fixture
def warm_worker(warm_workers):
    """Fork this test's workers from the first one."""
    with warm_workers():
        yield
