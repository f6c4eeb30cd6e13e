"""The networks of the tiny bundle whose people are green."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from realtime_matting.matting.networks import Networks
from realtime_matting.models.registry import find_bundle


@pytest.fixture
def green_networks(green_bundle: Path) -> Iterator[Networks]:
    """The networks of ``green_bundle``, opened."""
    opened = Networks(find_bundle(green_bundle), engine="auto", threads=1, precision=None)
    yield opened
    opened.close()
