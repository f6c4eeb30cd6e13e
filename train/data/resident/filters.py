"""What a camera and a wardrobe do to a picture, for a whole batch at once on the training device.

The counterparts of :mod:`train.data.augment` and :mod:`train.data.trimaps`. Pictures are float32 (N, C, H, W) in
[0, 1], RGB, unless said otherwise; every other argument holds one number (or a few) for each of the N pictures, already
on the device. Nothing here asks the device for a value, so the host never waits.

Filters that act along one axis at a time (blur, resizing) are banded matrices, one an axis and a picture: each picture
then has its own width of blur in one batched product, which is what such a device does best.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from train.data.clothes import DARKEST, PER_LUMA

GREY = (0.299, 0.587, 0.114)
# ITU-T T.81 (JPEG), tables K.1 and K.2: luminance and chrominance at quality 50.
LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55), (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62), (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99), (18, 21, 26, 66, 99, 99, 99, 99), (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99), *((99,) * 8,) * 4,
)  # fmt: skip


class Constants:
    """The few fixed tensors, brought to the device once."""

    def __init__(self, device: torch.device) -> None:
        def tensor(values: object) -> Tensor:
            return torch.tensor(values, dtype=torch.float32, device=device)

        self.grey = tensor(GREY).view(1, 3, 1, 1)
        self.quantisation = tensor([LUMINANCE, CHROMINANCE, CHROMINANCE])
        # JFIF: the conversion to Y, Cb, Cr and back; both without the offset of the chroma, which a DCT does not need.
        to_ycc = np.array([GREY, (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312)])
        self.to_ycc, self.to_rgb = tensor(to_ycc), tensor(np.linalg.inv(to_ycc))
        k, x = np.mgrid[:8, :8]
        self.dct = tensor(np.where(k, 0.5, math.sqrt(0.125)) * np.cos((2 * x + 1) * k * math.pi / 16))


def quantize(picture: Tensor) -> Tensor:
    """Rounded to the 256 levels of a stored picture."""
    return (picture.clamp(0, 1) * 255).round() / 255


def apply_look(picture: Tensor, looks: Tensor, constants: Constants) -> Tensor:
    """Apply the looks (N, 6) of :func:`train.data.resident.draws.draw_look`."""
    gain, gamma, contrast, saturation = (v[:, :, None, None] for v in looks.split([3, 1, 1, 1], dim=1))
    toned = (picture.clamp_min(1e-6) ** gamma * gain).clamp(0, 1)
    toned = quantize((toned - 0.45) * contrast + 0.45)
    grey = (toned * constants.grey).sum(dim=1, keepdim=True)
    return torch.lerp(grey, toned, saturation).clamp(0, 1)


def separable(picture: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Apply ``rows`` (N, H', H) down and ``columns`` (N, W', W) across."""
    return torch.matmul(torch.matmul(rows[:, None], picture), columns[:, None].transpose(-1, -2))


def gaussian_matrix(sigma: Tensor, length: int) -> Tensor:
    """(N,) → (N, length, length): Gaussian weights whose rows sum to 1, cut off at the picture's edge."""
    at = torch.arange(length, device=sigma.device, dtype=torch.float32)
    distance = (at - at[:, None]) / sigma[:, None, None]
    weights = torch.exp(-0.5 * distance.square())
    return weights / weights.sum(dim=2, keepdim=True)


def gaussian_blur(picture: Tensor, sigma: Tensor) -> Tensor:
    """Blur each picture by its own ``sigma`` (N,), in pixels."""
    return separable(
        picture, gaussian_matrix(sigma, picture.shape[2]), gaussian_matrix(sigma, picture.shape[3])
    )  # fmt: skip


def lower_resolution_matrix(small: Tensor, length: int) -> Tensor:
    """(N,) → (N, length, length): shrink ``length`` pixels to ``small`` by area, and enlarge them again bilinearly."""
    small = small[:, None, None]
    at = torch.arange(length, device=small.device, dtype=torch.float32)
    start, stop = at[:, None] * length / small, (at[:, None] + 1) * length / small
    area = (torch.minimum(stop, at + 1) - torch.maximum(start, at)).clamp_min(0) * small / length
    source = ((at[:, None] + 0.5) * small / length - 0.5).clamp_min(0).minimum(small - 1)
    linear = (1 - (source - at).abs()).clamp_min(0)
    return torch.matmul(linear, area)


