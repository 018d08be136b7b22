from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import is_running
from tests.workers.slot_owner import Owner
from workers.node.devices import Device
from workers.node.slots import Slots

A, B, C = (Device(f"cuda:{index}", str(index)) for index in range(3))


def _slots(cpu: int = 1, per_device: int = 1, devices: tuple[Device, ...] = (A, B)) -> Slots:
    return Slots(cpu=cpu, devices=devices, per_device=per_device)


def test_a_node_offers_its_devices_and_its_cpu() -> None:
    assert _slots(cpu=2, per_device=3).names == ["cuda:0", "cuda:1", "cpu"]
    assert (_slots(cpu=2, per_device=3).total, _slots(cpu=2).free) == (8, 4)


def test_each_trial_gets_a_device_of_its_own() -> None:
    slots = _slots()
    rooms = [slots.reserve() for _ in range(4)]
    assert [reservation.allocate(1) for reservation in rooms] == ["cuda:0", "cuda:1", None, None]
    assert rooms[3].allocate(0) == "cpu"
    rooms[1].release()
    assert rooms[2].allocate(1) == "cuda:1"


def test_trials_spread_over_devices_before_they_share_one() -> None:
    slots = _slots(per_device=2)
    places = [slots.reserve().allocate(1) for _ in range(5)]
    assert places == ["cuda:0", "cuda:1", "cuda:0", "cuda:1", None]


def test_a_trial_of_two_gpus_takes_two_devices() -> None:
    slots = _slots(devices=(A, B, C))
    one, two, third = slots.reserve(), slots.reserve(), slots.reserve()
    assert one.allocate(1) == "cuda:0"
    assert two.allocate(2) == "cuda:1,cuda:2"
    assert third.allocate(1) is None
    two.release()
    assert slots.free == 3  # two devices and the CPU


def test_single_gpus_do_not_starve_who_needs_several() -> None:
    slots = _slots()
    running = slots.reserve()
    running.allocate(1)
    reservation = slots.reserve()
    assert reservation.allocate(2) is None
    assert reservation.allocate(1) is None, "the free device is kept"
    assert reservation.allocate(0) == "cpu"


def test_who_needs_more_than_the_node_has_keeps_nobody_waiting() -> None:
    reservation = _slots().reserve()
    assert reservation.allocate(3) is None
    assert reservation.allocate(1) == "cuda:0"


def test_a_second_choice_frees_the_first() -> None:
    slots = _slots()
    reservation = slots.reserve()
    assert reservation.allocate(2) == "cuda:0,cuda:1"
    assert reservation.allocate(1) == "cuda:0"
    assert slots.free == 2
    reservation.release()
    reservation.release()
    assert slots.free == 3


def test_a_warm_slot_waits_for_the_next_trial_of_its_devices() -> None:
    slots = _slots()
    reservation = slots.reserve()
    reservation.allocate(1)
    first = reservation.slot
    assert reservation.slot is first and first.device == "cuda:0"
    reservation.release()
    again = slots.reserve()
    again.allocate(1)
    assert again.slot is first


def test_without_a_reservation_there_is_no_slot() -> None:
    with pytest.raises(RuntimeError, match="nothing was reserved"):
        _ = _slots().reserve().slot


@pytest.fixture
def three() -> Iterator[Slots]:
    """Three pretended GPUs and a CPU."""
    slots = Slots(cpu=1, devices=(A, B, C))
    yield slots
    slots.close()


def test_processes_see_their_devices_only_before_torch_and_never_share_one(three: Slots) -> None:
    told: list[tuple[str, str, float, float]] = []

    def train(gpus: int) -> None:
        for _ in range(2):
            reservation = three.reserve()
            while (place := reservation.allocate(gpus)) is None:
                time.sleep(0.01)
            owner = Owner()
            began = time.monotonic()
            outcome = owner.run(reservation.slot, "tells_its_devices")
            told.append((place, outcome.log_tail, began, time.monotonic()))
            reservation.release()

    threads = [threading.Thread(target=train, args=(gpus,)) for gpus in (1, 2, 0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 6
    for place, said, began, ended in told:
        visible = "" if place == "cpu" else place.replace("cuda:", "")
        assert f"CUDA_VISIBLE_DEVICES={visible!r} torch=False" in said, place
        for other, _, other_began, other_ended in told:
            if began < other_began < ended:
                assert not set(place.split(",")) & set(other.split(",")), (place, other)
            assert other_began < other_ended


def test_a_process_that_idles_on_a_device_ends_before_another_takes_it(three: Slots) -> None:
    reservation = three.reserve()
    reservation.allocate(1)
    single = reservation.slot
    Owner().run(single, "tells_its_devices")
    assert single.server_pids
    reservation.release()
    both = three.reserve()
    both.allocate(2)
    assert both.slot is not single
    assert not single.server_pids


def test_all_that_a_lost_trial_started_is_gone_before_its_device_is_used_again(
    three: Slots, tmp_path: Path
) -> None:
    file = tmp_path / "pid"
    reservation = three.reserve()
    reservation.allocate(1)
    outcome = Owner().run(reservation.slot, "leaves_a_child_behind", params={"file": str(file)})
    assert outcome.state == "lost"
    assert not is_running(int(file.read_text()))


@pytest.mark.parametrize(("gpus", "visible"), [(0, ""), (1, "0"), (2, "0,1")])
def test_a_reservation_tells_what_a_process_there_sees(gpus: int, visible: str) -> None:
    reservation = _slots().reserve()
    assert reservation.allocate(gpus) is not None
    assert reservation.environment["CUDA_VISIBLE_DEVICES"] == visible
    reservation.release()
