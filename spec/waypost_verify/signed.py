"""Tickets, receipts, lists of candidates and statements: a payload, then an
Ed25519 signature over exactly these bytes. See spec/ticket.md, spec/receipt.md
and spec/message.md."""

import hashlib
import re
from dataclasses import dataclass

from . import ed25519
from .encoding import Cursor, is_visible, is_word, prefixed
from .note import LAST_SECOND
from .refused import require

MAX_SIGNED = 1024
ISSUE = {"issue_licence", "issue_permit", "issue_id", "issue_real_id", "renew"}
ERRANDS = {
    "verify_card": {"accept_as_identification"}, "status": ISSUE, "history": {"change_state_of_record", "issue_licence"},
    "portrait": {"resolve_possible_match", "duplicate_resolution"}, "change_state_of_record": ISSUE,
    "notice_of_issuance": ISSUE, "request_to_terminate": ISSUE | {"duplicate_resolution"}, "report": {"driver_history"},
    "case": {"duplicate_resolution"},
}
UPKEEP = {"withdraw", "activate", "compare", "leave"}
PUBLISHING = {"publish", "change", "republish"}
POINTERS = UPKEEP | PUBLISHING
PURPOSES = {"check": ISSUE | {"duplicate_resolution", "post_conviction"}, **ERRANDS,
            **{kind: {"maintain_pointer"} for kind in POINTERS}}
CLASSES = {"check": {"attended", "unattended"}, **{kind: {"attended", "unattended"} for kind in ERRANDS},
           **{kind: {"publish"} for kind in POINTERS}}
ROLES = {"evaluate": "keyholder", "search_first": "hub", "search_second": "hub", "publish": "hub",
         "change_state_of_record": "hub", **{kind: "hub" for kind in UPKEEP}}
MEMBER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,31}\Z", re.ASCII)
INSTANCE = re.compile(r"[1-9][0-9]{0,2}\Z", re.ASCII)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


