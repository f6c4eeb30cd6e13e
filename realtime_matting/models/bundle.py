"""A model bundle: a folder with ``model.toml`` and one ONNX file per role, checked when it is loaded.

Roles and their tensors, all float32 NCHW with batch 1; H and W are multiples of the role's ``stride``:

===========  =====================================================================  =================================
role         inputs                                                                 output
===========  =====================================================================  =================================
``trimap``   ``rgb`` (1, 3, H, W) normalised                                        ``trimap`` (1, 3, H, W)
``matting``  ``rgb`` (1, 3, H, W) normalised, ``trimap`` (1, 3, H, W)               ``alpha`` (1, 1, H, W)
``alpha``    ``rgb`` (1, 3, H, W) normalised                                        ``alpha`` (1, 1, H, W)
===========  =====================================================================  =================================

A trimap is three class probabilities in the order background, unknown, foreground; as an output it may also be half as
high and half as wide. An alpha is in [0, 1]; that of
``matting`` holds inside the unknown region, before the fusion. Normalised means (rgb/255 − mean) / std.

A bundle holds ``trimap`` and ``matting``, or ``alpha``, or ``alpha`` and ``matting``. Nothing in it is executable.
"""

import hashlib
import os
import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from realtime_matting.errors import BundleError, MissingExtraError, OutputError
from realtime_matting.resampling import scaled_to

SCHEMA: Literal[1] = 1
MANIFEST = "model.toml"

Role = Literal["trimap", "matting", "alpha"]
ROLE_INPUTS: dict[Role, tuple[str, ...]] = {"trimap": ("rgb",), "matting": ("rgb", "trimap"), "alpha": ("rgb",)}
ROLE_OUTPUT: dict[Role, str] = {"trimap": "trimap", "matting": "alpha", "alpha": "alpha"}
VALID_ROLES: tuple[frozenset[str], ...] = (
    frozenset({"trimap", "matting"}),
    frozenset({"alpha"}),
    frozenset({"alpha", "matting"}),
)

GraphPrecision = Literal["fp32", "bf16", "int8"]
Padding = Literal["repeat", "mirror"]

Text = Annotated[str, Field(min_length=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(allow_inf_nan=False, gt=0)]


class _Table(BaseModel):
    """A TOML table that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TrainingData(_Table):
    """One data set the weights were learnt from."""

    name: Text
    licence: Text
    attribution: Text


class Metric(_Table):
    """Measured values, with the data set and the command that gave them."""

    data: Text
    command: Text
    values: dict[str, Finite]


class RoleSpec(_Table):
    """How one network of the bundle is stored and fed.

    Attributes:
        file: name of the ONNX file inside the bundle's folder.
        sha256: of that file, lower-case hexadecimal.
        stride: H and W must be multiples of it.
        long_side: frames are scaled, keeping their aspect, until their longer side has this many pixels (see
            `scaled_to`), then padded to the stride at their right and bottom edge.
        fixed_size: (width, height) every frame is scaled to; either this or ``long_side`` is given.
        padding: how: ``repeat`` the last column and row, or ``mirror`` the frame.
        mean, std: of R, G, B in units of [0, 1].
        precision: of the arithmetic the graph asks for. ``int8``: rounding to 8 bits is in the graph; ``bf16``: a
            float32 graph that was measured right and fastest in bf16; ``fp32``: a float32 graph. Where the engine is
            free to compute narrower, it does, unless the graph's own metadata says fp32, too.
        weights: how the weights are stored; ``fp16`` ones are widened to fp32 when the graph is loaded.
        unpooling: the index-free rewrite of max-unpooling in the graph, ``none`` where the network has no unpooling.
    """

    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*\.onnx$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    stride: PositiveInt
    long_side: PositiveInt | None = None
    fixed_size: tuple[PositiveInt, PositiveInt] | None = None
    padding: Padding = "repeat"
    mean: tuple[Finite, Finite, Finite]
    std: tuple[Positive, Positive, Positive]
    channel_order: Literal["rgb"] = "rgb"
    precision: GraphPrecision = "fp32"
    weights: Literal["fp32", "fp16"] = "fp32"
    unpooling: Literal["none", "up-first", "key"] = "none"

    @model_validator(mode="after")
    def _check_size(self) -> Self:
        if (self.long_side is None) == (self.fixed_size is None):
            raise ValueError("give either long_side or fixed_size")
        if any(side % self.stride for side in self.fixed_size or (self.long_side or 0,)):
            raise ValueError(f"the size is not a multiple of the stride {self.stride}")
        return self

    def scaled_size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) to which a frame of ``width`` × ``height`` pixels is scaled for the network.

        With ``long_side`` the aspect is kept, for a stretched person looks like nobody in the training data.
        """
        if self.fixed_size is not None:
            return self.fixed_size
        assert self.long_side is not None  # _check_size
        return scaled_to(self.long_side, width, height)

    def working_size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) the network sees: the scaled frame, padded at the right and the bottom up to the stride."""
        scaled = self.scaled_size(width, height)
        return -(-scaled[0] // self.stride) * self.stride, -(-scaled[1] // self.stride) * self.stride


class Card(_Table):
    """Who made a bundle of what, and how well it does: the part of ``model.toml`` that people write."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    licence: Text
    description: Text
    training_data: tuple[TrainingData, ...] = Field(min_length=1)
    metrics: tuple[Metric, ...] = ()


