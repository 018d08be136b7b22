from __future__ import annotations

import pytest

from workers.node import devices
from workers.node.devices import Device, find, pinned

UUIDS = ["GPU-aa11", "GPU-bb22", "GPU-cc33"]


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_uuids", lambda: UUIDS)


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        (None, ["cuda:0", "cuda:1", "cuda:2"]),
        ("2,0", ["cuda:2", "cuda:0"]),
        (" 1 ", ["cuda:1"]),
        ("", []),
        ("-1", []),
        ("0,-1,2", ["cuda:0"]),
        ("0,7,1", ["cuda:0"]),
        ("1,1", ["cuda:1"]),
        ("GPU-bb22,0", ["cuda:1", "cuda:0"]),
        ("GPU-b", ["cuda:1"]),
        ("GPU-zz", []),
        ("MIG-1a2b", ["cuda:MIG-1a2b"]),
    ],
)
def test_devices_are_those_that_cuda_would_see(
    driver: None, visible: str | None, names: list[str]
) -> None:
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert [device.name for device in find("auto", environment)] == names


def test_a_process_is_pinned_by_the_entry_that_the_operator_gave(driver: None) -> None:
    found = find("auto", {"CUDA_VISIBLE_DEVICES": "GPU-bb22,0"})
    assert pinned(found)["CUDA_VISIBLE_DEVICES"] == "GPU-bb22,0"


def test_indices_count_as_the_driver_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    pin = pinned([Device("cuda:1", "1")])
    assert pin == {"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert pinned([]) == {"CUDA_VISIBLE_DEVICES": ""}


def test_a_number_is_taken_at_its_word_without_a_driver() -> None:
    assert [device.name for device in find("2", {})] == ["cuda:0", "cuda:1"]
    assert find("0", {}) == []
    within = find("3", {"CUDA_VISIBLE_DEVICES": "4,5"})
    assert [device.name for device in within] == ["cuda:4", "cuda:5"]


def test_a_node_without_a_driver_has_no_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    import pynvml

    def fail() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", fail)
    assert find("auto", {}) == []


def test_the_driver_is_asked_for_uuids(monkeypatch: pytest.MonkeyPatch) -> None:
    import pynvml

    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlShutdown", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 2)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda index: index)
    monkeypatch.setattr(
        pynvml, "nvmlDeviceGetUUID", lambda handle: b"GPU-x" if handle else "GPU-y"
    )
    assert [device.name for device in find("auto", {"CUDA_VISIBLE_DEVICES": "GPU-x"})] == [
        "cuda:1"
    ]
