"""Signed notes (C2SP signed-note), checkpoints (C2SP tlog-checkpoint) and
cosignatures (C2SP tlog-cosignature), with what spec/README.md and
spec/ledger.md choose where C2SP leaves a choice."""

import hashlib
import re
from dataclasses import dataclass

from . import ed25519
from .encoding import base64_bytes, base64_text
from .refused import Refused, require

ED25519, COSIGNATURE = 1, 4  # types of keys
LAST_SECOND = 253402300799
MAX_CHECKPOINT = 65536
MAX_SIZE = 2**48
MAX_SIGNATURES = 100


def key_id(name, typed):
    """Four bytes that name a key in a signature line."""
    return hashlib.sha256(name.encode() + b"\n" + typed).digest()[:4]


def is_name(name):
    return name != "" and "+" not in name and not any(c.isspace() for c in name)


@dataclass(frozen=True)
class Key:
    """A verifier key: a name, a type and 32 bytes."""
    name: str
    type: int
    public: bytes

    @property
    def id(self):
        return key_id(self.name, bytes([self.type]) + self.public)

    @property
    def vkey(self):
        return f"{self.name}+{self.id.hex()}+{base64_text(bytes([self.type]) + self.public)}"

    def verifies(self, text, signature):
        """Whether the signature, without the id, is this key's over the text."""
        if self.type == ED25519:
            return ed25519.verify(self.public, text, signature)
        if len(signature) != 72 or not is_checkpoint(text):
            return False
        time = int.from_bytes(signature[:8], "big")
        return ed25519.verify(self.public, b"cosignature/v1\ntime %d\n" % time + text, signature[8:])


def parse_key(vkey, type):
    """Reads name+id+key in its canonical spelling."""
    parts = vkey.split("+", 2) if isinstance(vkey, str) and len(vkey) <= 512 else []
    require(len(parts) == 3 and is_name(parts[0]), "a verifier key is not name+hash+key")
    typed = base64_bytes(parts[2], "a verifier key")
    require(len(typed) == 33 and typed[0] == type, f"the verifier key of {parts[0]} is of another type")
    key = Key(parts[0], type, typed[1:])
    require(key.vkey == vkey, f"the verifier key of {parts[0]} has another hash than it says")
    return key


@dataclass(frozen=True)
class Signature:
    key: Key
    raw: bytes        # without the four bytes of the id
    line: str         # as it should stand in the note
    canonical: bool   # whether it does

    @property
    def time(self):
        """Of a cosignature, in Unix seconds."""
        return int.from_bytes(self.raw[:8], "big")


@dataclass(frozen=True)
class Note:
    text: bytes
    signatures: list   # verified, of known keys, each key once
    trimmed: bytes     # the note with these signatures only, canonical


def open_note(raw, known):
    """Reads a signed note and verifies the signatures of the known keys.

    Signatures by other keys are ignored; a bad one by a known key refuses all.
    """
    try:
        whole = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("the note is not UTF-8") from None
    require(all(c >= " " or c == "\n" for c in whole), "the note holds control characters")
    split = whole.rfind("\n\n\u2014 ")
    require(split >= 0 and whole.endswith("\n"), "the note has no signatures")
    text, lines = whole[:split + 1].encode(), whole[split + 2:-1].split("\n")
    require(len(lines) <= MAX_SIGNATURES, "the note has too many signatures")
    by_id = {(key.name, key.id): key for key in known}
    found, seen = [], set()
    for line in lines:
        require(line.startswith("\u2014 "), "a line of signature does not begin with a dash")
        name, _, encoded = line[2:].partition(" ")
        signature = base64_bytes(encoded, "a signature", loose=True)
        require(is_name(name) and len(signature) >= 5, "a line of signature is malformed")
        key = by_id.get((name, signature[:4]))
        if key is None or key in seen:
            continue
        seen.add(key)
        require(key.verifies(text, signature[4:]), f"the signature of {name} does not verify")
        again = f"\u2014 {name} {base64_text(signature)}"
        found.append(Signature(key, signature[4:], again + "\n", again == line))
    trimmed = text + b"\n" + "".join(s.line for s in found).encode()
    return Note(text, found, trimmed)


CHECKPOINT = re.compile(r"([^\n]*)\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n((?:[^\n]+\n)*)\Z", re.ASCII)


def is_checkpoint(text):
    try:
        parse_tree(text)
        return True
    except Refused:
        return False


def parse_tree(text):
    """Origin, size and root of the text of a checkpoint."""
    match = CHECKPOINT.match(text.decode("utf-8"))
    require(match and int(match[2]) < 2**63, "this is not the text of a checkpoint")
    return match[1], int(match[2]), base64_bytes(match[3], "the root of a checkpoint")


@dataclass(frozen=True)
class Group:
    """Asks for need cosignatures of distinct witnesses."""
    name: str
    need: int
    witnesses: list


@dataclass(frozen=True)
class Policy:
    """Whose signatures make a checkpoint good."""
    log: Key
    groups: list

    @property
    def keys(self):
        return [self.log] + [w for group in self.groups for w in group.witnesses]

    @property
    def decisive(self):
        """Whether any two sets of witnesses that suffice have one in common."""
        return any(2 * group.need > len(group.witnesses) for group in self.groups)


@dataclass(frozen=True)
class Checkpoint:
    origin: str
    size: int
    root: bytes
    cosigned: int   # Unix seconds; see the specification. 0 where nobody had to
    trimmed: bytes


def open_checkpoint(raw, policy):
    """Verifies a signed checkpoint under a policy."""
    require(len(raw) <= MAX_CHECKPOINT, f"a checkpoint has more than {MAX_CHECKPOINT} bytes")
    note = open_note(raw, policy.keys)
    origin, size, root = parse_tree(note.text)
    require(origin == policy.log.name, f"the checkpoint is of another log than {policy.log.name}")
    require(size <= MAX_SIZE, "the checkpoint says more leaves than a log can have")
    require(size > 0 or root == hashlib.sha256().digest(), "the root of an empty log is the hash of nothing")
    require(all(s.canonical for s in note.signatures), "a signature is not in canonical base64")
    require(any(s.key == policy.log for s in note.signatures), f"the checkpoint is not signed by {origin}")
    times = []
    for group in policy.groups:
        found = sorted(s.time for s in note.signatures if s.key in group.witnesses and s.time <= LAST_SECOND)
        require(len(found) >= group.need, f"the checkpoint has {len(found)} of {group.need} cosignatures of {group.name}")
        if group.need:
            times.append(found[-group.need])
    return Checkpoint(origin, size, root, min(times, default=0), note.trimmed)
