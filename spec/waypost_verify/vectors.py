"""Every vector in spec/vectors, made anew or judged."""

import hashlib
import hmac
import json

from . import ledger, note, roster, signed, tree
from .batch import judge
from .encoding import base64_bytes
from .refused import Refused, require


def check(report, folder):
    """Adds to the report what each file says and does not hold."""
    for name, one in (("cases.json", cases), ("ledger.json", ledgers), ("signed.json", signatures), ("message.json", message)):
        vectors = json.loads((folder / name).read_text(encoding="utf-8"))
        checks = wrong = 0
        for outcome in one(vectors):
            checks += 1
            if outcome:
                wrong += 1
                report.refuse(f"{name}: {outcome}")
        report.say(f"{name}: {checks} checks", file=name, checks=checks, refused=wrong)
    rosters(report, folder)


# Each check yields None, or why a vector does not hold.

def same(what, made, want):
    return None if made == want else f"{what} is another than the vector says"


def holds(what, check, *args):
    try:
        check(*args)
    except Refused as refusal:
        return f"{what}: {refusal}"
    return None


def refuses(what, check, *args):
    return None if holds(what, check, *args) else f"{what} was accepted"


def cases(vectors):
    for case in vectors["cases"]:
        verdict = judge(case)
        yield None if verdict["ok"] == case["ok"] else f"{case['name']}: {verdict.get('why', 'was accepted')}"


# ledger.json

def ledgers(v):
    for e in v["entries"]:
        yield from entry(e)
    yield from log(v["log"])
    for r in v["roots"]:
        hashes = [tree.leaf_hash(hashlib.sha512(i.to_bytes(8, "big")).digest()) for i in range(r["size"])]
        yield same(f"the root of {r['size']} leaves", tree.root_of(hashes), base64_bytes(r["root"], "a root"))


def entry(e):
    raw = {n: bytes.fromhex(e[n]) for n in ("ticket", "tau", "salt", "leaf", "key_id", "key", "blob", "commitment", "tag")}
    made = ledger.Entry(e["kind"], e["ordinal"], e["at"], raw["ticket"], raw["tau"], raw["salt"], e["body"].encode())
    yield same("a commitment", made.commitment, raw["commitment"])
    yield same("a tag", ledger.tag(made.tau, e["role"], e["origin"], e["kind"], e["ordinal"]), raw["tag"])
    yield same("a leaf", made.leaf(e["role"], e["origin"]), raw["leaf"])
    where = (e["role"], e["origin"], e["index"], raw["leaf"])
    yield same("a sealed entry", ledger.open_sealed(raw["blob"], raw["key_id"], raw["key"], *where), made)
    yield refuses("another key", ledger.open_sealed, raw["blob"], raw["key_id"], bytes(32), *where)
    yield refuses("another index", ledger.open_sealed, raw["blob"], raw["key_id"], raw["key"], *where[:2], e["index"] ^ 1, raw["leaf"])
    altered = raw["blob"][:-1] + bytes([raw["blob"][-1] ^ 1])
    yield refuses("an altered entry", ledger.open_sealed, altered, raw["key_id"], raw["key"], *where)


def log(v):
    leaves = ledger.split_leaves(bytes.fromhex(v["bundle"]), 3, "the bundle")
    hashes = [tree.leaf_hash(leaf) for leaf in leaves]
    yield same("a tile", b"".join(hashes), bytes.fromhex(v["tile"]))
    blobs = ledger.split_sealed(bytes.fromhex(v["sealed"]), 3, "the sealed bundle")
    yield same("an erased entry", [len(b) > 0 for b in blobs], [True, False, True])
    seed = bytes.fromhex(v["seed"])
    key = note.parse_key(v["vkey"], note.ED25519)
    groups = [note.Group(g["name"], g["need"], [note.parse_key(w["vkey"], note.COSIGNATURE) for w in v["witnesses"] if w["group"] == g["name"]])
              for g in v["groups"]]
    policy = note.Policy(key, groups)
    yield same("the name of the log", key.name, v["origin"])
    yield same("the length of a seed", len(seed), 32)
    cp = note.open_checkpoint(v["checkpoint"].encode(), policy)
    yield same("the time of the cosignatures", cp.cosigned, v["cosigned"])
    yield same("the root", tree.root_of(hashes), cp.root)
    for i in v["inclusion"]:
        proof = [base64_bytes(h, "a hash") for h in i["proof"]]
        yield holds(f"leaf {i['index']}", tree.check_inclusion, leaves[i["index"]], i["index"], cp.size, cp.root, proof)
    c = v["consistency"]
    proof = [base64_bytes(h, "a hash") for h in c["proof"]]
    yield holds("consistency", tree.check_consistency, c["old_size"], base64_bytes(c["old_root"], "a root"), cp.size, cp.root, proof)
    for r in v["refused"]:
        yield refuses(r["why"], note.open_checkpoint, r["checkpoint"].encode(), policy)
    shown = ledger.parse_proof(json.dumps(v["proof"], ensure_ascii=False).encode())
    yield holds("the proof", shown.verify, policy, "keyholder")
    yield refuses("the proof of another role", shown.verify, policy, "hub")


