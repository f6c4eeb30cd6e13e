"""Hard mode: people whose samples had the highest loss are drawn more often.

The run is looked at in blocks of steps. While block *b* trains, each of its samples takes, with probability ``share``,
the people of one of the hardest samples of block *b − 2*: that block is over even for loader processes that work ahead,
so that a run is repeatable and can be resumed.
"""

from train.data.generators import HARD, generator

BLOCK = 100
"""Steps of a block; loaders must not work further ahead than this."""
HARDEST = 0.25
"""Share of a block's samples that counts as hard."""


class HardPeople:
    """Which people to show next, from the losses so far.

    Args:
        share: probability that a sample's people are replaced.
        batch_size: samples of a step, over all processes.
    """

    def __init__(self, share: float, seed: int, batch_size: int) -> None:
        self.share, self.seed, self.batch_size = share, seed, batch_size
        # block → [people's sample number, loss] of each of its samples
        self._seen: dict[int, list[tuple[int, float]]] = {}

    def choose(self, index: int) -> int:
        """The sample number whose people sample ``index`` shows (itself, if none is to be replaced).

        Follows from the losses of block *b − 2* alone, so that every process knows what the others show.
        """
        before = self._seen.get(index // self.batch_size // BLOCK - 2)
        rng = generator(self.seed, index, HARD)
        if not before or rng.random() >= self.share:
            return index
        hardest = sorted(before, key=lambda seen: (-seen[1], seen[0]))[: max(1, int(HARDEST * len(before)))]
        return hardest[rng.integers(len(hardest))][0]

    def record(self, index: int, loss: float) -> None:
        """Remember the loss of sample ``index``; blocks that no later one looks at are forgotten."""
        block = index // self.batch_size // BLOCK
        self._seen.setdefault(block, []).append((self.choose(index), loss))
        for old in [b for b in self._seen if b < block - 2]:
            del self._seen[old]

    def state(self) -> list[list[float]]:
        """What a checkpoint keeps: [block, people, loss] rows."""
        return [[block, people, loss] for block, seen in self._seen.items() for people, loss in seen]

    def restore(self, rows: list[list[float]]) -> None:
        """Go on from :meth:`state`."""
        self._seen = {}
        for block, people, loss in rows:
            self._seen.setdefault(int(block), []).append((int(people), loss))
