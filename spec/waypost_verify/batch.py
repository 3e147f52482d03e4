"""One check for each line: what a test gives to two verifiers to compare them.

A line is {"check": name, "data": base64, "with": {...}}, or with "text" instead
of "data"; the answer is {"ok": true} or {"ok": false, "why": words}.
"""

from . import ed25519, times, tree
from .encoding import base64_bytes, parse_json
from .evidence import parse_evidence
from .ledger import entry_of, parse_body, parse_proof
from .log import Log
from .note import COSIGNATURE, ED25519, Group, Policy, open_checkpoint, parse_key
from .refused import Refused, require
from .roster import parse_governance, verify, verify_chain
from .signed import (parse_candidates, parse_encryption_key, parse_envelope, parse_receipt, parse_statement, parse_ticket,
                     verify_ticket)
from .successor import declared


def policy_of(value):
    """{"log": vkey, "groups": [{"name", "need", "witnesses": [vkey, ...]}, ...]}"""
    groups = [Group(g["name"], g["need"], [parse_key(k, COSIGNATURE) for k in g["witnesses"]]) for g in value["groups"]]
    return Policy(parse_key(value["log"], ED25519), groups)


def signed(parse):
    return lambda data, w: parse(data).verify(bytes.fromhex(w["key"]), "the key")


def signature(data, w):
    require(ed25519.verify(bytes.fromhex(w["key"]), bytes.fromhex(w["message"]), data), "the signature does not verify")


def hashes(w):
    return [base64_bytes(h, "a hash") for h in w.get("proof", [])]


def ticket(data, w):
    verify_ticket(parse_ticket(data), bytes.fromhex(w["key"]))


def proof(data, w):
    parse_proof(data).verify(policy_of(w["policy"]), w["role"])


def inclusion(data, w):
    tree.check_inclusion(data, w.get("index", 0), w["size"], bytes.fromhex(w["root"]), hashes(w))


def consistency(data, w):
    tree.check_consistency(w["old_size"], data, w["size"], bytes.fromhex(w["root"]), hashes(w))


def encryption_key(data, w):
    parsed = parse_encryption_key(data)
    require(parsed.recipient == w["recipient"], "the encryption key is of another member")
    parsed.verify(bytes.fromhex(w["key"]), w["recipient"])
    at = times.parse(w["at"])
    require(parsed.not_before - 300 <= at < parsed.not_after, "the encryption key is not valid now")


def chain(data, w):
    verify_chain([w["old"].encode(), data], governance(w))


def log(data, w):
    """A log in a folder, under one roster."""
    trusted = governance(w)
    roster = verify(w["old"].encode(), trusted)
    keys = {k: bytes.fromhex(v) for k, v in w.get("keys", {}).items()}
    found = Log(data.decode(), roster, keys)
    require(not keys or len(found.opened) + found.erased == found.checkpoint.size, "an entry was not opened")
    found.counters()
    found.evidence(trusted)
    found.seen([roster])
    declared(found, [roster])


def governance(w):
    return parse_governance(w["governance"].encode())


CHECKS = {
    "ed25519": signature, "ticket": ticket, "receipt": signed(parse_receipt), "statement": signed(parse_statement),
    "encryption_key": encryption_key, "chain": chain, "log": log, "envelope": lambda data, w: parse_envelope(data),
    "candidates": lambda data, w: parse_candidates(data), "body": lambda data, w: parse_body(data),
    "entry": lambda data, w: entry_of(parse_json(data, "the entry", 524288)), "proof": proof, "inclusion": inclusion,
    "consistency": consistency, "checkpoint": lambda data, w: open_checkpoint(data, policy_of(w["policy"])),
    "roster": lambda data, w: verify(data, governance(w)),
    "evidence": lambda data, w: parse_evidence(data).verify(governance(w)),
}


def judge(line):
    try:
        data = line["text"].encode() if "text" in line else base64_bytes(line.get("data", ""), "the data")
        CHECKS[line["check"]](data, line.get("with", {}))
        return {"ok": True}
    except Refused as refusal:
        return {"ok": False, "why": str(refusal)}
