"""A tensor's chunks on their way into a file: each is made while the one before is written; now and then all is flushed."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from gpuinit.backends import threads
from gpuinit.hashing import Digest
from gpuinit.tables.contents import Contents, blocks, largest
from gpuinit.tables.journal import Journal, Standing
from gpuinit.tables.plan import Job

__all__ = ["CHECKPOINT_BYTES", "CHUNK_BYTES", "MOST_CHECKPOINTS", "Pipeline", "Progress"]

CHUNK_BYTES = 32 << 20
CHECKPOINT_BYTES = 256 << 20
"""How much is written between two entries of the journal."""

MOST_CHECKPOINTS = 4
"""How many times as much may be written before the entry has reached the disk."""

Progress = Callable[[Job, int], None]
"""Called with a job and how many more of its bytes have been written."""


class Pipeline:
    """Makes a job's chunks and writes them behind each other.

    Attributes:
        standing: what has been written so far.
        digest: of all elements made so far, those that stood before among them.
    """

    def __init__(
        self, job: Job, contents: Contents, journal: Journal, standing: Standing, digest: Digest, progress: Progress
    ) -> None:
        self.standing, self.digest = standing, digest
        self._job, self._contents, self._journal, self._progress = job, contents, journal, progress
        self._pending: deque[tuple[Future[None], Standing]] = deque()
        self._recorded = standing.elements
        self._recording: Future[None] | None = None

    def run(self) -> None:
        """Make and write what is missing. After an error nothing is left that writes, and `standing` says what is written."""
        job, grid = self._job, self._contents.grid
        missing = list(blocks(job.shape, grid, self.standing.elements))
        chunks = job.source.chunks((block.slices for block in missing), largest(job.shape, grid) * job.dtype.itemsize)
        with (
            contextlib.closing(chunks),  # once nothing is written from its memory any more
            ThreadPoolExecutor(1, "gpuinit-writer") as writer,
            ThreadPoolExecutor(1, "gpuinit-journal") as recorder,
        ):
            try:
                for pool in (writer, recorder):  # an interrupt while a thread starts leaves one that nobody waits for
                    pool.submit(_nothing).result()
                for block, chunk in zip(missing, chunks, strict=True):
                    self.digest.update(chunk, job.start + block.start)
                    future = writer.submit(self._contents.write, block, chunk)
                    self._pending.append((future, Standing(block.start + block.size, self.digest.hash)))
                    while len(self._pending) > 1:  # its buffer is the next one's
                        threads.spare(not self._pending[0][0].done())  # where the writer is late, it gets a processor of its own
                        self._settle(recorder)
                while self._pending:
                    self._settle(recorder)
                if self._recording:
                    self._recording.result()
            finally:
                threads.spare(0)
                self._stop()

    def _settle(self, recorder: ThreadPoolExecutor) -> None:
        """Wait for the oldest chunk to be written, and have the journal say so when enough has been written since it last did."""
        future, standing = self._pending[0]
        future.result()
        self._pending.popleft()
        itemsize = self._job.dtype.itemsize
        self._progress(self._job, (standing.elements - self.standing.elements) * itemsize)
        self.standing = standing
        since = (standing.elements - self._recorded) * itemsize
        if self._recording and (self._recording.done() or since >= MOST_CHECKPOINTS * CHECKPOINT_BYTES):
            self._recording.result()  # where the disk is the slowest, it is waited for: a kill loses what is behind the entry
            self._recording = None
        if self._recording is None and since >= CHECKPOINT_BYTES:
            self._recorded = standing.elements
            self._recording = recorder.submit(self._record, standing)

    def _record(self, standing: Standing) -> None:
        self._contents.sync()
        self._journal.record(standing)

    def _stop(self) -> None:
        """Let what is being written end, and take account of it."""
        wait([future for future, _ in self._pending if not future.cancel()])
        if self._recording:
            wait([self._recording])
        for future, standing in self._pending:
            if future.cancelled() or future.exception() is not None:
                break
            self.standing = standing


def _nothing() -> None:
    pass
