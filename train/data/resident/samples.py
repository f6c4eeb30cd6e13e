"""Plans turned into batches on the device that holds the pictures. Nothing is read back, so the CPU runs ahead."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from train.data.config import DataConfig
from train.data.dataset import MattingSamples, SampleSpec, Split
from train.data.in_front import MOST_BOXES
from train.data.resident import filters
from train.data.resident.atlas import resample
from train.data.resident.draws import ellipse_reach
from train.data.resident.plan import Index, Plan, draw_plan
from train.data.resident.store import ResidentStore
from train.data.trimaps import IGNORE


@dataclass(frozen=True)
class Applied:
    """An effect on the device: ``rows`` int64 (n,), ``numbers`` float32 (n, k), ``offsets`` int64 (n,) or (0,)."""

    rows: Tensor
    numbers: Tensor
    offsets: Tensor


@dataclass(frozen=True)
class Sent:
    """A plan's numbers on the device. ``reach``: elements of the trimaps, (2, N, 2R + 1). ``keys``: of the batch."""

    effects: dict[str, Applied]
    kernels: dict[str, Tensor]
    reach: Tensor
    keys: dict[str, Tensor]

    def change(self, x: Tensor, name: str, how: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """``x`` (N, …) with ``how`` (pictures, numbers) applied to the rows that effect ``name`` happens to."""
        if name not in self.effects:
            return x
        effect = self.effects[name]
        if len(effect.rows) == len(x):
            return how(x, effect.numbers)
        return x.index_copy(0, effect.rows, how(x.index_select(0, effect.rows), effect.numbers))


class ResidentSamples:
    """Batches of the samples of :class:`train.data.dataset.MattingSamples`, made on ``device``.

    Args:
        config, spec, seed, batch_size, length, split, holdout: as for MattingSamples.
        device: where the pictures are kept and the samples are made.

    Raises:
        InputError: the data is missing or broken.
        MattingError: the set does not fit into the device's memory.
    """

    def __init__(
        self,
        config: DataConfig,
        spec: SampleSpec,
        *,
        seed: int,
        batch_size: int,
        length: int,
        split: Split = "all",
        holdout: float = 0.0,
        device: torch.device,
    ) -> None:
        self.device = torch.device(device)
        # It lists the records and draws among them; with this store it draws places in the atlas instead of pictures.
        self.listing = MattingSamples(
            config, spec, seed=seed, batch_size=batch_size, length=length, split=split, holdout=holdout
        )
        self.store = ResidentStore(self.listing, self.device)
        self.listing.store = self.store  # type: ignore[assignment]
        self._constants = filters.Constants(self.device)
        self._generator = torch.Generator(self.device)

    def batch(self, indices: Sequence[Index]) -> dict[str, Any]:
        """Samples of one step, collated, on the device.

        Args:
            indices: sample numbers; (i, j) is sample i with the people of sample j.

        Returns:
            image, foreground, background: float32 (N, 3, H, W) in [0, 1].    alpha: float32 (N, 1, H, W).
            trimap: int64 (N, H, W), class numbers, 255 = look away.    has_alpha: bool (N,).    index: int64 (N,).
            name: list of str.    window: int64 (N, 3), if the kind is "whole" with ``crops``.
        """
        return self.render(self.plan(indices))

    def batches(self, steps: Iterable[Sequence[Index]]) -> Iterator[dict[str, Any]]:
        """A batch for each item of ``steps``; the next one's numbers are drawn while this one is in use."""
        with ThreadPoolExecutor(1) as ahead:
            planned = None
            for indices in steps:
                following = ahead.submit(self.plan, indices)
                if planned is not None:
                    yield self.render(planned.result())
                planned = following
            if planned is not None:
                yield self.render(planned.result())

    def plan(self, indices: Sequence[Index]) -> Plan:
        """All numbers of a batch; see :func:`train.data.resident.plan.draw_plan`."""
        return draw_plan(self.listing, indices)

    @torch.no_grad()
    def render(self, plan: Plan) -> dict[str, Any]:
        """Make the pictures of ``plan``; see :meth:`batch`."""
        with torch.autocast(self.device.type, enabled=False):
            sent = self._send(plan)
            back, mask = self._background(plan, sent)
            front, alpha = self._people(plan, sent, back)
            alpha, back = self._in_front(plan, sent, alpha, back)
            back, front = (sent.change(filters.quantize(x), "look", self._look) for x in (back, front))
            image, alpha = self._camera(plan, sent, torch.lerp(back, front, alpha), alpha)
            batch: dict[str, Any] = {"image": image, "alpha": alpha, "foreground": filters.quantize(front)}
            batch |= {"background": filters.quantize(back), **sent.keys, "name": plan.names}
            if "mask" in sent.effects:
                self._put_masks(batch, sent, mask)
            else:
                batch["trimap"] = filters.trimap_classes(alpha, sent.reach)
            return batch

    def _look(self, picture: Tensor, looks: Tensor) -> Tensor:
        return filters.apply_look(picture, looks, self._constants)

    def _layer(self, plan: Plan, sent: Sent, name: str) -> Tensor:
        effect = sent.effects[name]
        shrunk = any(numbers[8] > 0 for numbers in plan.effects[name].numbers)
        pixels = self.store.atlas.pixels
        return resample(pixels, effect.offsets, effect.numbers, plan.width, plan.height, shrunk=shrunk)

    def _background(self, plan: Plan, sent: Sent) -> tuple[Tensor, Tensor]:
        """Colour (N, 3, H, W), and the fourth channel (N, 1, H, W), which only pictures with masks need."""
        both = torch.zeros((len(plan.indices), 4, plan.height, plan.width), device=self.device)
        if "background" in sent.effects:
            rows = sent.effects["background"].rows
            both.index_copy_(0, rows, self._layer(plan, sent, "background")[:, :4])
        back, mask = both.split([3, 1], dim=1)
        back = sent.change(back, "plain", filters.gradient)
        back = sent.change(back, "blur", lambda x, v: filters.gaussian_blur(x, v[:, 0]))
        back = sent.change(back, "solid", lambda x, v: torch.lerp(v[:, :3, None, None], x, v[:, 3, None, None, None]))
        return sent.change(back, "back look", self._look), mask

    def _people(self, plan: Plan, sent: Sent, back: Tensor) -> tuple[Tensor, Tensor]:
        """Colour and alpha of everyone in front of ``back``; where there is nobody, its colour."""
        front, alpha = back, torch.zeros_like(back[:, :1])
        for number in range(2):
            if f"person {number}" not in sent.effects:
                continue
            layer = self._layer(plan, sent, f"person {number}")
            rows = sent.effects[f"person {number}"].rows
            color = torch.zeros_like(back).index_copy_(0, rows, layer[:, :3])
            own = torch.zeros_like(alpha).index_copy_(0, rows, layer[:, 3:4] * layer[:, 4:])
            color = sent.change(color, f"dye {number}", filters.dye_pale_cloth)
            color = sent.change(color, f"look {number}", self._look)
            color = sent.change(color, f"clothes {number}", filters.dress)
            if f"wall colour {number}" in sent.effects:
                alike = sent.effects[f"wall colour {number}"]
                some = (x.index_select(0, alike.rows) for x in (color, own, back))
                color = color.index_copy(0, alike.rows, filters.toward_background(*some, alike.numbers[:, 0]))
            if f"smear {number}" in sent.effects:
                moving, areas = sent.effects[f"smear {number}"].rows, sent.effects[f"smear {number}"].numbers
                some = (x.index_select(0, moving) for x in (color, own))
                smeared = filters.smear(*some, sent.kernels[f"smear {number}"], areas)
                color, own = (x.index_copy(0, moving, s) for x, s in zip((color, own), smeared, strict=True))
            # "Over" for straight colours: the union's alpha, and its colour where it covers anything.
            union = own + alpha * (1 - own)
            mixed = torch.lerp(front, color, own / union.clamp_min(1e-4))
            mixed = torch.where(union > 1e-4, mixed, color)
            front = front.index_copy(0, rows, mixed.index_select(0, rows))
            alpha = union
        return front, alpha

    def _in_front(self, plan: Plan, sent: Sent, alpha: Tensor, back: Tensor) -> tuple[Tensor, Tensor]:
        """Alpha and background of the pictures with boxes in front; see :mod:`train.data.in_front`."""
        if "table" not in sent.effects:
            return alpha, back
        layers = torch.zeros((len(back), 7, *back.shape[2:]), device=self.device)
        layers[:, 4:].index_copy_(0, sent.effects["table"].rows, self._layer(plan, sent, "table")[:, :3])
        for number in range(MOST_BOXES):
            layers = sent.change(layers, f"box {number}", filters.paint_box)
        color, cover, _ = layers.split([3, 1, 3], dim=1)
        color = sent.change(filters.quantize(color), "box look", self._look)
        return filters.put_before(cover, color, alpha, back)

    def _camera(self, plan: Plan, sent: Sent, image: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
        """Lens, sensor, firmware and compression over the finished picture; lens blur reaches the alpha too."""
        both = torch.cat([image, alpha], dim=1)
        both = sent.change(both, "lens", lambda x, v: filters.gaussian_blur(x, v[:, 0]))
        image, alpha = both.split([3, 1], dim=1)
        image = sent.change(image, "lower", filters.lower_resolution)
        image = sent.change(image, "noise", lambda x, v: filters.sensor_noise(x, v[:, 0], self._noise_of(plan)))
        image = sent.change(image, "sharpen", lambda x, v: filters.sharpen(x, v[:, 0], v[:, 1]))
        image = sent.change(image, "jpeg", lambda x, v: filters.jpeg(x, v[:, 0], self._constants))
        image = sent.change(image, "h264", lambda x, v: filters.h264(x, v[:, 0], self._constants))
        return filters.quantize(image), alpha.clamp(0, 1)

    def _noise_of(self, plan: Plan) -> torch.Generator:
        """The device's generator, set to where this batch's noise starts: by the seed and the first sample."""
        return self._generator.manual_seed((self.listing.seed * 0x9E3779B1 + plan.indices[0]) % 2**63)

    def _put_masks(self, batch: dict[str, Any], sent: Sent, mask: Tensor) -> None:
        """Give pictures with coarse masks their truth: 255 in the trimap where the mask's maker was not sure."""
        rows = sent.effects["mask"].rows
        mask, image = mask.index_select(0, rows), batch["image"].index_select(0, rows)
        batch["alpha"] = batch["alpha"].index_copy(0, rows, (mask > 127 / 255).float())
        for name in ("foreground", "background"):
            batch[name] = batch[name].index_copy(0, rows, image)
        trimap = filters.trimap_classes(batch["alpha"], sent.reach)
        unsure = ((mask > 64 / 255) & (mask < 192 / 255))[:, 0]
        batch["trimap"] = trimap.index_copy(0, rows, torch.where(unsure, IGNORE, trimap.index_select(0, rows)))

    def _send(self, plan: Plan) -> Sent:
        """All numbers of ``plan`` to the device, in two copies that the host does not wait for."""
        longest = max(round(max(pair)) for pair in plan.radii)
        reach = np.stack([[ellipse_reach(r, longest) for r in side] for side in zip(*plan.radii, strict=True)])
        kernels = {name: _same_size(found) for name, found in plan.kernels.items()}
        effects = plan.effects.values()
        floats = [reach, *kernels.values(), *(np.asarray(e.numbers) for e in effects)]
        keys = [np.asarray(plan.indices), np.asarray(plan.has_alpha), np.asarray(plan.windows)]
        integers = [*keys, *(np.asarray(e.rows) for e in effects), *(np.asarray(e.offsets) for e in effects)]
        on_device, *rest = self._to_device(floats, np.float32)
        index, has_alpha, windows, *places = self._to_device(integers, np.int64)
        count = len(plan.effects)
        sent_keys = {"has_alpha": has_alpha.bool(), "index": index, **({"window": windows} if plan.windows else {})}
        applied = zip(plan.effects, places[:count], rest[len(kernels) :], places[count:], strict=True)
        return Sent(
            {name: Applied(*parts) for name, *parts in applied},
            dict(zip(kernels, rest, strict=False)),
            on_device,
            sent_keys,
        )

    def _to_device(self, arrays: list[NDArray[Any]], kind: type) -> list[Tensor]:
        """Tensors of the arrays' shapes, which travel as one; from pinned memory, so that the copy is asynchronous."""
        together = torch.from_numpy(np.concatenate([a.ravel() for a in arrays]).astype(kind))
        if self.device.type == "cuda":
            together = together.pin_memory()
        parts = together.to(self.device, non_blocking=True).split([a.size for a in arrays])
        return [part.view(a.shape) for part, a in zip(parts, arrays, strict=True)]


def _same_size(kernels: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Kernels of odd sides, padded to the largest: (n, k, k)."""
    side = max(len(k) for k in kernels)
    return np.stack([np.pad(k, (side - len(k)) // 2) for k in kernels])
