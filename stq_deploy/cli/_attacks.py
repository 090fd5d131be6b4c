"""Parses attacks and their settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stq_deploy.attacks.base import Attack

NONE = "none"


def chosen_attacks(
    names: tuple[str, ...], common: dict[str, str | None], settings: tuple[str, ...]
) -> dict[str, Attack | None]:
    """Attack by name, each with its settings; None for clean samples (`NONE`).

    Args:
        common: settings of all attacks, those that are None left out.
        settings: texts `[attack.]setting=value`.

    Raises:
        StqError: an unknown attack or setting, or an impossible value.
    """
    from stq_deploy.attacks.registry import get_attack
    from stq_deploy.errors import StqError

    texts: dict[str, dict[str, str]] = {
        name: {k: v for k, v in common.items() if v is not None} for name in names if name != NONE
    }
    for setting in settings:
        key, equals, value = setting.partition("=")
        owner, dot, name = key.rpartition(".")
        if not equals or not name or (dot and owner not in texts):
            raise StqError(
                f"--set {setting} names no setting of the attacks chosen",
                next="write --set max_iter=40, or --set pgd.max_iter=40 for one attack only",
            )
        for attack_name in [owner] if dot else texts:
            texts[attack_name][name] = value
    return {name: None if name == NONE else get_attack(name).from_text(texts[name]) for name in names}
