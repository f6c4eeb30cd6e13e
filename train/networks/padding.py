"""Pictures of any size for networks that halve them several times."""

import torch.nn.functional as F
from torch import Tensor


def pad_to_stride(pictures: Tensor, stride: int) -> Tensor:
    """(N, C, H, W) → (N, C, H', W'), the next multiples of ``stride``, mirrored at the right and the bottom edge.

    Repeating the last row instead makes stripes that no camera sees, and of which a network that trains on whole crops
    knows nothing: a person whom the lower edge cuts then ends before it. The runtime can do both.
    """
    for axis in (2, 3):
        # A mirror shows no more than there is; a picture that is smaller is mirrored again, and one pixel is repeated.
        while missing := -pictures.shape[axis] % stride:
            more = min(missing, max(pictures.shape[axis] - 1, 1))
            mode = "replicate" if pictures.shape[axis] == 1 else "reflect"
            pictures = F.pad(pictures, (0, 0, 0, more) if axis == 2 else (0, more, 0, 0), mode=mode)
    return pictures
