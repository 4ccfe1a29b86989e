"""A copy of a run's folder elsewhere, as a run that trains sees it. By itself a run has none: all this does nothing.

`training/mirror/` has the one in object storage.
"""


class Mirror:
    """Of several processes only the first one's may be another than this."""

    address: str | None = None
    taken = False  # a later start elsewhere trains the run now: this one saves and ends

    @property
    def behind(self) -> bool:
        """Whether the folder has anything that the copy has not."""
        return False

    def claim(self, keep: int) -> None:
        """Makes this start the one that pushes, once it is sure to begin. ``keep``: as `keep_checkpoints`.

        Raises:
            WganError: that cannot be, or another was quicker.
        """

    def changed(self) -> None:
        """Something was saved: it is pushed while training goes on."""

    def told(self) -> list[str]:
        """Lines that a person must know, since the last call."""
        return []

    def finish(self, step: int) -> str | None:
        """Waits until all that lies in the folder has been pushed.

        Args:
            step: that the run has come to.

        Returns:
            Where to; None without a copy.

        Raises:
            TrainingError: a later start elsewhere trains this run.
            OutputError: it could not be pushed; the text says how to do it later.
        """
