"""Rosters: spec/roster.md. That the public shares combine to the group key, which
takes arithmetic on ristretto255, is not checked here: ledgers do not need it."""

import hashlib
import re
from dataclasses import dataclass

from . import note, times, wellformed
from .chain import follows
from .ed25519 import sound
from .encoding import base64_bytes, format_json, is_whole, parse_json
from .refused import Refused, require
from .signed import MEMBER, split_origin

HEADER = b"waypost roster v1\n"
MAX_TEXT = 512 << 10
MAX_NOTE = MAX_TEXT + (64 << 10)
MOST = 1_000_000_000  # of what a quota says


# Types of fields. Each refuses what is not of it; an optional field that is
# there is not empty.

def text(value):
    require(isinstance(value, str), "a text")


def filled(value):
    require(isinstance(value, str) and value, "a text")


def yes(value):
    require(value is True, "true or absent")


def number(low, high):
    def check(value):
        require(is_whole(value, low, high), f"a number from {low} to {high}")
    return check


def raw(n, nonzero=False):
    def check(value):
        b = base64_bytes(value, "the value")
        require(len(b) == n and (any(b) or not nonzero), f"{n} bytes in base64")
    return check


def key(value):
    require(sound(base64_bytes(value, "the value")), "a sound Ed25519 key")


def time(value):
    times.parse(value)


def one_of(*words):
    def check(value):
        require(value in words, "one of " + ", ".join(words))
    return check


def word(value):
    require(isinstance(value, str) and re.fullmatch("[a-z][a-z_]{0,39}", value, re.ASCII), "a word in lower case")


def name(value):
    require(isinstance(value, str) and MEMBER.match(value), "a name")


def auditor(value):
    require(isinstance(value, str) and 60 <= len(value) <= 2500
            and re.fullmatch("age1(pq1)?[02-9ac-hj-np-z]+", value, re.ASCII), "an age recipient")


def verifier(type):
    def check(value):
        require(sound(note.parse_key(value, type).public), "a sound key")
    return check


def many(check, low, high, unique=False):
    def each(value):
        require(isinstance(value, list) and low <= len(value) <= high, f"{low} to {high} of them")
        for one in value:
            check(one)
        require(not unique or len(set(value)) == len(value), "each once")
    return each


def record(*schema):
    """An object with fields in this order; a name that ends in ? may be absent."""
    def check(value):
        require(isinstance(value, dict), "an object")
        expected = [(n.rstrip("?"), c) for n, c in schema if n.rstrip("?") in value or not n.endswith("?")]
        require(list(value) == [n for n, _ in expected], "these fields in this order: " + ", ".join(n for n, _ in schema))
        for n, c in expected:
            try:
                c(value[n])
            except Refused as e:
                raise Refused(f"{n}: {e}") from None
    return check


def not_zero(check):
    def both(value):
        check(value)
        require(any(value.values()), "absent rather than zero")
    return both


LIMITS = ("tickets_per_day", "unattended_per_day", "tickets_per_operator_hour", "operators", "publish_elements_per_day",
          "publish_elements_for_a_load")
QUOTA = not_zero(record(*((n, number(0, MOST)) for n in LIMITS), ("follow_ups_per_day?", number(1, MOST)),
                        ("republish_records?", number(1, MOST))))


ABILITY = one_of("search", "answer", "publish", "history", "real_id")
WITNESS = record(("key", verifier(note.COSIGNATURE)), ("url", filled),
                 ("cert_key?", raw(32, nonzero=True)))
WITNESSES = many(WITNESS, 1, 32)
WITNESS_POLICY = record(("holders", number(0, 32)), ("outside", number(1, 32)))
PURPOSES = many(word, 1, 64, unique=True)
AUDITORS = many(auditor, 1, 16, unique=True)
ROLE = one_of("hub", "keyholder", "gateway")
BESIDE = record(("epoch", number(1, 2**32 - 1)), ("threshold", number(1, 32)), ("group_key", raw(32)),
                ("shares", many(raw(32), 1, 32)), ("ceremony?", raw(32, nonzero=True)))
NEW_KEYS = record(("member", name), ("identity?", key), ("log_key?", key), ("witness_key?", key))

MEMBER_SCHEMA = record(
    ("name", name), ("role", ROLE), ("operator", text), ("jurisdiction?", filled), ("url?", filled),
    ("cert_key", raw(32, nonzero=True)), ("identity", key), ("log_key", key),
    ("protocol", record(("min", number(1, 255)), ("max", number(1, 255)))), ("public?", filled),
    ("also?", many(record(("url", filled), ("public", filled)), 1, 15)), ("from?", time),
    ("removed?", yes), ("participation?", one_of("full", "loading", "inquiry_only")),
    ("capabilities?", many(ABILITY, 1, 5, unique=True)), ("quota?", QUOTA),
    ("rise?", record(("from", time), ("quota?", QUOTA), ("capabilities?", many(ABILITY, 1, 5, unique=True)))),
    ("index?", number(1, 32)), ("public_share?", raw(32)), ("witness_key?", key))

