"""`stq-deploy` and `python -m stq_deploy`."""

from stq_deploy.cli import cli


def main() -> None:
    """Entry point of the console script."""
    cli(prog_name="stq-deploy")


if __name__ == "__main__":
    main()
