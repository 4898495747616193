"""The one exception for input that the user has to mend."""


class InputError(ValueError):
    """Bad input: a file, a row, an option or a checkpoint. The message is one line that says what to do.

    Commands print it without a traceback and exit with code 2.
    """
