"""How to install an extra of this package, in one wording for all messages.

No message names `stq-deploy` to pip: the package index has no such package of ours, and whoever registers the name
there would be installed.
"""

from __future__ import annotations

import re
import shlex
from importlib import metadata
from pathlib import Path

_DISTRIBUTION = "stq-deploy"
_PACKAGE = Path(__file__).resolve().parent.parent
_EXTRA = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")


def how_to_install(*extras: str) -> str:
    """The command that installs extras, such as "train", for this copy of the package.

    In a checkout it names the checkout's folder; an installed copy gets the extras' packages.
    """
    if (_PACKAGE.parent / "pyproject.toml").is_file():
        return f"pip install -e '.[{','.join(extras)}]' in the folder {_PACKAGE.parent}"
    packages = [package for extra in extras for package in _packages(extra)]
    if not packages:
        return f"install stq-deploy again from where you have it, with [{','.join(extras)}] after its name"
    return f"pip install {' '.join(map(shlex.quote, packages))}"


def _packages(extra: str) -> list[str]:
    """The requirements of an extra in pip's form: `unicorn==2.1.4`. Conditions are left out."""
    try:
        stated = metadata.requires(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return []
    parts = (requirement.partition(";") for requirement in stated)
    return [package.strip() for package, _, marker in parts if extra in _EXTRA.findall(marker)]