# signed.json

def signatures(v):
    key = bytes.fromhex(v["public_key"])
    for t in v["tickets"]:
        parsed = signed.parse_ticket(bytes.fromhex(t["wire"]))
        yield same("the id of a ticket", parsed.id.hex(), t["id"])
        yield holds("a ticket", parsed.verify, key, "the key")
        for name in ("kind", "roster_version", "epoch", "environment", "soi", "class", "purpose", "elements"):
            yield same(f"the {name} of a ticket", parsed.fields[name], t[name])
        yield same("the time of a ticket", parsed.issued_ms, t["issued_at_ms"])
        yield same("the cited ticket", parsed.cites.hex(), t["cites"])
    for r in v["receipts"]:
        parsed = signed.parse_receipt(bytes.fromhex(r["wire"]))
        yield holds("a receipt", parsed.verify, key, "the key")
        for name in ("action", "signer", "epoch", "origin", "sequence", "deadline"):
            yield same(f"the {name} of a receipt", parsed.fields[name], r[name])
        for name in ("ticket", "outputs", "proof"):
            yield same(f"the {name} of a receipt", parsed.fields[name].hex(), r[name])
    for c in v["candidates"]:
        parsed = signed.parse_candidates(bytes.fromhex(c["wire"]))
        yield same("the candidates", [(ref.hex(), owner) for ref, owner in parsed["list"]], [(x["reference"], x["owner"]) for x in c["list"]])
    yield from hashes(v)


def hashes(v):
    elements = bytes.fromhex(v["elements"])
    yield same("the hash of the elements", signed.sha256(b"waypost blinded probes v1\n", elements).hex(), v["probes"])
    case = signed.sha256(b"waypost case reference v1\n", bytes.fromhex(v["case_salt"]), v["case_reference"].encode())
    yield same("the case", case.hex(), v["case"])
    searched = signed.sha256(b"waypost searched tokens v1\n", bytes.fromhex(v["tokens"]["searched"]))
    yield same("the hash of the tokens", searched.hex(), v["tokens"]["hash"])
    t = v["token"]
    token = signed.sha256(b"waypost token", t["epoch"].to_bytes(4, "big"), bytes.fromhex(t["output"]))
    yield same("a token", token.hex(), t["token"])
    made = hmac.new(token, b"waypost tag v1\n" + bytes.fromhex(t["ticket"]), hashlib.sha256).digest()[:16]
    yield same("a tag", made.hex(), t["tag"])


# message.json

def message(v):
    raw = {n: bytes.fromhex(v[n]) for n in ("sealed", "plain", "statement", "encryption_key", "recipient_identity", "sender_identity")}
    envelope = signed.parse_envelope(raw["sealed"])
    yield same("the recipient", envelope["recipient"], v["recipient"])
    yield same("the message id", envelope["message"].hex(), v["id"])
    yield same("the expiry", envelope["expiry"], v["expiry"])
    yield same("the size", envelope["size"], v["size"])
    key = signed.parse_encryption_key(raw["encryption_key"])
    yield holds("the encryption key", key.verify, raw["recipient_identity"], v["recipient"])
    yield same("the id of the key", (key.key_id, envelope["key_id"]), (bytes.fromhex(v["key_id"]),) * 2)
    statement = signed.parse_plain(envelope, raw["plain"] + bytes(v["size"] - len(raw["plain"])))
    yield same("the statement", statement.payload + statement.signature, raw["statement"])
    yield holds("the statement", statement.verify, raw["sender_identity"], v["sender"])
    for name in ("sender", "type", "roster_version"):
        yield same(f"the {name}", statement.fields[name], v[name])
    for name in ("ticket", "body"):
        yield same(f"the {name}", statement.fields[name].hex(), v[name])
    yield refuses("padding that is not zero", signed.parse_plain, envelope, raw["plain"] + b"\1" * (v["size"] - len(raw["plain"])))


def rosters(report, folder):
    raw = (folder / "roster.note").read_bytes()
    own = roster.Roster(raw[:raw.rindex(b"\n\n") + 1])
    report.attempt("roster.note", roster.verify, raw, own.governance)
    report.attempt("roster.hash", require, own.hash.hex() == (folder / "roster.hash").read_text().strip(), "the hash is another")
    report.say("roster.note: 2 checks", file="roster.note", checks=2)
