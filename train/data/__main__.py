"""``python -m train.data``: tools for training data."""

import typer

from train.cli import run
from train.data import lists
from train.data.bake import bake
from train.data.check import check
from train.data.composition import composite
from train.data.portraits import portraits
from train.data.preview import preview
from train.data.synthesize import synthesize
from train.data.teachers import teach

app = typer.Typer(help="Tools for training data.", no_args_is_help=True, pretty_exceptions_enable=False)
app.add_typer(lists.app, name="lists")
for command in (check, composite, portraits, synthesize, teach, preview, bake):
    app.command()(command)

if __name__ == "__main__":
    run(app, extra="train")