SCHEMA = record(
    ("version", number(1, 2**64 - 1)), ("environment", one_of("test", "prod")), ("previous", raw(32)),
    ("not_before", time), ("not_after", time), ("revoked_before", number(0, 2**64 - 1)), ("profile", number(1, 255)),
    ("epoch?", number(1, 2**32 - 1)), ("threshold?", number(1, 32)), ("group_key?", raw(32)), ("ceremony?", raw(32, nonzero=True)),
    ("beside?", BESIDE), ("purposes", PURPOSES),
    ("members", many(MEMBER_SCHEMA, 1, 128)), ("witnesses?", WITNESSES), ("witness_policy?", WITNESS_POLICY),
    ("auditors?", AUDITORS),
    ("grants?", many(record(("member", name), ("class", one_of("attended", "unattended", "publish")),
                            ("extra", number(1, MOST)), ("from", time), ("until", time)), 1, 128)),
    ("announced?", many(record(
        ("from", time), ("purposes?", PURPOSES), ("threshold?", number(1, 32)), ("group_key?", raw(32)),
        ("witness_policy?", WITNESS_POLICY), ("witnesses?", WITNESSES), ("auditors?", AUDITORS),
        ("keys?", many(NEW_KEYS, 1, 128))), 1, 16)),
    ("governance", record(("threshold", number(1, 32)), ("keys", many(verifier(note.ED25519), 1, 32)))))


@dataclass(frozen=True)
class Governance:
    """Who signs rosters: threshold distinct keys."""
    threshold: int
    keys: list

    def open(self, signed):
        """The text, if enough of the keys signed it."""
        opened = note.open_note(signed, self.keys)
        require(len(opened.signatures) >= self.threshold,
                f"the roster has {len(opened.signatures)} signatures of known governance keys and needs {self.threshold}")
        return opened.text


def governance_of(value):
    keys = [note.parse_key(k, note.ED25519) for k in value["keys"]]
    require(1 <= value["threshold"] <= len(keys), "the threshold of the governance is out of range")
    require(len({k.name for k in keys}) == len({k.public for k in keys}) == len(keys), "two governance keys are one")
    return Governance(value["threshold"], keys)


def parse_governance(content):
    """The governance that is trusted, from a file: {"threshold": n, "keys": [...]}."""
    value = parse_json(content, "the governance", 65536)
    record(("threshold", number(1, 32)), ("keys", many(verifier(note.ED25519), 1, 32)))(value)
    return governance_of(value)


class Roster:
    """A roster whose text is well formed. See verify."""

    def __init__(self, text):
        require(len(text) <= MAX_TEXT, "the roster is too long")
        require(text.startswith(HEADER), "the first line is not that of a roster")
        self.value = parse_json(text[len(HEADER):], "the roster", MAX_TEXT)
        try:
            SCHEMA(self.value)
        except Refused as e:
            raise Refused(f"the roster is not well formed: {e}") from None
        require(format_json(self.value, 2) + b"\n" == text[len(HEADER):], "the roster is not canonical")
        self.hash = hashlib.sha256(text).digest()
        self.members = {m["name"]: m for m in self.value["members"]}
        self.governance = governance_of(self.value["governance"])
        wellformed.check(self)

    def __getattr__(self, name):
        try:
            return self.__dict__["value"][name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def begins(self):
        return times.parse(self.value["not_before"])

    def key(self, member, what="identity"):
        """A key of a member, 32 bytes, or None."""
        value = self.members[member].get(what)
        return base64_bytes(value, "a key") if value else None

    def holders(self):
        """The key holders that have a share, in the order of their shares."""
        return sorted((m for m in self.key_holders() if "index" in m), key=lambda m: m["index"])

    def key_holders(self):
        return [m for m in self.value["members"] if m["role"] == "keyholder"]

    def witnesses(self):
        """Who cosigns: (who answers for it, key)."""
        inside = [(m["name"], note.Key(f"waypost/{m['name']}/witness", note.COSIGNATURE, self.key(m["name"], "witness_key")))
                  for m in self.key_holders() if m.get("witness_key")]
        outside = [note.parse_key(w["key"], note.COSIGNATURE) for w in self.value.get("witnesses", [])]
        return inside, [(k.name, k) for k in outside]

    def log_key(self, member, origin):
        split_origin(origin, member)
        require("+" not in origin and all("!" <= c <= "~" for c in origin), "an origin is printable ASCII without plus")
        return note.Key(origin, note.ED25519, self.key(member, "log_key"))

    def policy(self, member, origin):
        """Whose signatures make a checkpoint of the member's log good."""
        wanted = self.value.get("witness_policy")
        require(wanted, f"roster version {self.version} names no witnesses: no ledger can be relied on under it")
        inside, outside = self.witnesses()
        groups = [note.Group("key holders", wanted["holders"], [k for who, k in inside if who != member]),
                  note.Group("outside witnesses", wanted["outside"], [k for _, k in outside])]
        return note.Policy(self.log_key(member, origin), [g for g in groups if g.need])


def verify(signed, trusted):
    """A roster that the trusted governance and its own have signed. Not whether
    it is valid now."""
    require(len(signed) <= MAX_NOTE, "the roster is too long")
    roster = Roster(trusted.open(signed))
    roster.governance.open(signed)
    return roster


def verify_chain(signed, trusted, rules=True):
    """Consecutive versions, the first signed by the trusted governance. Without
    rules only the signatures and the hashes are followed, as for evidence."""
    rosters = []
    for one in signed:
        roster = verify(one, trusted)
        if rosters:
            before = rosters[-1]
            require(roster.version == before.version + 1 and base64_bytes(roster.previous, "previous") == before.hash,
                    f"roster version {roster.version} does not continue version {before.version}")
            if rules:
                follows(before, roster)
        rosters.append(roster)
        trusted = roster.governance
    require(rosters, "there is no roster")
    return rosters
