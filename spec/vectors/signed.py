"""Writes signed.json: the bytes of tickets, receipts, releases, candidates, tokens and tags.

A second implementation of the formats, independent of the Go program, whose
tests compare with its output. Needs the Python package "cryptography".
"""

import hashlib
import hmac
import json
import struct

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def seq(start, n):
    """n bytes counting up from start."""
    return bytes((start + i) % 256 for i in range(n))


def short(text):
    """A string with its length in one byte before it."""
    return bytes([len(text)]) + text.encode()


def sha(domain, *parts):
    return hashlib.sha256(domain.encode() + b"".join(parts)).digest()


SEED = seq(1, 32)
KEY = Ed25519PrivateKey.from_private_bytes(SEED)
ELEMENTS = seq(7, 64)
PROBES = sha("waypost blinded probes v1\n", ELEMENTS)
CASE = sha("waypost case reference v1\n", seq(9, 32), b"AZ-2026-0001")


def ticket(kind, roster, epoch, env, soi, cls, purpose, cites, ms, n):
    payload = b"waypost ticket v1\n" + short(kind) + struct.pack(">QI", roster, epoch) + short(env) + short(soi)
    payload += seq(0x10, 32) + short(cls) + short(purpose) + CASE + cites + struct.pack(">Q", ms) + seq(0x20, 16)
    payload += struct.pack(">H", n) + PROBES + seq(0x30, 32)
    return {
        "kind": kind, "roster_version": roster, "epoch": epoch, "environment": env, "soi": soi, "class": cls,
        "purpose": purpose, "cites": cites.hex(), "issued_at_ms": ms, "elements": n,
        "id": hashlib.sha256(payload).hexdigest(), "wire": (payload + KEY.sign(payload)).hex(),
    }


def receipt(action, signer, epoch, outputs, proof, origin, number, deadline):
    payload = b"waypost receipt v1\n" + short(action) + short(signer) + seq(0x40, 32) + struct.pack(">I", epoch) + PROBES
    payload += outputs + proof + short(origin) + struct.pack(">QQ", number, deadline)
    return {
        "action": action, "signer": signer, "ticket": seq(0x40, 32).hex(), "epoch": epoch, "outputs": outputs.hex(),
        "proof": proof.hex(), "origin": origin, "sequence": number, "deadline": deadline,
        "wire": (payload + KEY.sign(payload)).hex(),
    }


def release(roster, env, change, source, to, expires, *passings):
    payload = b"waypost release v1\n" + struct.pack(">Q", roster) + short(env) + change + short(source) + short(to)
    payload += struct.pack(">QB", expires, len(passings)) + b"".join(old + new for old, new in passings)
    return {
        "roster_version": roster, "environment": env, "change": change.hex(), "from": source, "to": to, "expires": expires,
        "passings": [{"old": old.hex(), "new": new.hex()} for old, new in passings],
        "wire": (payload + KEY.sign(payload)).hex(),
    }


def candidates(too_many, unreached, *found):
    raw = b"waypost candidates v1\n" + seq(0x40, 32) + bytes([too_many, unreached, len(found)])
    raw += b"".join(ref + owner.encode() for ref, owner in found)
    return {"ticket": seq(0x40, 32).hex(), "too_many": bool(too_many), "unreached": unreached,
            "list": [{"reference": ref.hex(), "owner": owner} for ref, owner in found], "wire": raw.hex()}


token = sha("waypost token", struct.pack(">I", 1), seq(0x50, 64))
print(json.dumps({
    "comment": "Written by signed.py, a second implementation. Hex; the operator tag, nonce, audit secret and the like are bytes that count up.",
    "seed": SEED.hex(), "public_key": KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex(),
    "operator": seq(0x10, 32).hex(), "nonce": seq(0x20, 16).hex(), "tau": seq(0x30, 32).hex(),
    "elements": ELEMENTS.hex(), "probes": PROBES.hex(),
    "case_salt": seq(9, 32).hex(), "case_reference": "AZ-2026-0001", "case": CASE.hex(),
    "tickets": [
        ticket("check", 1, 1, "test", "AZ", "attended", "issue_real_id", bytes(32), 1767225600123, 32),
        ticket("publish", 2**40, 2**32 - 1, "prod", "CA", "publish", "maintain_pointer", seq(0x60, 32), 1, 1000),
    ],
    "receipts": [
        receipt("evaluate", "keyholder-1", 1, sha("waypost outputs v1\nevaluate\n", ELEMENTS), hashlib.sha256(seq(0, 64)).digest(),
                "waypost.test/keyholder-1/1", 0, 1767225661),
        receipt("search_first", "hub", 7, sha("waypost outputs v1\nsearch_first\n", b""), bytes(32), "h", 2**63, 253402300799),
    ],
    "releases": [
        release(1, "test", seq(0x80, 16), "CA", "AZ", 1767225600, (seq(1, 16), seq(0x90, 16))),
        release(2**64 - 1, "prod", seq(0xff, 16), "NV", "CA", 253402300799,
                *((seq(16 * i + 1, 16), seq(0xf0 - 16 * i, 16)) for i in range(8))),
    ],
    "candidates": [
        candidates(0, 0), candidates(0, 7), candidates(1, 0, (seq(1, 16), "CA"), (seq(2, 16), "NV")),
    ],
    "tokens": {"searched": ELEMENTS.hex(), "hash": sha("waypost searched tokens v1\n", ELEMENTS).hex()},
    "token": {"epoch": 1, "output": seq(0x50, 64).hex(), "token": token.hex(), "ticket": seq(0x40, 32).hex(),
              "tag": hmac.new(token, b"waypost tag v1\n" + seq(0x40, 32), hashlib.sha256).digest()[:16].hex()},
}, indent=1))
