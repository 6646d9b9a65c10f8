"""The exceptions that mean "the input is wrong", as opposed to "the program is wrong"."""

import os


class InputError(Exception):
    """Bad input. Its text is one line, ``path:line: message``; ``run`` prints it and exits with 1.

    Args:
        message: what is wrong, what was expected, and the remedy.
        path: the file or folder that is wrong, if it is one.
        line: the line in that file, counted from 1, if it is one.
        code: a short name of the kind of error, for whoever handles or tests it.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | os.PathLike[str] | None = None,
        line: int | None = None,
        code: str = "",
    ) -> None:
        super().__init__(message)
        self.message, self.path, self.line, self.code = message, path, line, code

    def with_remedy(self, remedy: str) -> "InputError":
        """The same error, its message ended by what the user can do."""
        return InputError(f"{self.message}; {remedy}", path=self.path, line=self.line, code=self.code)

    def __str__(self) -> str:
        if self.path is None:
            return self.message
        where = os.fspath(self.path)
        return f"{where}: {self.message}" if self.line is None else f"{where}:{self.line}: {self.message}"


class UsageError(InputError):
    """Flags that contradict each other, or a value that is of no file; ``run`` exits with 2."""


class TerminatedError(KeyboardInterrupt):
    """SIGTERM came; ``run`` exits with 143."""
