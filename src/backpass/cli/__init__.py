"""The command line: thin functions that parse, call the library, and print.

Each command is a function in a file of this folder, or of the package that it belongs to; `app` registers it in one line.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 an error, 2 a wrong command, 130 and 143 interrupted.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; those of the process if None.
    """
    from ..errors import BackpassError
    from .app import app
    from .console import debugging, print_error

    try:
        app(args=None if arguments is None else list(arguments), prog_name="backpass")
    except Exception as error:
        if debugging():
            raise
        if isinstance(error, (BackpassError, OSError)):
            print_error(str(error))
        else:
            print_error(
                f"{type(error).__name__}: {error}. This is a defect of backpass; please report it with what "
                "'backpass --debug ...' prints"
            )
        sys.exit(1)