def lower_resolution(picture: Tensor, small: Tensor) -> Tensor:
    """What a camera shows whose real resolution is ``small`` (N, 2), width and height."""
    height, width = picture.shape[2:]
    return separable(
        picture, lower_resolution_matrix(small[:, 1], height), lower_resolution_matrix(small[:, 0], width)
    )  # fmt: skip


def smear(color: Tensor, alpha: Tensor, kernels: Tensor, areas: Tensor) -> tuple[Tensor, Tensor]:
    """Filter premultiplied colour and alpha alike by ``kernels`` (N, k, k); colour comes back straight.

    ``areas`` (N, 3): what moves, see :func:`train.data.augment.motion_area`.
    """
    n, size = kernels.shape[:2]
    both = torch.cat([color * alpha, alpha], dim=1)
    margin = size // 2
    padded = F.pad(both, (margin,) * 4, mode="replicate").flatten(0, 1)[None]
    weights = kernels[:, None].expand(n, 4, size, size).reshape(4 * n, 1, size, size)
    smeared = F.conv2d(padded, weights, groups=4 * n).view(both.shape)
    height, width = both.shape[2:]
    x, y, radius = (v[:, None, None] for v in areas.unbind(1))
    across = ((torch.arange(width, device=both.device) + 0.5) / width - x) / radius
    down = ((torch.arange(height, device=both.device)[:, None] + 0.5) / height - y) / radius
    moving = (2 - 2 * (across**2 + down**2).sqrt()).clamp(0, 1)[:, None]
    premultiplied, alpha = torch.lerp(both, smeared, moving).split([3, 1], dim=1)
    return torch.where(alpha > 0.01, premultiplied / alpha.clamp_min(0.01), color), alpha


def dye_pale_cloth(color: Tensor, dyes: Tensor) -> Tensor:
    """Dye pale, unsaturated cloth in the lower part of a person.

    ``dyes`` (N, 13): the colour; three numbers (of x, of y, constant) that lead from the pixel to its height in the
    person's picture, 0 top to 1 bottom; the stripes' factor; three numbers that lead to the stripes' phase; and the
    sigma by which the dye's edge is softened, in pixels.
    """
    height, width = color.shape[2:]
    x = torch.arange(width, device=color.device, dtype=torch.float32)
    y = torch.arange(height, device=color.device, dtype=torch.float32)[:, None]
    dye, row, stripe, phase, sigma = dyes.split([3, 3, 3, 3, 1], dim=1)

    def plane(parts: Tensor) -> Tensor:
        across, down, constant = (p[:, None, None, None] for p in parts.unbind(1))
        return across * x + down * y + constant

    value = 255 * color.amax(dim=1, keepdim=True)
    chroma = value - 255 * color.amin(dim=1, keepdim=True)
    pale = ((45 - chroma) / 20).clamp(0, 1) * ((value - 110) / 40).clamp(0, 1)
    pale = pale * ((plane(row) - 0.35) / 0.1).clamp(0, 1)
    factor = 1 - gaussian_blur(pale, sigma[:, 0]) * (1 - dye[..., None, None])
    factor = factor * (1 - (torch.sin(plane(phase)) > 0) * pale * (1 - stripe[..., None, None]))
    return (color * factor).clamp(0, 1)


def gradient(picture: Tensor, numbers: Tensor) -> Tensor:
    """From one colour to another (3 + 3 numbers) along the plane whose coefficients of x and y and constant follow."""
    height, width = picture.shape[2:]
    x = torch.arange(width, device=picture.device, dtype=torch.float32)
    y = torch.arange(height, device=picture.device, dtype=torch.float32)[:, None]
    across, down, constant = (v[:, None, None, None] for v in numbers[:, 6:].unbind(1))
    first, second = numbers[:, :3, None, None], numbers[:, 3:6, None, None]
    return torch.lerp(first, second, across * x + down * y + constant).clamp(0, 1)


