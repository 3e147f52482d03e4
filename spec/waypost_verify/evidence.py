"""Evidence that a member did what it must not do: spec/ledger.md, "Receipts and
evidence". It is judged offline, from itself and the governance that is trusted."""

import hashlib
from dataclasses import dataclass

from . import tree
from .encoding import base64_bytes, format_json, parse_json, prefixed
from .ledger import tag
from .note import Group, Policy, open_checkpoint, open_note
from .refused import Refused, require
from .roster import MAX_NOTE, verify_chain
from .signed import check_place, owner_of, parse_receipt, parse_ticket, role_of, verify_ticket

MAX_EVIDENCE = 16 << 20
NAMES = ("type", "claim", "member", "roster", "ticket", "receipt", "checkpoint", "leaf", "proof", "other", "prefix")


@dataclass(frozen=True)
class Evidence:
    claim: str
    member: str
    rosters: list
    ticket: bytes
    receipt: bytes
    checkpoint: bytes
    leaf: bytes
    proof: list
    other: bytes
    prefix: bytes

    @property
    def id(self):
        subject = self.receipt if self.claim == "receipt_without_leaf" else self.checkpoint.split(b"\n")[0]
        return hashlib.sha256(prefixed("waypost evidence id v1", self.claim, self.member, subject)).digest()[:16].hex()

    def verify(self, trusted):
        """Refuses unless the evidence shows what it claims."""
        rosters = open_rosters(self.rosters, trusted)
        require(all(len(h) == 32 for h in self.proof), "the proof is not a list of hashes")
        {"receipt_without_leaf": without_leaf, "fork": fork, "rollback": rollback}[self.claim](self, rosters)


def parse_evidence(raw):
    value = parse_json(raw, "the evidence", MAX_EVIDENCE)
    require(isinstance(value, dict), "the evidence is not a JSON object")
    wanted = [n for n in NAMES if n in value or n not in ("other", "prefix")]
    require(list(value) == wanted and all(value.get(n, "x") for n in ("other", "prefix")),
            "the evidence has other fields, or in another order")
    lists = ("roster", "proof")
    require(all(isinstance(value[n], list if n in lists else str) for n in wanted), "a field of the evidence is of another type")
    require(format_json(value) == raw, "the evidence is not canonical")
    require(value["type"] == "waypost evidence v1", "this is not waypost evidence v1")
    require(value["claim"] in ("receipt_without_leaf", "fork", "rollback"), "the claim is not one that is known here")
    require(len(value["proof"]) <= 64 and len(value["roster"]) <= 64, "the evidence is longer than any can be")
    ticket, receipt, leaf, prefix = (base64_bytes(value.get(n, ""), n) for n in ("ticket", "receipt", "leaf", "prefix"))
    rosters, proof = ([base64_bytes(one, n) for one in value[n]] for n in lists)
    return Evidence(value["claim"], value["member"], rosters, ticket, receipt, value["checkpoint"].encode(), leaf, proof,
                    value.get("other", "").encode(), prefix)


def open_rosters(signed, trusted):
    """The rosters of the evidence, which carry no signature that does not count."""
    require(all(len(s) <= MAX_NOTE for s in signed), "a roster is too long")
    rosters = verify_chain(signed, trusted, rules=False)
    keys = trusted.keys
    for raw, roster in zip(signed, rosters):
        require(open_note(raw, keys + roster.governance.keys).trimmed == raw,
                f"roster version {roster.version} carries signatures that prove nothing")
        keys = roster.governance.keys
    return rosters


def only(evidence, *names):
    """Evidence says nothing beside its claim."""
    extra = {"ticket", "receipt", "leaf", "proof", "other", "prefix"} - set(names)
    require(not any(getattr(evidence, n) for n in extra), "the evidence says something beside its claim")


def counting(checkpoint, raw):
    require(checkpoint.trimmed == raw, "a checkpoint carries signatures that prove nothing")
    return checkpoint


