"""The one exception type users meet: a sentence that says what was wrong and what to do."""


class ResidualPoseError(Exception):
    """Bad data (exit status 1 on the command line). The message is one teaching sentence."""


class UsageError(ResidualPoseError):
    """A wrong request, such as an unknown preset or an impossible option (exit status 2)."""


class MissingExtraError(ResidualPoseError, ImportError):
    """An optional dependency is absent."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed: pip install 'residualpose[{extra}]'")
