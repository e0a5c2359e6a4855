"""A raw file of an EK60 echo sounder, made here: one channel, a few pings. Source: Simrad ER60 reference manual, "Data formats"."""

import struct
from pathlib import Path

import numpy as np

PINGS, SAMPLES = 5, 100
POWER = np.arange(-SAMPLES, 0, dtype="<i2")  # of each ping, in units of 10 log10(2) / 256 dB
FIRST = 132_444_736_000_000_000  # 2020-09-13, 12:26:40 UTC, in 100 ns since 1601


def write(path: Path) -> None:
    """A configuration, and `PINGS` pings of `SAMPLES` samples, a second apart."""
    pings = [datagram(b"RAW0", second, ping()) for second in range(PINGS)]
    path.write_bytes(datagram(b"CON0", 0, configuration()) + b"".join(pings))


def datagram(kind: bytes, second: int, body: bytes) -> bytes:
    """Its length is said before it and after it."""
    content = kind + struct.pack("<Q", FIRST + second * 10_000_000) + body
    length = struct.pack("<l", len(content))
    return length + content + length


def configuration() -> bytes:
    """Of a sounder with one split-beam transceiver."""
    head = struct.pack("<128s128s128s30s98sl", b"survey", b"transect", b"ER60", b"2.4.3", b"", 1)
    beam = (
        38000.0,
        26.0,
        -20.6,
        7.0,
        7.0,
        21.9,
        21.9,
        *[0.0] * 8,
    )  # Hz, dB, dB, degrees; sensitivities; offsets, place, direction
    lengths = (0.000256, 0.000512, 0.001024, 0.002048, 0.004096)  # s, and for each of them gain and correction, dB
    tables = (*lengths, b"", *[24.0] * 5, b"", *[-0.5] * 5, b"")
    name, software = b"GPT  38 kHz 009072033fa2 1-1 ES38B", b"070413"
    return head + struct.pack("<128sl15f5f8s5f8s5f8s16s28s", name, 1, *beam, *tables, software, b"")


def ping() -> bytes:
    """Power and angles of channel 1."""
    water = (2000.0, 0.001024, 2425.0, 0.000256, 1490.0, 0.0098)  # W, s, Hz, s, m/s, dB/m
    attitude = (0.0, 0.0, 0.0, 4.0, 0.0)  # heave, roll, pitch, temperature, heading
    head = struct.pack("<hhff6f5fh6sll", 1, 3, 5.0, 38000.0, *water, *attitude, 0, b"", 0, SAMPLES)
    return head + POWER.tobytes() + bytes(2 * SAMPLES)
