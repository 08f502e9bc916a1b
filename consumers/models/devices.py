"""Devices of this machine: which one a worker takes, and what is said of it at its start."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from consumers.models.batch_sizes import gpus_in_driver
from streams.errors import ModelError
from streams.monitoring import events


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU. memory: bytes. tf32: whether it multiplies float32 as TF32."""

    name: str
    memory: int
    tf32: bool = True


@dataclass(frozen=True, slots=True)
class Machine:
    """What torch sees here. cuda: in the order of their indices. mps: whether there is one.

    in_driver: GPUs that the NVIDIA driver lists, whether or not torch sees them. visible: the
    variable CUDA_VISIBLE_DEVICES, None where it is not set; it decides what ``cuda`` holds.
    """

    cuda: tuple[Card, ...] = ()
    mps: bool = False
    in_driver: int = 0
    visible: str | None = None


def this_machine(environment: Mapping[str, str] = os.environ) -> Machine:
    """Return the devices of this machine, as torch, the driver and the environment have them."""
    found = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    return Machine(
        tuple(Card(one.name, one.total_memory, one.major >= 8) for one in found),
        torch.backends.mps.is_available(),
        gpus_in_driver(),
        environment.get("CUDA_VISIBLE_DEVICES"),
    )


def pick_device(wanted: str, machine: Machine | None = None) -> torch.device:
    """Return the device for cpu, cuda, cuda:N, mps or auto; ModelError if it is not there.

    Indices count what CUDA_VISIBLE_DEVICES leaves. machine: this one if None.
    """
    there = machine or this_machine()
    if wanted == "auto":
        wanted = "cuda" if there.cuda else "mps" if there.mps else "cpu"
    kind, _, digits = wanted.partition(":")
    # torch holds indices in 8 bits
    number = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 4 else None
    if kind not in ("cpu", "cuda", "mps") or (digits and number is None):
        raise ModelError(f"unknown device {wanted!r}: take cpu, cuda, cuda:N, mps or auto")
    count = {"cpu": 1, "cuda": len(there.cuda), "mps": int(there.mps)}[kind]
    if (number or 0) >= count:
        raise ModelError(f"this machine has no device {wanted}{_there(there)}")
    return torch.device(kind, number or 0) if kind == "cuda" else torch.device(wanted)


def device_name(device: torch.device, machine: Machine) -> str:
    """Return what a device is, with the memory of a GPU, for people."""
    if device.type == "cuda":
        card = machine.cuda[device.index or 0]
        return f"{card.name}, {card.memory / 2**30:.1f} GiB"
    return {"cpu": "the processor", "mps": "the Apple GPU"}.get(device.type, device.type)


def other_gpus(device: torch.device, machine: Machine) -> str:
    """Return what becomes of the machine's other GPUs, for people; each worker takes one device."""
    if device.type == "cuda":
        others = [f"cuda:{n}" for n in range(len(machine.cuda)) if n != device.index]
        return f"{', '.join(others)} left to other workers" if others else "no other GPU is seen"
    if machine.cuda:
        names = ", ".join(f"cuda:{n}, {card.name}" for n, card in enumerate(machine.cuda))
        return f"unused beside it: {names}; device = 'cuda' takes the first"
    if machine.mps and device.type != "mps":
        return "unused beside it: the Apple GPU; device = 'mps' takes it"
    if machine.in_driver:
        why = (
            "this torch may be built without CUDA"
            if machine.visible is None
            else f"CUDA_VISIBLE_DEVICES is {machine.visible!r}"
        )
        return f"unused beside it: {machine.in_driver} GPUs that torch does not see: {why}"
    return "no other GPU is seen"


def say_device(device: torch.device, machine: Machine | None = None) -> None:
    """Say in the log which device a worker has. machine: this one if None."""
    there = machine or this_machine()
    name, others = device_name(device, there), other_gpus(device, there)
    events.say(events.DEVICE, device=str(device), name=name, others=others)


def _there(machine: Machine) -> str:
    if not machine.cuda:
        hidden = machine.visible is not None
        return f": CUDA_VISIBLE_DEVICES is {machine.visible!r}" if hidden else ""
    within = "" if machine.visible is None else f" of CUDA_VISIBLE_DEVICES={machine.visible}"
    return f": it has cuda:0 to cuda:{len(machine.cuda) - 1}{within}"
