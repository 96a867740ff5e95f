"""Random changes of an input, reproducible from a seed."""

from __future__ import annotations

from random import Random

LONGEST = 64 * 1024
_BYTES = (0, 1, 2, 0x0A, 0x14, 0x15, 0x1F, 0x20, 0x7E, 0x7F, 0x80, 0x82, 0xFE, 0xFF)
_NUMBERS = (0, 1, 4, 12, 115, 116, 117, 255, 1024, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1)
# The operations of `mutated`; those that replace the rest of an input are rare, or most inputs would be short.
_OPERATIONS = (0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 5, 6, 7)


def mutated(data: bytes, other: bytes, random: Random) -> bytes:
    """Return `data` with a few random changes; some take bytes from `other`."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 3, 5, 8))):
        anywhere = random.randrange(len(changed) + 1)
        at = min(anywhere, random.choice((anywhere, anywhere, 8, 40, 130)))  # headers are near the start
        size = random.choice((1, 2, 4, 8, 32, 128, 1024))
        match random.choice(_OPERATIONS):
            case 0:
                changed[at : at + 1] = bytes((random.choice(_BYTES),))
            case 1 if at < len(changed):
                changed[at] ^= 1 << random.randrange(8)
            case 2:
                changed[at : at + 4] = random.choice(_NUMBERS).to_bytes(4, "big")
            case 3:
                del changed[at : at + size]
            case 4:
                changed[at:at] = random.randbytes(size)
            case 5:
                changed[at:at] = changed[at : at + size] * random.choice((1, 1, 2, 20))
            case 6:
                start = random.randrange(len(other) + 1)
                changed[anywhere:] = other[start : start + LONGEST]
            case _:
                del changed[anywhere:]
    return bytes(changed[:LONGEST])
