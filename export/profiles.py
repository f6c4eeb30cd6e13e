"""The sizes an engine takes: one, or every one between two with the best speed at a third."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from realtime_matting.errors import InputError
from realtime_matting.models.bundle import ROLE_INPUTS, Role

CHANNELS = 3
Size = tuple[int, int]
SIZE = re.compile(r"(\d+)[x×](\d+)")


@dataclass(frozen=True)
class Profile:
    """(width, height) of the smallest, the best and the largest picture."""

    smallest: Size
    best: Size
    largest: Size

    @property
    def is_static(self) -> bool:
        """Whether one size only is taken."""
        return self.smallest == self.largest

    def __str__(self) -> str:
        sizes = (self.best,) if self.is_static else (self.smallest, self.best, self.largest)
        return ",".join(f"{width}x{height}" for width, height in sizes)

    def shapes(self, role: Role) -> dict[str, dict[str, list[int]]]:
        """Input → min, opt, max as (N, C, H, W)."""
        sizes = {"min": self.smallest, "opt": self.best, "max": self.largest}
        return {
            name: {key: [1, CHANNELS, height, width] for key, (width, height) in sizes.items()}
            for name in ROLE_INPUTS[role]
        }


def parse_profile(text: str, role: Role, stride: int) -> Profile:
    """``512x288`` (width × height), or three such sizes, ``min,opt,max``.

    Raises:
        InputError: not such a text, a size that is no multiple of ``stride``, or sizes out of order.
    """
    matches = [SIZE.fullmatch(part.strip()) for part in text.split(",")]
    if len(matches) not in (1, 3) or not all(matches):
        raise InputError(f"{text!r} is not a size: give WIDTHxHEIGHT, or MIN,OPT,MAX of such (512x288)")
    sizes = [(int(match[1]), int(match[2])) for match in matches if match]
    for width, height in sizes:
        if width < stride or height < stride or width % stride or height % stride:
            near = "x".join(str(max(1, round(side / stride)) * stride) for side in (width, height))
            raise InputError(
                f"{width}x{height}: the {role} network takes multiples of its stride {stride}; the nearest is {near}"
            )
    smallest, best, largest = sizes * 3 if len(sizes) == 1 else sizes
    if not all(a <= b <= c for a, b, c in zip(smallest, best, largest, strict=True)):
        raise InputError(f"{text}: the sizes must be in the order smallest, best, largest, in width and in height")
    return Profile(smallest, best, largest)


def per_role(options: list[str], roles: Mapping[Role, int]) -> dict[Role, str]:
    """Options like ``512x288`` (every role) or ``matting=512x288`` (that one) → the text of each role.

    Args:
        roles: role → stride; a role without an option is left out.

    Raises:
        InputError: a role that the bundle does not have.
    """
    chosen: dict[Role, str] = {}
    for option in options:
        name, equals, text = option.rpartition("=")
        if equals and name not in roles:
            raise InputError(f"{option}: there is no role {name!r} here; there is {' and '.join(roles)}")
        for role in roles:
            if not equals or role == name:
                chosen[role] = text
    return chosen
