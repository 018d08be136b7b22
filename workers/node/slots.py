"""The places of a node: which device a trial gets, and the fork servers that wait there.

A device has as many places as trials may share it. A trial of several GPUs takes a place on each
of as many devices.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from workers.node.devices import Device, pinned
from workers.node.supervisor import GRACE_SECONDS, Slot

NO_DEVICE = "cpu"


class Slots:
    """All places of one worker process, used by its threads together.

    Args:
        cpu: trials at a time that ask for no GPU; they see none.
        devices: the node's GPUs.
        per_device: trials that share a device.
        hidden_environment, grace_seconds: as for `Slot`.
    """

    def __init__(
        self,
        *,
        cpu: int,
        devices: Sequence[Device] = (),
        per_device: int = 1,
        hidden_environment: Sequence[str] = (),
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self.devices = tuple(devices)
        self.total = cpu + len(self.devices) * per_device
        self._cpu = cpu
        self._hidden = tuple(hidden_environment)
        self._grace_seconds = grace_seconds
        self._lock = threading.Lock()
        self._free_cpu = cpu
        self._free = dict.fromkeys(self.devices, per_device)
        self._idle: list[tuple[tuple[Device, ...], Slot]] = []
        self._busy: list[Slot] = []

    @property
    def names(self) -> list[str]:
        """Devices as a worker's record lists them."""
        return [*(device.name for device in self.devices), *([NO_DEVICE] if self._cpu else [])]

    @property
    def free(self) -> int:
        """Number of further trials of one place each that could run."""
        with self._lock:
            return self._free_cpu + sum(self._free.values())

    def reserve(self) -> Reservation:
        """A way to take a place for one trial. Release it when the trial has ended."""
        return Reservation(self)

    def close(self) -> None:
        """End all training processes."""
        with self._lock:
            slots = [*self._busy, *(slot for _, slot in self._idle)]
        for slot in slots:
            slot.close()

    def take(self, gpus: int) -> tuple[Device, ...] | None:
        """Places for one trial, on the devices that are least shared; None without room."""
        with self._lock:
            if not gpus:
                if not self._free_cpu:
                    return None
                self._free_cpu -= 1
                return ()
            free = [device for device in self.devices if self._free[device]]
            if len(free) < gpus:
                return None
            chosen = sorted(free, key=lambda device: -self._free[device])[:gpus]
            taken = tuple(device for device in self.devices if device in chosen)
            for device in taken:
                self._free[device] -= 1
            return taken

    def give_back(self, devices: tuple[Device, ...]) -> None:
        with self._lock:
            if not devices:
                self._free_cpu += 1
            for device in devices:
                self._free[device] += 1

    def slot(self, devices: tuple[Device, ...]) -> Slot:
        """A slot on these devices, one with fork servers when there is one. What idles elsewhere
        on them is ended first, so that the memory of processes that wait is free.
        """
        with self._lock:
            same = [child for child in self._idle if child[0] == devices]
            others = [child for child in self._idle if set(child[0]) & set(devices)]
            others = [child for child in others if child[0] != devices]
            gone = [*same[:1], *others]
            self._idle = [child for child in self._idle if not any(child is one for one in gone)]
            slot = same[0][1] if same else self._new(devices)
            self._busy.append(slot)
        for _, other in others:
            other.close()
        return slot

    def rest(self, devices: tuple[Device, ...], slot: Slot) -> None:
        """The slot's trial has ended; its fork servers stay."""
        with self._lock:
            self._busy.remove(slot)
            self._idle.append((devices, slot))

    def _new(self, devices: tuple[Device, ...]) -> Slot:
        return Slot(
            grace_seconds=self._grace_seconds,
            hidden_environment=self._hidden,
            device=device_name(devices),
            environment=pinned(devices),
        )


class Reservation:
    """Room for one trial: asked for by the claim, then used, then released."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._devices: tuple[Device, ...] | None = None
        self._slot: Slot | None = None
        self._kept_for_more = False

    def place(self, gpus: int) -> str | None:
        """Keep room for a trial; the name of its device, None when there is no room now.

        Once a trial of several GPUs was refused that this node could hold, those behind it get
        no GPU either: else single ones would take each device that falls free, for ever.
        """
        self._give_back()
        if gpus and self._kept_for_more:
            return None
        self._devices = self._slots.take(gpus)
        if self._devices is None:
            self._kept_for_more = 1 < gpus <= len(self._slots.devices)
            return None
        return device_name(self._devices)

    @property
    def slot(self) -> Slot:
        """Slot of the claimed trial."""
        if self._devices is None:
            raise RuntimeError("nothing was reserved")
        if self._slot is None:
            self._slot = self._slots.slot(self._devices)
        return self._slot

    @property
    def environment(self) -> dict[str, str]:
        """In which a process sees what was reserved, and no other device."""
        return pinned(self._devices or ())

    def release(self) -> None:
        if self._slot is not None and self._devices is not None:
            self._slots.rest(self._devices, self._slot)
            self._slot = None
        self._give_back()

    def _give_back(self) -> None:
        if self._devices is not None:
            self._slots.give_back(self._devices)
            self._devices = None


def device_name(devices: Sequence[Device]) -> str:
    """Device in a trial's record."""
    return ",".join(device.name for device in devices) or NO_DEVICE
