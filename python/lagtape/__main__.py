"""The ``lagtape`` command."""

import signal
import sys

from . import _lagtape


def main() -> None:
    # Python's own handler would only note Ctrl-C, and nobody would look.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(_lagtape.main(["lagtape", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