class Manifest(Card):
    """The content of ``model.toml``."""

    schema_version: Annotated[Literal[1], Field(alias="schema")] = SCHEMA
    roles: dict[Role, RoleSpec]

    @model_validator(mode="after")
    def _check_roles(self) -> Self:
        if frozenset(self.roles) not in VALID_ROLES:
            found = " + ".join(self.roles) or "none"
            raise ValueError(f"roles are {found}; a bundle has trimap + matting, alpha, or alpha + matting")
        files = [spec.file for spec in self.roles.values()]
        if len(set(files)) < len(files):
            raise ValueError("two roles name the same file")
        return self


@dataclass(frozen=True)
class Bundle:
    """A checked bundle on disk."""

    folder: Path
    manifest: Manifest

    @property
    def roles(self) -> Mapping[Role, RoleSpec]:
        """What each network of the bundle does and how it is fed."""
        return self.manifest.roles

    def path(self, role: Role) -> Path:
        """The ONNX file of ``role``; KeyError when the bundle does not have that role."""
        return self.folder / self.roles[role].file

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read ``folder``/model.toml and compare every ONNX file with its SHA-256.

        Raises:
            BundleError: the folder, a file, the schema or a checksum is wrong; one line that says which.
        """
        folder = Path(folder)
        manifest = read_manifest(folder)
        for role, spec in manifest.roles.items():
            path = folder / spec.file
            try:
                with path.open("rb") as file:
                    found = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                why = error.strerror or "cannot be read"
                raise BundleError(f"{path}: the {role} network cannot be read ({why}); get the bundle again") from error
            if found != spec.sha256:
                raise BundleError(
                    f"{path}: not the {role} network {MANIFEST} describes"
                    f" (SHA-256 {found[:12]}… instead of {spec.sha256[:12]}…); get the bundle again"
                )
        return cls(folder, manifest)

    @classmethod
    def write(cls, folder: str | Path, manifest: Mapping[str, Any], networks: Mapping[Role, bytes]) -> Self:
        """Write a bundle, replacing the one in ``folder`` at once or leaving it untouched.

        Other files of an existing bundle, such as its model card, are kept.

        Args:
            folder: the bundle's folder; it must be new, empty, or a bundle already.
            manifest: the content of model.toml, but for ``schema`` and each role's ``file`` and ``sha256``, which are
                filled in here.
            networks: the bytes of the ONNX file of each role.

        Raises:
            BundleError: ``manifest`` does not follow the schema.
            OutputError: the folder holds something else, or cannot be written.
            MissingExtraError: ``tomli-w`` is not installed.
        """
        try:
            import tomli_w
        except ImportError as error:
            raise MissingExtraError("writing a model bundle", "export") from error

        folder = Path(folder)
        if set(networks) != set(manifest.get("roles", {})):
            raise BundleError(f"{folder}: the manifest and the networks do not have the same roles")
        roles = {
            role: {**manifest["roles"][role], "file": f"{role}.onnx", "sha256": hashlib.sha256(network).hexdigest()}
            for role, network in networks.items()
        }
        checked = _validate({"schema": SCHEMA, **manifest, "roles": roles}, folder)
        if folder.exists() and not (folder / MANIFEST).is_file() and (not folder.is_dir() or any(folder.iterdir())):
            raise OutputError(f"{folder}: exists and is not a model bundle; choose another folder")

        partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
        replaced = folder.with_name(f".{folder.name}.{os.getpid()}.old")
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            if folder.exists():
                shutil.copytree(folder, partial, ignore=shutil.ignore_patterns(MANIFEST, "*.onnx"))
            else:
                partial.mkdir()
            for role, spec in checked.roles.items():
                (partial / spec.file).write_bytes(networks[role])
            content = checked.model_dump(mode="json", by_alias=True, exclude_none=True)
            (partial / MANIFEST).write_text(tomli_w.dumps(content), encoding="utf-8")
            _swap(partial, folder, replaced)
        except OSError as error:
            raise OutputError(f"{folder}: cannot be written ({error.strerror}); check space and permissions") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)
        return cls.load(folder)


def read_manifest(folder: Path) -> Manifest:
    """Read and check model.toml alone, without looking at the networks.

    Raises:
        BundleError: it is missing, is not TOML, or does not follow the schema.
    """
    path = folder / MANIFEST
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        why = f"{MANIFEST} is missing" if folder.is_dir() else "no such folder"
        raise BundleError(f"{folder}: not a model bundle ({why}); give a bundle's folder or name") from error
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror}); give a bundle's folder or name") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BundleError(f"{path}: not valid TOML ({error}); get the bundle again") from error
    if content.get("schema") != SCHEMA:
        raise BundleError(
            f"{path}: schema {content.get('schema')!r}, this version reads {SCHEMA};"
            " export the bundle again or update rtmatte"
        )
    return _validate(content, folder)


def _validate(content: Mapping[str, Any], folder: Path) -> Manifest:
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        errors = error.errors()
        where = ".".join(str(step) for step in errors[0]["loc"]) or "content"
        what = errors[0]["msg"].removeprefix("Value error, ")
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise BundleError(f"{folder / MANIFEST}: {where}: {what}{more}; correct it or get the bundle again") from error


def _swap(new: Path, folder: Path, replaced: Path) -> None:
    """Put ``new`` at ``folder``; what was there goes to ``replaced``, or comes back when that fails."""
    if not folder.exists():
        new.rename(folder)
        return
    folder.rename(replaced)
    try:
        new.rename(folder)
    except OSError:
        replaced.rename(folder)
        raise
