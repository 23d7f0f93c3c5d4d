"""Why `tollbridge serve` gives up."""


class ServeError(Exception):
    """The start cannot go on; the text is a sentence for the operator that names the option or setting."""


class StepFailedError(Exception):
    """A child that had to succeed did not, and has already said why on the standard error."""

    def __init__(self, status: int) -> None:
        """`status` is the child's exit status, negative for a signal."""
        super().__init__(f"exit status {status}")
        self.status = status


class StopRequestedError(Exception):
    """A signal asked to stop while something was waited for."""
