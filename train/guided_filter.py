"""The runtime's guided filters, through which gradients pass, so that networks learn what they are followed by.

What the runtime cuts off behind them, near 0 and 1, stays: no gradient would come back from there.

He & Sun 2015, arXiv 1505.00996, with coefficients of halved pictures, one after the other, as in
:mod:`realtime_matting.matting.refine`; training through such a filter is Wu et al. 2018's (Fast End-to-End Trainable
Guided Filter, arXiv 1803.05619).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

_RADII, _EPS = (4, 2, 1), 1e-4
"""As the runtime's: pixels of the halved picture, and variance of a colour in [0, 1]."""


def guided_filter(alpha: Tensor, picture: Tensor, radii: Sequence[int] = _RADII) -> Tensor:
    """Alpha with the edges of its picture, where it is between 0 and 1; elsewhere it stays.

    Everything is computed in float32.

    Args:
        alpha: float (N, 1, H, W) in [0, 1]; sides are even.
        picture: float (N, 3, H, W) RGB in [0, 1].
        radii: of the windows of one filter after the other.

    Returns:
        float32 (N, 1, H, W) in [0, 1].
    """
    with torch.autocast(alpha.device.type, enabled=False):
        alpha, picture = alpha.float(), picture.float()
        red, green, blue = picture.split(1, dim=1)
        guide = torch.cat([0.299 * red + 0.587 * green + 0.114 * blue, 0.5 * (red - blue)], dim=1)
        halved = F.avg_pool2d(guide, 2)
        for radius in radii:
            slopes = F.interpolate(
                _coefficients(halved, F.avg_pool2d(alpha, 2), radius),
                size=alpha.shape[-2:],
                mode="bilinear",
                align_corners=False,
            )
            filtered = (slopes[:, :2] * guide).sum(dim=1, keepdim=True) + slopes[:, 2:]
            filtered = torch.minimum(filtered, F.max_pool2d(alpha, 3, stride=1, padding=1)).clamp(min=0)
            alpha = torch.where((alpha > 0) & (alpha < 1), filtered, alpha)
        return alpha


def _coefficients(guide: Tensor, alpha: Tensor, radius: int) -> Tensor:
    """What the guide's two planes are multiplied by, and the offset: (N, 3, h, w), means over windows."""
    y, c = guide.split(1, dim=1)
    planes = _means(torch.cat([y, c, alpha, y * y, y * c, y * alpha, c * c, c * alpha], dim=1), radius)
    y, c, mean, yy, yc, ya, cc, ca = planes.split(1, dim=1)
    yy, yc, cc = yy - y * y + _EPS, yc - y * c, cc - c * c + _EPS / 4
    ya, ca = ya - y * mean, ca - c * mean
    ratio = yc / yy
    slope_c = (ca - ratio * ya) / (cc - ratio * yc)
    slope_y = (ya - yc * slope_c) / yy
    return _means(torch.cat([slope_y, slope_c, mean - slope_y * y - slope_c * c], dim=1), radius)


def _means(planes: Tensor, radius: int) -> Tensor:
    """Over windows of 2·radius + 1 pixels a side; the border goes on outside."""
    return F.avg_pool2d(F.pad(planes, [radius] * 4, mode="replicate"), 2 * radius + 1, stride=1)
