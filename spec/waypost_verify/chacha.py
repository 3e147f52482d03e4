"""XChaCha20-Poly1305 (RFC 8439 and draft-irtf-cfrg-xchacha), to open entries.

Plain and slow: some hundred kilobytes a second.
"""

import hmac
import struct

from .refused import require

MASK = 0xFFFFFFFF


def quarter(s, a, b, c, d):
    for x, y, z, by in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        s[x] = s[x] + s[y] & MASK
        v = s[z] ^ s[x]
        s[z] = (v << by | v >> 32 - by) & MASK


def rounds(state):
    s = list(state)
    for _ in range(10):
        for i in range(4):
            quarter(s, i, i + 4, i + 8, i + 12)
        for i in range(4):
            quarter(s, i, (i + 1) % 4 + 4, (i + 2) % 4 + 8, (i + 3) % 4 + 12)
    return s


def start(key, rest):
    return struct.unpack("<16I", b"expand 32-byte k" + key + rest)


def keystream(key, nonce, n):
    """n bytes of ChaCha20 from block 0 on."""
    out = b""
    for counter in range((n + 63) // 64):
        state = start(key, struct.pack("<I", counter) + nonce)
        out += struct.pack("<16I", *(a + b & MASK for a, b in zip(state, rounds(state))))
    return out[:n]


def hchacha(key, nonce):
    s = rounds(start(key, nonce))
    return struct.pack("<8I", *s[:4], *s[12:])


def poly1305(key, message):
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for i in range(0, len(message), 16):
        total = (total + int.from_bytes(message[i:i + 16] + b"\1", "little")) * r % (2**130 - 5)
    return (total + int.from_bytes(key[16:], "little") & 2**128 - 1).to_bytes(16, "little")


def pad16(raw):
    return raw + bytes(-len(raw) % 16)


def open_box(key, nonce, box, aad):
    """The plaintext of a box under a 32-byte key and a 24-byte nonce."""
    require(len(box) >= 16, "a sealed entry is cut short")
    sealed, tag = box[:-16], box[-16:]
    subkey, short = hchacha(key, nonce[:16]), bytes(4) + nonce[16:]
    stream = keystream(subkey, short, 64 + len(sealed))
    lengths = struct.pack("<QQ", len(aad), len(sealed))
    made = poly1305(stream[:32], pad16(aad) + pad16(sealed) + lengths)
    require(hmac.compare_digest(made, tag), "the data key does not open the entry")
    return bytes(a ^ b for a, b in zip(sealed, stream[64:]))
