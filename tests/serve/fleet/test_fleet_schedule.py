"""The order in which shards are begun, without a cluster: time is a number."""

import random

import pytest

from wgan.serve.fleet.schedule import SLOW, Attempt, Schedule, in_flight


def begun(schedule: Schedule, now: float, slots: int) -> list[Attempt]:
    """All that it begins now."""
    return list(iter(lambda: schedule.start(now, slots), None))


def test_shards_are_begun_in_order_and_no_more_than_may_be_in_flight():
    schedule = Schedule(range(1000))
    first = begun(schedule, 0, 4)
    assert [attempt.shard for attempt in first] == list(range(in_flight(4)))
    assert not any(attempt.copy for attempt in first)
    schedule.done(first[0], 1)
    assert [attempt.shard for attempt in begun(schedule, 1, 4)] == [in_flight(4)]
    assert len(begun(schedule, 1, 6)) == in_flight(6) - in_flight(4)  # a node has come


def test_an_attempt_begins_when_it_has_a_slot():
    schedule = Schedule(range(3))
    a, b, c = *begun(schedule, 5, 1), *begun(schedule, 5, 2)
    assert (a.began, b.began, c.began) == (5, 5, None)
    schedule.done(a, 8)
    begun(schedule, 8, 2)
    assert c.began == 8


def test_without_slots_something_is_asked_for_all_the_same():
    assert len(begun(Schedule(range(9)), 0, 0)) == in_flight(0) > 0


def test_a_lost_shard_is_begun_again_before_all_others():
    schedule = Schedule(range(9), ahead=False)
    first, second = begun(schedule, 0, 2)
    schedule.lost(first)
    assert [attempt.shard for attempt in begun(schedule, 1, 2)] == [first.shard]
    assert (schedule.attempts, schedule.lost_attempts) == (3, 1)
    assert second.shard == 1


def test_the_slowest_is_begun_a_second_time_when_nothing_is_left_to_begin():
    schedule = Schedule(range(4))
    a, b, c, d = begun(schedule, 0, 4)
    schedule.done(a, 10)
    schedule.done(b, 10)
    assert begun(schedule, 10 * SLOW, 4) == []  # not slow yet
    copies = begun(schedule, 10 * SLOW + 1, 3)  # one slot is free
    assert [(copy.shard, copy.copy) for copy in copies] == [(c.shard, True)]
    assert begun(schedule, 99, 3) == []  # none is free any more
    assert schedule.done(copies[0], 20) == [c]
    schedule.dropped(c)
    assert not schedule.ended
    assert schedule.done(d, 21) == []
    assert schedule.ended
    assert (schedule.attempts, schedule.copied) == (5, 1)


def test_no_shard_is_begun_a_third_time_while_two_attempts_are_at_it():
    schedule = Schedule(range(2))
    a, b = begun(schedule, 0, 2)
    schedule.done(a, 1)
    (copy,) = begun(schedule, 9, 9)
    assert begun(schedule, 99, 9) == []
    schedule.lost(copy)
    assert [attempt.shard for attempt in begun(schedule, 99, 9)] == [b.shard]


def test_where_a_copy_is_lost_the_other_attempt_goes_on():
    schedule = Schedule(range(2))
    a, b = begun(schedule, 0, 2)
    schedule.done(a, 1)
    (copy,) = begun(schedule, 9, 2)
    schedule.lost(b)
    assert begun(schedule, 9, 1) == []
    assert not schedule.ended
    schedule.done(copy, 10)
    assert schedule.ended


def test_there_are_no_copies_where_none_are_wanted_or_nothing_has_finished():
    schedule = Schedule(range(2), copies=False)
    schedule.done(begun(schedule, 0, 2)[0], 1)
    assert begun(schedule, 999, 9) == []
    schedule = Schedule(range(2))
    begun(schedule, 0, 2)
    assert begun(schedule, 999, 9) == []


@pytest.mark.parametrize("seed", range(20))
def test_every_shard_becomes_whole_once_whatever_is_lost_and_whatever_comes_and_goes(seed: int):
    chance = random.Random(seed)
    schedule, now, slots = Schedule(range(50), ahead=chance.random() < 0.5), 0.0, 5
    flying: list[Attempt] = []
    whole: list[int] = []
    for _ in range(10_000):
        slots = max(0, min(20, slots + chance.choice([-1, 0, 1])))
        flying += begun(schedule, now, slots)
        now += chance.expovariate(1)
        attempt = flying.pop(chance.randrange(len(flying))) if flying else None
        if attempt is None:
            continue
        if chance.random() < 0.3:
            schedule.lost(attempt)
            continue
        whole.append(attempt.shard)
        for other in schedule.done(attempt, now):
            flying.remove(other)
            schedule.dropped(other)
        if schedule.ended:
            break
    assert schedule.ended
    assert sorted(whole) == list(range(50))
    assert flying == []
