"""The one exception that means "your input is wrong", as opposed to "the program is wrong"."""


class InputError(Exception):
    """Bad input. The message is one line: the file, the line in it, what was found, the remedy."""