@dataclass(frozen=True)
class Signed:
    """What tickets, receipts and statements have in common."""
    payload: bytes
    signature: bytes
    fields: dict

    def __getattr__(self, name):
        try:
            return self.fields[name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def id(self):
        return sha256(self.payload)

    def verify(self, key, who):
        require(ed25519.verify(key, self.payload, self.signature), f"this is not signed by {who}")


def cut(raw, what):
    require(64 <= len(raw) <= MAX_SIGNED, f"{what} has an impossible length")
    return raw[:-64], raw[-64:]


def parse_ticket(raw):
    payload, signature = cut(raw, "the ticket")
    c = Cursor(payload, "the ticket")
    c.expect(b"waypost ticket v1\n")
    f = {"kind": c.string(), "roster_version": c.number(8), "epoch": c.number(4), "environment": c.string(),
         "soi": c.string(), "operator": c.take(32), "class": c.string(), "purpose": c.string(), "case": c.take(32),
         "cites": c.take(32), "issued_ms": c.number(8), "nonce": c.take(16), "elements": c.number(2),
         "probes": c.take(32), "tau": c.take(32)}
    c.end()
    for name in ("kind", "environment", "class", "purpose"):
        require(is_word(f[name]), f"the ticket's {name} is not a word")
    require(re.fullmatch("[A-Z]{2}", f["soi"]), "the ticket's state is not two capital letters")
    require(0 < f["issued_ms"] < (LAST_SECOND + 1) * 1000, "the ticket's time is out of range")
    for name in ("operator", "nonce", "tau"):
        require(any(f[name]), f"the ticket's {name} is zero")
    return Signed(payload, signature, f)


def verify_ticket(ticket, key):
    """Signature, and that the words go together."""
    f = ticket.fields
    ticket.verify(key, f["soi"])
    require(f["purpose"] in PURPOSES.get(f["kind"], ()), "the ticket's purpose does not allow its kind")
    require(f["class"] in CLASSES[f["kind"]], "the ticket's operator class does not allow its kind")
    n = f["elements"]
    if f["kind"] == "check":
        good = n == 32
    elif f["kind"] in ERRANDS or f["kind"] in UPKEEP:
        good = n == 0
    else:
        good = 10 <= n <= 1000 and n % 10 == 0
    require(good, f"a ticket of this kind cannot carry {n} elements")


def parse_receipt(raw):
    payload, signature = cut(raw, "the receipt")
    c = Cursor(payload, "the receipt")
    c.expect(b"waypost receipt v1\n")
    f = {"action": c.string(), "signer": c.string(), "ticket": c.take(32), "epoch": c.number(4), "inputs": c.take(32),
         "outputs": c.take(32), "proof": c.take(32), "origin": c.string(), "sequence": c.number(8),
         "deadline": c.number(8)}
    c.end()
    require(is_word(f["action"]), "the receipt's action is not a word")
    require(is_visible(f["signer"], 32), "the receipt's signer is not a name")
    require(is_visible(f["origin"], 255), "the receipt's origin is not the name of a log")
    require(0 < f["deadline"] <= LAST_SECOND, "the receipt's deadline is out of range")
    return Signed(payload, signature, f)


def split_origin(origin, member):
    """The instance in <domain>/<member>/<instance>; the log must be the member's."""
    parts = origin.split("/")
    require(len(parts) >= 3 and len(origin) <= 255 and parts[-2] == member and INSTANCE.match(parts[-1]),
            f"{origin[:80]!r} is not the name of a log of {member}")
    return parts[-1]


def owner_of(checkpoint):
    """The member whose log a checkpoint is of, from its first line."""
    parts = checkpoint.split(b"\n")[0].decode("utf-8", "replace").split("/")
    require(len(parts) >= 3 and MEMBER.match(parts[-2]), "the checkpoint does not begin with the name of a log")
    return parts[-2]


def check_place(receipt):
    """The receipt names a leaf that its signer's log can have."""
    split_origin(receipt.origin, receipt.signer)
    require(receipt.sequence < 2**48, "the receipt names a leaf that no log has")


def role_of(receipt):
    require(receipt.action in ROLES, "the receipt is for an action that is not known here")
    return ROLES[receipt.action]


def parse_candidates(raw):
    c = Cursor(raw, "the list of candidates")
    c.expect(b"waypost candidates v1\n")
    ticket, many, unreached, n = c.take(32), c.number(1), c.number(1), c.number(1)
    require(many <= 1 and unreached <= 32 and n <= 20, "the list of candidates is out of range")
    found = [(c.take(16), c.take(2).decode("ascii", "replace")) for _ in range(n)]
    c.end()
    require(all(re.fullmatch("[A-Z]{2}", owner) for _, owner in found), "an owner is not two capital letters")
    require(all(a[0] < b[0] for a, b in zip(found, found[1:])), "the candidates are not in order")
    return {"ticket": ticket, "too_many": bool(many), "unreached": unreached, "list": found}


def parse_statement(raw):
    """What a member has said in a message, with its signature."""
    require(64 <= len(raw) <= 262144 + 1024, "the statement has an impossible length")
    payload, signature = raw[:-64], raw[-64:]
    c = Cursor(payload, "the statement")
    c.expect(b"waypost message v1")
    f = {"suite": c.number(2), "sender": c.string(), "key_id": c.take(32), "type": c.string(), "message": c.take(16),
         "ticket": c.take(32), "roster_version": c.number(8), "expiry": c.number(8), "body": c.take(c.number(4))}
    c.end()
    require(f["suite"] == 1, "the statement is of a suite that is not known here")
    check_message(f)
    return Signed(payload, signature, f)


def check_message(f):
    require(MEMBER.match(f["sender"]), "the sender is not named as in a roster")
    require(re.fullmatch("[a-z][a-z0-9_.]{0,39}", f["type"], re.ASCII), "the type is not a word")
    require(any(f["message"]), "the message id is zero")
    require(0 < f["expiry"] <= LAST_SECOND, "the expiry is out of range")
    require(len(f["body"]) <= 262144, "the body is too long")


SIZES = (4096, 16384, 65536, 262144)


def parse_envelope(raw):
    """What the hub sees of a sealed message, and the size of the plaintext."""
    c = Cursor(raw, "the sealed message")
    f = {"suite": c.number(2)}
    require(f["suite"] == 1, "the message is of a suite that is not known here")
    f |= {"recipient": c.string(), "message": c.take(16), "expiry": c.number(8), "key_id": c.take(32)}
    f |= {"header": raw[:c.at], "encapsulated": c.take(1120), "size": len(raw) - c.at - 16}
    require(MEMBER.match(f["recipient"]) and any(f["message"]) and 0 < f["expiry"] <= LAST_SECOND,
            "the header of the message is out of range")
    require(f["size"] in SIZES, "the length of the message is none of the sizes")
    return f


def parse_plain(envelope, plain):
    """The statement inside the opened plaintext of an envelope."""
    c = Cursor(plain, "the plaintext")
    content = c.take(c.number(4))
    require(len(plain) in SIZES and not any(plain[c.at:]), "the padding of the message is wrong")
    c = Cursor(content, "the plaintext")
    signature, sender, kind = c.take(64), c.string(), c.string()
    ticket, version, body = c.take(32), c.take(8), content[c.at:]
    short = [bytes([len(s)]) + s.encode() for s in (sender, kind)]
    return parse_statement(b"waypost message v1" + b"\0\1" + short[0] + envelope["key_id"] + short[1] + envelope["message"]
                           + ticket + version + envelope["expiry"].to_bytes(8, "big") + prefixed(body) + signature)


def parse_encryption_key(raw):
    """A member's encryption key with its owner's signature."""
    c = Cursor(raw, "the encryption key")
    f = {"suite": c.number(2), "recipient": c.string(), "not_before": c.number(8), "not_after": c.number(8),
         "key": c.take(1216)}
    end = c.at
    signature = c.take(64)
    c.end()
    require(f["suite"] == 1 and MEMBER.match(f["recipient"]), "the encryption key's owner or suite is not known here")
    require(0 < f["not_before"] and f["not_after"] <= LAST_SECOND and f["not_after"] == f["not_before"] + 14 * 86400,
            "the dates of the encryption key are wrong")
    owner = bytes([len(f["recipient"])]) + f["recipient"].encode()
    f["key_id"] = sha256(b"waypost seal key id v1", b"\0\1", owner, f["key"])
    return Signed(b"waypost seal key v1" + raw[:end], signature, f)
