"""Hard mode: the people of the hardest samples come back, and a resumed run draws the same ones."""

from train.hard import BLOCK, HardPeople
from train.steps import StepSampler

BATCH = 2


def run_block(hard: HardPeople, block: int, loss: float = 0.0) -> list[int]:
    """People shown in a block whose samples 10 to 19 are hard; returns them."""
    first = block * BLOCK * BATCH
    shown = [hard.choose(index) for index in range(first, first + BLOCK * BATCH)]
    for offset, _ in enumerate(shown):
        hard.record(first + offset, 5.0 + loss if 10 <= offset < 20 else 0.1)
    return shown


def test_the_hardest_people_return_two_blocks_later() -> None:
    hard = HardPeople(0.5, seed=1, batch_size=BATCH)
    for block in (0, 1):
        assert run_block(hard, block) == list(range(block * 200, block * 200 + 200))
    third = run_block(hard, 2)
    returned = [people for people in third if people < 200]
    assert 60 < len(returned) < 140  # half of 200
    hardest = sum(10 <= people < 20 for people in returned)
    assert hardest >= 0.15 * len(returned)  # the 50 hardest hold all ten of them, where chance would give 5 %


def test_without_a_share_nobody_returns() -> None:
    hard = HardPeople(0.0, seed=1, batch_size=BATCH)
    for block in range(4):
        shown = run_block(hard, block)
    assert shown == list(range(600, 800))


def test_a_restored_state_draws_the_same_people() -> None:
    hard = HardPeople(0.7, seed=4, batch_size=BATCH)
    for block in range(3):
        run_block(hard, block)
    again = HardPeople(0.7, seed=4, batch_size=BATCH)
    again.restore([list(map(float, row)) for row in hard.state()])
    assert run_block(again, 3) == run_block(hard, 3)


def test_a_process_knows_what_people_the_others_have_shown() -> None:
    """Each process draws for its own samples but hears the losses of all."""
    alone, shared = (HardPeople(0.7, seed=4, batch_size=BATCH) for _ in range(2))
    for block in range(4):
        run_block(alone, block)
        first = block * BLOCK * BATCH
        for index in range(first, first + BLOCK * BATCH):
            if index % 2:
                shared.choose(index)
        for offset in range(BLOCK * BATCH):
            shared.record(first + offset, 5.0 if 10 <= offset < 20 else 0.1)
    assert shared.state() == alone.state()


def test_the_sampler_gives_each_sample_with_its_people() -> None:
    hard = HardPeople(1.0, seed=1, batch_size=BATCH)
    for block in (0, 1):
        run_block(hard, block)
    pairs = list(StepSampler(2 * BLOCK, 2 * BLOCK + 5, BATCH, hard=hard))
    assert [index for index, _ in pairs] == list(range(400, 410))
    assert all(people < 200 for _, people in pairs)
