"""The one exception for input that the user has to mend."""

import sys
from collections.abc import Callable


class InputError(ValueError):
    """Bad input: a file, a row, an option or a checkpoint. The message is one line that says what to do.

    Commands print it without a traceback and exit with code 2.
    """


def run(main: Callable[[], None]) -> None:
    """Run the main function of a recipe: bad input prints one line and exits with code 2."""
    try:
        main()
    except (InputError, UnicodeDecodeError) as error:  # the latter from text that datasets reads
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
