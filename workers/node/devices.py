"""The GPUs of this node, as CUDA would number them for its training processes."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

logger = logging.getLogger(__name__)

LONGEST_NAME = 40


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU. `visible` is its entry in CUDA_VISIBLE_DEVICES, `name` what records call it."""

    name: str
    visible: str


def find(wanted: str = "auto", environment: Mapping[str, str] = os.environ) -> list[Device]:
    """The devices that trials of this node may use, in the order of CUDA_VISIBLE_DEVICES.

    Args:
        wanted: "auto" asks the driver (NVML); a number is used as given, without a driver, up to
            what CUDA_VISIBLE_DEVICES allows. "0" uses no GPU.
        environment: holds CUDA_VISIBLE_DEVICES, by index, UUID or MIG instance. As for
            CUDA, the first entry that names no device ends the list.
    """
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    entries = None if visible is None else [entry.strip() for entry in visible.split(",")]
    if wanted != "auto":
        count = int(wanted)
        known = [""] * (count if entries is None else 1024)
        return _listed(entries, known)[:count]
    return _listed(entries, _uuids())


def pinned(devices: Sequence[Device]) -> dict[str, str]:
    """Environment variables that restrict a training process to these devices."""
    environment = {"CUDA_VISIBLE_DEVICES": ",".join(device.visible for device in devices)}
    if devices and "CUDA_DEVICE_ORDER" not in os.environ:
        environment["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # the order in which NVML counts
    return environment


def _listed(entries: Sequence[str] | None, uuids: Sequence[str]) -> list[Device]:
    if entries is None:
        return [_indexed(index) for index in range(len(uuids))]
    found: dict[str, Device] = {}
    for entry in entries:
        device = _device(entry, uuids)
        if device is None or device.name in found:
            break
        found[device.name] = device
    return list(found.values())


def _device(entry: str, uuids: Sequence[str]) -> Device | None:
    if entry.isdecimal():
        return _indexed(int(entry)) if int(entry) < len(uuids) else None
    if entry.startswith("MIG-") and uuids:
        return Device(f"cuda:{entry}"[:LONGEST_NAME], entry)
    for index, uuid in enumerate(uuids):
        if entry.startswith("GPU-") and uuid.startswith(entry):
            return Device(f"cuda:{index}", entry)
    return None


def _indexed(index: int) -> Device:
    return Device(f"cuda:{index}", str(index))


def _uuids() -> list[str]:
    """UUIDs of all GPUs of this machine by index; empty without a driver."""
    try:
        import pynvml
    except ImportError:
        return []
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        handles = map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount()))
        return [_text(pynvml.nvmlDeviceGetUUID(handle)) for handle in handles]
    except pynvml.NVMLError as error:
        logger.warning("the GPUs of this node cannot be listed, so none is used: %s", error)
        return []
    finally:
        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
