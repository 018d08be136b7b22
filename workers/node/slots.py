"""Slots of a node: allocation of devices to trials, and the idle fork servers on them.

A device has as many slots as trials may share it. A trial of several GPUs takes a slot on each of
as many devices.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from workers.node.devices import Device, pinned
from workers.node.supervisor import GRACE_SECONDS, Slot

NO_DEVICE = "cpu"


class Slots:
    """All slots of one worker process; thread-safe.

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
        """Number of further single-device trials that could run."""
        with self._lock:
            return self._free_cpu + sum(self._free.values())

    def reserve(self) -> Reservation:
        """An empty reservation for one trial. Release it when the trial has ended."""
        return Reservation(self)

    def close(self) -> None:
        """End all training processes."""
        with self._lock:
            slots = [*self._busy, *(slot for _, slot in self._idle)]
        for slot in slots:
            slot.close()

    def allocate(self, gpus: int) -> tuple[Device, ...] | None:
        """Allocate devices for one trial, the least shared ones; None when too few are free."""
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

    def free_devices(self, devices: tuple[Device, ...]) -> None:
        with self._lock:
            if not devices:
                self._free_cpu += 1
            for device in devices:
                self._free[device] += 1

    def acquire(self, devices: tuple[Device, ...]) -> Slot:
        """A slot on these devices, an idle one with fork servers where there is one. Idle slots
        that overlap these devices are closed first, so that their processes free the memory.
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

    def release(self, devices: tuple[Device, ...], slot: Slot) -> None:
        """Take a slot back after its trial; its fork servers stay."""
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
    """Devices of one trial: allocated by the claim, then used, then released."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._devices: tuple[Device, ...] | None = None
        self._slot: Slot | None = None
        self._waits_for_several_gpus = False

    def allocate(self, gpus: int) -> str | None:
        """Allocate devices for a trial; their name, None when too few are free.

        Once a trial of several GPUs was refused that this node could hold, later ones get no GPU
        either: single-GPU trials would take each device that becomes free and starve it.
        """
        self._free_devices()
        if gpus and self._waits_for_several_gpus:
            return None
        self._devices = self._slots.allocate(gpus)
        if self._devices is None:
            self._waits_for_several_gpus = 1 < gpus <= len(self._slots.devices)
            return None
        return device_name(self._devices)

    @property
    def slot(self) -> Slot:
        """Slot of the claimed trial."""
        if self._devices is None:
            raise RuntimeError("nothing was reserved")
        if self._slot is None:
            self._slot = self._slots.acquire(self._devices)
        return self._slot

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that restrict a process to the reserved devices."""
        return pinned(self._devices or ())

    def release(self) -> None:
        if self._slot is not None and self._devices is not None:
            self._slots.release(self._devices, self._slot)
            self._slot = None
        self._free_devices()

    def _free_devices(self) -> None:
        if self._devices is not None:
            self._slots.free_devices(self._devices)
            self._devices = None


def device_name(devices: Sequence[Device]) -> str:
    """Name of the devices in a trial's record."""
    return ",".join(device.name for device in devices) or NO_DEVICE
