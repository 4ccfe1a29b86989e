"""Rounds of `wgan sample --shard-size` into a bucket: machines die, and so does the store."""

from pathlib import Path
from random import Random

from fault_rounds import blow
from fault_rounds.bench import Bench
from fault_rounds.blow import Blow, Reach
from fault_rounds.process import Ended, Order
from fault_rounds.sampling import ENDINGS, Check, Sampling
from fault_rounds.storage import AT_REQUEST, Storage, Weather, impatient
from fault_rounds.tally import BROKEN, Tally

REQUESTS = 12  # of one machine of a set, about


class Store(Sampling):
    """Sets of shards in object storage."""

    name = "store"
    kinds = (blow.KILLED, blow.TERMINATED, blow.INTERRUPTED)

    def __init__(self, bench: Bench):
        super().__init__(bench)
        self.storage = Storage()
        bench.held.callback(self.storage.close)
        self.local, self.bench = bench, bench.with_(self.storage.environment, impatient)

    def round(self, random: Random, folder: Path) -> Tally:
        """One set in a bucket of its own."""
        ending, name = random.choice(ENDINGS), folder.name
        self.storage.bucket(name)
        unbroken = self.whole(ending)
        check = Check(unbroken.files, lambda: self.storage.objects(name, "out/"))
        self.go(random, folder, self.words(f"s3://{name}/out/faces{ending}"), unbroken.reach, check)
        return check.end()

    def blow(self, random: Random, share: Reach) -> Blow:
        """A signal after some time, or at a request."""
        if random.random() < 0.5:
            return Blow(AT_REQUEST, random.randint(1, REQUESTS))
        return share.blow(random, self.kinds)

    def play(self, orders: list[Order], random: Random, tally: Tally) -> list[Ended]:
        """With the store's own troubles."""
        weather = Weather(self.storage, random, 0.5)
        for which, order in enumerate(orders):
            if order.blow is not None and order.blow.kind == AT_REQUEST:
                weather.kill_at(int(order.blow.at) * len(orders), which)
        ended = self.bench.run(orders, weather)
        tally.counts[BROKEN] += weather.broken
        tally.kills.update(weather.end())
        for each in ended:
            each.excused = weather.troubled
        return ended
