"""Samples made on the training device, from a set that lives there, so that a GPU is never kept waiting.

The numbers behind a sample (who, where, which light, how much noise) are drawn on the CPU from the sample's own
generator, in the order of :mod:`train.data.compose`; pictures are touched on the device alone, a whole batch at a time.
Sample i thus shows the scene that :class:`train.data.dataset.MattingSamples` shows as sample i. What differs: the noise
itself, which is drawn on the device, every number drawn after it, and which unknown pixel a crop is centred on.

    store     which pictures there are, decoded once      draws     a sample's numbers
    atlas     their pixels on the device, and resampling  plan      a batch's numbers
    filters   camera and wardrobe, in batches             samples   a plan turned into a batch
"""

from train.data.resident.samples import ResidentSamples

__all__ = ["ResidentSamples"]