def paint_box(layers: Tensor, numbers: Tensor) -> Tensor:
    """One more box before the others.

    Args:
        layers: (N, 7, H, W), straight colour and cover of the boxes so far, and the picture that is their grain.
        numbers: (N, 14), `Box.numbers`.
    """
    color, cover, texture = layers.split([3, 1, 3], dim=1)
    paint, own = _box(numbers, *layers.shape[2:])
    grain, mirrored = (v[:, :, None, None] for v in numbers[:, 12:].split(1, dim=1))
    paint = torch.lerp(paint, torch.where(mirrored > 0, texture.flip(-1), texture), grain)
    union = own + cover * (1 - own)
    return torch.cat([torch.lerp(color, paint, own / union.clamp_min(1e-4)), union, texture], dim=1)


def dress(color: Tensor, numbers: Tensor) -> Tensor:
    """(N, 3, H, W) in other clothes, (N, 14); see :func:`train.data.clothes.dress`."""
    shade, where = _box(numbers, *color.shape[2:])
    luma = (color * color.new_tensor(GREY)[:, None, None]).sum(dim=1, keepdim=True)
    return torch.lerp(color, (shade * (DARKEST + PER_LUMA * luma)).clamp(0, 1), where)


def _box(numbers: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Colour (N, 3, H, W) and cover (N, 1, H, W) of a box without its grain; ``numbers`` (N, 14): `Box.numbers`."""
    x, y, across, down, cos, sin, *shades, _ = (v[:, :, None, None] for v in numbers.split([1] * 6 + [3, 3, 2], dim=1))
    dx = torch.arange(width, device=numbers.device)[None, None, None] + 0.5 - x
    dy = torch.arange(height, device=numbers.device)[None, None, :, None] + 0.5 - y
    along, below = cos * dx + sin * dy, cos * dy - sin * dx
    own = (0.5 + torch.minimum(across - along.abs(), down - below.abs())).clamp(0, 1)
    return torch.lerp(*shades, (0.5 + below / (2 * down)).clamp(0, 1)), own


def put_before(cover: Tensor, color: Tensor, alpha: Tensor, back: Tensor) -> tuple[Tensor, Tensor]:
    """(alpha, background); see :func:`train.data.in_front.put_before`."""
    seen = (1 - cover) * alpha
    behind = (cover * color + (1 - cover) * (1 - alpha) * back) / (1 - seen).clamp_min(1e-3)
    return seen, torch.where(1 - seen > 1e-3, behind, back)


def sensor_noise(picture: Tensor, strength: Tensor, generator: torch.Generator) -> Tensor:
    """Shot and read noise of ``strength`` (N,), partly as coloured blotches the size of a few pixels."""
    n, _, height, width = picture.shape
    noise = torch.randn((n, 1, height, width), device=picture.device, generator=generator)
    blotch = torch.randn((n, 3, height // 3 + 1, width // 3 + 1), device=picture.device, generator=generator)
    noise = noise + 0.6 * F.interpolate(blotch, size=(height, width), mode="bilinear", align_corners=False)
    return (picture + noise * strength[:, None, None, None] * (0.5 + picture.clamp_min(0).sqrt())).clamp(0, 1)


def sharpen(picture: Tensor, sigma: Tensor, amount: Tensor) -> Tensor:
    """Unsharp mask of each picture's own ``sigma`` and ``amount`` (N,)."""
    soft = gaussian_blur(picture, sigma)
    return (picture + amount[:, None, None, None] * (picture - soft)).clamp(0, 1)


def toward_background(color: Tensor, alpha: Tensor, background: Tensor, strength: Tensor) -> Tensor:
    """The counterpart of :func:`train.data.augment.toward_background`; ``alpha`` (N, 1, H, W), ``strength`` (N,)."""
    weight = alpha / alpha.sum(dim=(2, 3), keepdim=True).clamp_min(1e-3)
    own, behind = ((weight * x).sum(dim=(2, 3), keepdim=True) for x in (color, background))
    gain = ((behind + 0.02) / (own + 0.02)).clamp(0.25, 4) ** strength[:, None, None, None]
    return (color * gain).clamp(0, 1)


def jpeg(picture: Tensor, quality: Tensor, constants: Constants) -> Tensor:
    """What JPEG compression of ``quality`` (N,), 1 to 100, leaves: 8×8 DCT, chroma halved, quantised, and back.

    ITU-T T.81; quality scales the tables of its annex K as the Independent JPEG Group's code does.
    """
    scale = torch.where(quality < 50, (5000 / quality).floor(), 200 - 2 * quality)[:, None, None, None]
    return _compressed(picture, ((constants.quantisation * scale + 50) / 100).floor().clamp(1, 255), constants)


def h264(picture: Tensor, quantiser: Tensor, constants: Constants) -> Tensor:
    """About what H.264 at a ``quantiser`` (N,) leaves: blocks whose frequencies are all quantised alike.

    ITU-T H.264, 8.5.9: the step is 2^((QP − 4) / 6) in an orthonormal transform. Its prediction between blocks and its
    deblocking are left out; the loader's samples go through the real codec.
    """
    steps = torch.exp2((quantiser - 4) / 6)[:, None, None, None].expand(-1, 3, 8, 8)
    return _compressed(picture, steps, constants)


def _compressed(picture: Tensor, steps: Tensor, constants: Constants) -> Tensor:
    """Through blocks of 8×8, chroma halved; ``steps`` (N, 3, 8, 8) of Y, Cb, Cr."""
    height, width = picture.shape[2:]
    padded = F.pad(255 * quantize(picture), (0, -width % 16, 0, -height % 16), mode="replicate")
    luma, chroma = torch.einsum("ij,njhw->nihw", constants.to_ycc, padded).split([1, 2], dim=1)
    luma = _compress(luma - 128, steps[:, :1], constants.dct) + 128
    chroma = _compress(F.avg_pool2d(chroma, 2), steps[:, 1:], constants.dct)
    chroma = F.interpolate(chroma, scale_factor=2, mode="bilinear", align_corners=False)
    rgb = torch.einsum("ij,njhw->nihw", constants.to_rgb, torch.cat([luma, chroma], dim=1))
    return quantize(rgb[..., :height, :width] / 255)


def _compress(plane: Tensor, steps: Tensor, dct: Tensor) -> Tensor:
    """(N, C, H, W) through quantised 8×8 blocks; ``steps`` (N, C, 8, 8)."""
    n, c, height, width = plane.shape
    down = torch.matmul(dct, plane.view(n, c, height // 8, 8, width))
    blocks = torch.matmul(down.view(n, c, height, width // 8, 8), dct.T)
    steps = steps[:, :, None, :, None, :]
    blocks = (blocks.view(n, c, height // 8, 8, width // 8, 8) / steps).round() * steps
    down = torch.matmul(dct.T, blocks.view(n, c, height // 8, 8, width))
    return torch.matmul(down.view(n, c, height, width // 8, 8), dct).view(n, c, height, width)


def grow(masks: Tensor, reach: Tensor) -> Tensor:
    """Dilate each of ``masks`` (bool, (N, H, W)) by its own elliptical structuring element.

    ``reach`` (N, 2R + 1): the element's half width in its rows −R … R, −1 for none
    (:func:`train.data.resident.draws.ellipse_reach`). A pixel is set if, in any of those rows, the nearest set pixel
    lies within the row's half width: exactly the dilation by the element, in 2R + 1 comparisons of whole pictures.
    """
    height, width = masks.shape[1:]
    rows = reach.shape[1] // 2
    far = float(4 * width + 4 * rows)
    at = torch.arange(width, device=masks.device, dtype=torch.float32)
    before = torch.where(masks, at, -far).cummax(dim=2).values
    behind = torch.where(masks, -at, -far).flip(2).cummax(dim=2).values.flip(2)
    distance = F.pad(torch.minimum(at - before, -behind - at), (0, 0, rows, rows), value=far)
    grown = torch.zeros_like(masks)
    for row in range(2 * rows + 1):
        grown |= distance[:, row : row + height] <= reach[:, row, None, None]
    return grown


def trimap_classes(alpha: Tensor, reach: Tensor, certain: float = 0.02) -> Tensor:
    """Trimaps of alphas (N, 1, H, W) by random erosion and dilation.

    ``reach`` (2, N, 2R + 1): elements that eat away the sure foreground, and let the unknown region reach into the
    background. ``certain``: alpha below it is sure background, above one minus it sure foreground.

    Returns:
        int64 (N, H, W): 0 background, 1 unknown, 2 foreground.
    """
    masks = torch.cat([alpha[:, 0] <= 1 - certain, alpha[:, 0] >= certain])
    not_foreground, not_background = grow(masks, reach.flatten(0, 1)).chunk(2)
    return torch.where(not_foreground, not_background.long(), 2)
