"""The exceptions that mean "your input is wrong", as opposed to "the program is wrong"."""


class InputError(Exception):
    """Bad input. The message is one line: the file, the line in it, what was found, the remedy."""


class UsageError(InputError):
    """Flags that contradict each other, or values that no file has a part in; ``run`` exits with 2."""
