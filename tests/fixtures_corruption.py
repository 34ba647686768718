"""Ways in which `.sgc` files go wrong, by accident and by malice."""

from __future__ import annotations

import random
import zlib

from soundgen.codec.packing import write_varint
from soundgen.codec.sgc_header import CRC_BYTES, DIGEST_BYTES, PREFIX_BYTES


def corrupt(data: bytes, rng: random.Random) -> bytes:
    """Damage a file in one of the ways that disks, cables and people do."""
    out = bytearray(data)
    at, other = sorted(rng.randrange(len(out)) for _ in range(2))
    kind = rng.randrange(9)
    if kind == 0:  # flip bits
        for _ in range(rng.choice([1, 1, 2, 8, 100])):
            out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    elif kind == 1:  # truncate
        del out[at:]
    elif kind == 2:  # lose bytes inside
        del out[at:other]
    elif kind == 3:  # overwrite with noise
        out[at:other] = rng.randbytes(other - at)
    elif kind == 4:  # a hole of zeros or ones
        out[at:other] = bytes([rng.choice([0, 255])]) * (other - at)
    elif kind == 5:  # swap two parts
        size = rng.randrange(1, 400)
        a, b = out[at : at + size], out[other : other + size]
        out[at : at + size], out[other : other + size] = b, a
    elif kind == 6:  # repeat a part
        out[at:at] = out[at:other]
    elif kind == 7:  # a huge count or length, wherever it may be read as one
        out[at : at + 8] = b"\xff\xff\xff\xff\xff\xff\xff\x7f"
    else:  # foreign bytes before, inside or after
        place = rng.choice([0, at, len(out)])
        out[place:place] = rng.randbytes(rng.randrange(1, 600))
    return bytes(out)


def lie(data: bytes, full_bytes: int, rng: random.Random) -> bytes:
    """Change numbers of a whole file and make every checksum right again.

    Args:
        data: A file without entropy coding, of full chunks only.
        full_bytes: Of one of its full chunks, lead and checksum included.
        rng: Where chance comes from.
    """
    header_end = PREFIX_BYTES + data[PREFIX_BYTES - 1] + CRC_BYTES
    body = bytearray(data[PREFIX_BYTES : header_end - CRC_BYTES])
    rest = data[header_end:]
    records = []
    while rest[0] >> 6 == 0:
        records.append(bytearray(rest[: full_bytes - CRC_BYTES]))
        rest = rest[full_bytes:]
    records.append(bytearray(rest[:-CRC_BYTES]))
    number = write_varint(rng.choice([0, 1, rng.randrange(1 << 10), 1 << 20, 1 << 48]))
    if rng.random() < 0.5:  # in the header, before the digest
        at = rng.randrange(len(body) - DIGEST_BYTES)
        body[at : at + rng.randrange(3)] = number
    else:  # behind a lead byte, where short chunks and the end have their counts
        record = rng.choice(records)
        if rng.random() < 0.5:
            record[0] ^= 1 << rng.randrange(8)
        record[1 : 1 + rng.randrange(4)] = number
    encoded = data[: PREFIX_BYTES - 1] + bytes([min(255, len(body))]) + body
    encoded += zlib.crc32(encoded).to_bytes(4, "little")
    seed = encoded[-CRC_BYTES:]
    for index, record in enumerate(records):
        crc = zlib.crc32(seed + index.to_bytes(4, "little") + record)
        encoded += record + crc.to_bytes(4, "little")
    return bytes(encoded)
