"""Leaves, entries, proofs and whole logs: spec/ledger.md."""

import hashlib
import hmac
import re
from dataclasses import dataclass

from . import chacha, tree
from .encoding import (Cursor, base64_bytes, fields, format_json, hex_bytes, is_printable, is_whole, parse_json,
                       prefixed)
from .note import LAST_SECOND, MAX_SIZE, open_checkpoint
from .refused import require

MAX_BODY = 65536
MAX_PROOF = 524288
KIND = re.compile(r"[a-z0-9_]{1,32}\Z", re.ASCII)
SEALED_DOMAIN = "waypost sealed entry v1"
OVERHEAD = 8 + 24 + 16   # key id, nonce, authenticator
PADDED = 1024            # the plaintext is a multiple of it
MAX_BLOB = OVERHEAD + -(-(4 + 32 + 8 + 8 + 32 + 32 + 32 + 4 + MAX_BODY) // PADDED) * PADDED


def tag(tau, role, origin, kind, ordinal):
    """The first half of a leaf."""
    covered = prefixed("waypost ledger tag v1", role, origin, kind) + ordinal.to_bytes(8, "big")
    return hmac.new(tau, covered, hashlib.sha256).digest()


def parse_body(raw):
    """The fields of a body, which has one spelling."""
    require(len(raw) <= MAX_BODY, "a body is too long")
    value = parse_json(raw, "a body", MAX_BODY)
    require(isinstance(value, dict), "a body is not a JSON object")
    for name, text in value.items():
        require(KIND.match(name) and isinstance(text, str) and is_printable(text), "a body is not an object of printable strings")
    require(format_body(value) == raw, "a body is not canonical")
    return value


def format_body(value):
    return format_json(dict(sorted(value.items())))


@dataclass(frozen=True)
class Entry:
    """What a leaf stands for, opened."""
    kind: str
    ordinal: int
    at: int        # Unix seconds
    ticket: bytes
    tau: bytes
    salt: bytes
    body: bytes

    def __post_init__(self):
        require(KIND.match(self.kind), "the kind of an entry is not a word")
        require(is_whole(self.ordinal, 0, 2**64 - 1) and is_whole(self.at, 0, LAST_SECOND), "a number of an entry is out of range")
        parse_body(self.body)

    @property
    def commitment(self):
        return hashlib.sha256(
            prefixed("waypost ledger entry v1") + self.salt + prefixed(self.kind) + self.ticket + self.tau
            + self.at.to_bytes(8, "big") + prefixed(self.body)).digest()

    def leaf(self, role, origin):
        return tag(self.tau, role, origin, self.kind, self.ordinal) + self.commitment


def entry_of(value):
    """An opened entry, as JSON has it."""
    kind, ordinal, at, ticket, tau, salt, body = fields(
        value, ("kind", "ordinal", "at", "ticket", "tau", "salt", "body"), "an opened entry")
    require(isinstance(kind, str) and isinstance(body, dict), "an opened entry has a field of another type")
    return Entry(kind, ordinal, at, hex_bytes(ticket, 32, "a ticket"), hex_bytes(tau, 32, "a tau"),
                 hex_bytes(salt, 32, "a salt"), format_body(body))


def open_sealed(blob, key_id, secret, role, origin, index, leaf):
    """The entry behind a leaf, with the data key of that id."""
    require(blob[:8] == key_id, "the entry is under another data key")
    aad = prefixed(SEALED_DOMAIN, origin) + index.to_bytes(8, "big") + leaf
    plain = chacha.open_box(secret, blob[8:32], blob[32:], aad)
    c = Cursor(plain, "the sealed entry")
    kind, ordinal, at = c.string(4), c.number(8), c.number(8)
    entry = Entry(kind, ordinal, at, c.take(32), c.take(32), c.take(32), c.take(c.number(4)))
    padding = plain[c.at:]
    require(len(plain) % PADDED == 0 and len(padding) < PADDED and not any(padding), "the padding of the sealed entry is wrong")
    require(entry.leaf(role, origin) == leaf, "the sealed entry is not that of its leaf")
    return entry


@dataclass(frozen=True)
class Proof:
    """Shows without a connection that an entry stands in a log."""
    origin: str
    index: int
    leaf: bytes
    entry: Entry
    hashes: list
    checkpoint: bytes

    def verify(self, policy, role):
        """Returns the checkpoint that covers the entry."""
        require(self.origin == policy.log.name, f"the proof is about another log than {policy.log.name}")
        require(self.entry.leaf(role, self.origin) == self.leaf, "the entry is not the one behind the leaf")
        checkpoint = open_checkpoint(self.checkpoint, policy)
        tree.check_inclusion(self.leaf, self.index, checkpoint.size, checkpoint.root, self.hashes)
        return checkpoint


def parse_proof(raw):
    value = parse_json(raw, "the proof", MAX_PROOF)
    origin, index, leaf, entry, hashes, checkpoint = fields(
        value, ("origin", "index", "leaf", "entry", "proof", "checkpoint"), "the proof")
    require(isinstance(origin, str) and is_whole(index, 0, MAX_SIZE) and isinstance(checkpoint, str),
            "a field of the proof is of another type")
    require(isinstance(hashes, list) and len(hashes) <= 48, "the proof has too many hashes")
    hashes = [base64_bytes(h, "a hash of the proof") for h in hashes]
    return Proof(origin, index, base64_bytes(leaf, "the leaf"), entry_of(entry), hashes, checkpoint.encode())


def split_leaves(bundle, width, what):
    """The leaves of an entry bundle."""
    require(len(bundle) == width * 66, f"{what} has {len(bundle)} bytes, not {width * 66}")
    leaves = []
    for i in range(width):
        entry = bundle[i * 66:(i + 1) * 66]
        require(entry[:2] == b"\0\x40", f"{what} has a leaf that is not of 64 bytes, at {i}")
        leaves.append(entry[2:])
    return leaves


def split_sealed(bundle, width, what):
    """The blobs of a bundle of sealed entries; an erased one is empty."""
    c, blobs = Cursor(bundle, what), []
    for _ in range(width):
        blob = c.take(c.number(4))
        require(not blob or OVERHEAD < len(blob) <= MAX_BLOB and (len(blob) - OVERHEAD) % PADDED == 0, f"{what} has a blob of an impossible length")
        blobs.append(blob)
    c.end()
    return blobs
