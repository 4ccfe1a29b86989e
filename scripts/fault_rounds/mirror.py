"""Rounds of `wgan train --run s3://…`: the run dies, goes on here or on another machine, and the store fails it."""

from pathlib import Path
from random import Random

from fault_rounds import blow
from fault_rounds.bench import Bench
from fault_rounds.blow import Blow
from fault_rounds.storage import AT_REQUEST, Storage, Weather, impatient
from fault_rounds.tally import BROKEN, STUCK, Tally
from fault_rounds.training import BLOWS, KEPT, SETTINGS, Check, Training

KINDS = (blow.KILLED, blow.AT_FILE, blow.IN_WRITE, blow.FULL, blow.TERMINATED, blow.INTERRUPTED, blow.TWICE)
REQUESTS = 60  # of a run that nothing befalls, about
RUN = "runs/photos"  # in the bucket, and on each machine
CONFIG = "config.yaml"


class Mirror(Training):
    """Runs whose copy lies in object storage, on machines that come and go."""

    name = "mirror"
    kinds = KINDS

    def __init__(self, bench: Bench):
        super().__init__(bench)
        self.storage = Storage()
        bench.held.callback(self.storage.close)
        self.remote = bench.with_(self.storage.environment, impatient)

    def round(self, random: Random, folder: Path) -> Tally:
        """One run in a bucket of its own; what is in the bucket is what counts."""
        kept, bucket = random.choice(KEPT), folder.name
        self.storage.bucket(bucket)
        wanted, reach = self.whole(kept)
        check = Check(wanted, lambda: self.storage.objects(bucket, f"{RUN}/"), kept)
        machines: list[Path] = []
        for time in range(random.randint(1, BLOWS) + 1):
            if check.done:
                break
            machine = self._machine(random, folder, machines, CONFIG in check.there())
            last = time == BLOWS
            at_request = random.random() < 0.3
            struck = Blow(AT_REQUEST, random.randint(1, REQUESTS)) if at_request else reach.blow(random, self.kinds)
            self._go(random, machine, bucket, kept, None if last else struck, check)
        for _ in range(2):  # the second where a start was told to take what another had just left
            if not check.done:
                machine = self._machine(random, folder, machines, CONFIG in check.there())
                check.ended(self.remote.run([self.remote.order(self._words(machine, bucket, kept, check), machine)]))
        if not check.done:
            check.tally.fault(STUCK, f"the run in {bucket}")
        return check.end()

    def _machine(self, random: Random, folder: Path, machines: list[Path], begun: bool) -> Path:
        """The folder of the next start: on a machine that has been there before, or on an empty one.

        Where nothing has come to the bucket yet, only the machine that began has anything to go on from.
        """
        if machines and not begun and (machines[-1] / RUN / CONFIG).is_file():
            return machines[-1]
        if machines and begun and random.random() < 0.5:
            return random.choice(machines)
        if not begun:
            machines.clear()
        machines.append(folder / f"machine-{len(list(folder.iterdir()))}")
        machines[-1].mkdir()
        return machines[-1]

    def _words(self, machine: Path, bucket: str, kept: int, check: Check) -> list[str]:
        run = ["--run", f"s3://{bucket}/{RUN}", "--device", "cpu"]
        if CONFIG in check.there() or (machine / RUN / CONFIG).is_file():
            return ["train", "--resume", *run]
        return ["train", "--data", str(self.data), *run, *SETTINGS, f"keep_checkpoints={kept}"]

    def _go(self, random: Random, machine: Path, bucket: str, kept: int, struck: Blow | None, check: Check) -> None:
        weather = Weather(self.storage, random, 1.5)
        if struck is not None and struck.kind == AT_REQUEST:
            weather.kill_at(int(struck.at), 0)
        order = self.remote.order(self._words(machine, bucket, kept, check), machine, struck)
        (ended,) = self.remote.run([order], weather)
        check.tally.counts[BROKEN] += weather.broken
        check.tally.kills.update(weather.end())
        ended.excused = weather.troubled
        check.ended([ended])