def without_leaf(e, rosters):
    only(e, "ticket", "receipt", "leaf", "proof")
    ticket, receipt = parse_ticket(e.ticket), parse_receipt(e.receipt)
    role = role_of(receipt)
    require(receipt.ticket == ticket.id, "the receipt is for another ticket")
    check_place(receipt)
    named = next((r for r in rosters if r.version == ticket.roster_version), None)
    require(named, f"the evidence does not bring roster version {ticket.roster_version}")
    verify_promise(ticket, receipt, named)
    require(e.member == receipt.signer, "the receipt is of another member")
    newest = next((r for r in reversed(rosters) if e.member in r.members), None)
    require(newest, f"{e.member} is in none of the rosters")
    policy = newest.policy(e.member, receipt.origin)
    cp = counting(open_checkpoint(e.checkpoint, policy), e.checkpoint)
    if cp.size > receipt.sequence:
        tree.check_inclusion(e.leaf, receipt.sequence, cp.size, cp.root, e.proof)
        promised = tag(ticket.tau, role, receipt.origin, receipt.action, 0)
        require(e.leaf[:32] != promised, f"leaf {receipt.sequence} is the one that was promised")
        return
    only(e, "ticket", "receipt")
    require(cp.cosigned > receipt.deadline + 30, f"leaf {receipt.sequence} was not due yet")
    require(policy.decisive, "under this roster two sets of witnesses can do without each other")


def verify_promise(ticket, receipt, roster):
    """Ticket and receipt are signed by members of the roster, in their roles."""
    soi, signer = roster.members.get(ticket.soi, {}), roster.members.get(receipt.signer, {})
    require(soi.get("role") == "gateway", f"the ticket's state is not in roster version {roster.version}")
    require(ticket.environment == roster.environment, "the ticket is for another environment than the roster")
    verify_ticket(ticket, roster.key(ticket.soi))
    require(signer.get("role") == role_of(receipt), f"the receipt's signer has no such role in roster version {roster.version}")
    receipt.verify(roster.key(receipt.signer), receipt.signer)


def signed_by(rosters, member, raw, witness=None):
    """A checkpoint by the log key that any of the rosters gives the member."""
    origin = raw.split(b"\n")[0].decode()
    last = Refused(f"{member[:80]!r} is in none of the rosters")
    groups = [Group("witnesses", 1, [witness])] if witness else []
    for roster in (r for r in rosters if member in r.members):
        try:
            return counting(open_checkpoint(raw, Policy(roster.log_key(member, origin), groups)), raw)
        except Refused as e:
            last = e
    raise last


def fork(e, rosters):
    only(e, "proof", "other", "prefix")
    newer, older = signed_by(rosters, e.member, e.checkpoint), signed_by(rosters, e.member, e.other)
    require(newer.origin == older.origin, "the checkpoints are of two logs")
    require(0 < older.size <= newer.size, "the checkpoints are not in order")
    if older.size == newer.size:
        only(e, "other")
        require(older.root != newer.root, "the checkpoints do not contradict each other")
        return
    require(len(e.prefix) == 32 and e.prefix != older.root, "the checkpoints do not contradict each other")
    tree.check_consistency(older.size, e.prefix, newer.size, newer.root, e.proof)


def rollback(e, rosters):
    only(e, "other")
    owner = owner_of(e.checkpoint)
    last = Refused(f"{e.member[:80]!r} names no witness of the rosters")
    for roster in rosters:
        for witness in (k for who, k in sum(roster.witnesses(), []) if who == e.member):
            try:
                after, before = (signed_by(rosters, owner, raw, witness) for raw in (e.checkpoint, e.other))
                require(after.origin == before.origin and after.size < before.size and after.cosigned > before.cosigned,
                        "the cosignatures are in order")
                return
            except Refused as refusal:
                last = refusal
    raise last
