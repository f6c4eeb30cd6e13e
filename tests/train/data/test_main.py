"""The commands of ``python -m train.data``."""

import pytest
from typer.testing import CliRunner

from train.data.__main__ import app


@pytest.mark.parametrize(
    "command",
    ["check", "composite", "synthesize", "teach", "portraits", "preview", "lists foregrounds", "lists backgrounds",
     "lists pairs", "lists verify"],
)  # fmt: skip
def test_every_command_explains_itself(command: str) -> None:
    done = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert f"{command} [OPTIONS]" in done.output
