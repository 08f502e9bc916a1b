"""GPT-2's alphabet of bytes."""

from functools import cache


@cache
def byte_alphabet() -> dict[str, int]:
    """Return the byte that each character of the alphabet stands for.

    Bytes that print stand for themselves as Latin-1; the others, in order, take the characters
    from U+0100 on.
    """
    prints = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in set(prints)]
    return {chr(b): b for b in prints} | {chr(256 + n): b for n, b in enumerate(hidden)}
