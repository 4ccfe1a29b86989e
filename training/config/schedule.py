"""Learning-rate schedules: a factor that depends on the step alone, so a resumed run needs no state for it."""

import math

SCHEDULES = ("constant", "linear", "cosine", "cooldown")
COOLDOWN = 0.4  # of the run


def rate_factor(step: int, steps: int, schedule: str, warmup: int) -> float:
    """What the learning rate is multiplied by.

    Args:
        step: updates done, from 0.
        steps: updates in the whole run; all but constant reach zero after them.
        schedule: one of `SCHEDULES`; cosine is half a wave (Loshchilov and Hutter 2017, equation 5), cooldown is
            constant and then linear to zero over the last 40% (Hägele et al. 2024).
        warmup: updates over which the rate rises linearly first; they count towards ``steps``.
    """
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(steps - warmup, 1)  # 0 … 1
    if schedule == "linear":
        return max(0.0, 1 - done)
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    if schedule == "cooldown":
        return min(1.0, max(0.0, (1 - done) / COOLDOWN))
    return 1.0
