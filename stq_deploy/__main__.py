"""`stq-deploy` and `python -m stq_deploy`."""

import signal
import sys

from stq_deploy.cli import cli


def main() -> None:
    """Entry point of the console script."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            # By default the process would end at once, leaving files half written and boards running.
            signal.signal(number, lambda number, _: sys.exit(128 + number))
    cli(prog_name="stq-deploy")


if __name__ == "__main__":
    main()
