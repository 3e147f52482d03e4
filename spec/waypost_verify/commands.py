"""The commands of verify.py."""

import json
import pathlib
import sys

from . import batch, vectors
from .encoding import base64_bytes, hex_bytes, parse_json
from .evidence import MAX_EVIDENCE, parse_evidence, verify_promise
from .ledger import MAX_PROOF, parse_proof, tag
from .log import Log, any_roster
from .refused import Refused, require
from .roster import parse_governance, verify_chain
from .signed import check_place, parse_receipt, parse_ticket, role_of
from .successor import declared
from .times import show
from .tree import root_of


class Report:
    """What was looked at, line by line, and what does not hold."""

    def __init__(self):
        self.lines, self.refused, self.items = [], [], []

    def say(self, line, **item):
        self.lines.append(line)
        self.items.append(item)

    def refuse(self, line):
        self.refused.append(line)
        return self

    def attempt(self, what, check, *args):
        """Notes a refusal instead of ending with it."""
        try:
            return check(*args)
        except Refused as refusal:
            self.refuse(f"{what}: {refusal}")
        except OSError as error:
            self.refuse(f"{what}: {error.strerror}")

    @property
    def good(self):
        return not self.refused

    def words(self):
        ending = "Everything holds." if self.good else f"{len(self.refused)} REFUSED."
        return "\n".join(self.lines + ["REFUSED " + r for r in self.refused] + [ending])

    def json(self):
        return {"ok": self.good, "verified": self.items, "refused": self.refused}


def trusted(args):
    governance = parse_governance(args.governance.read_bytes())
    return governance, verify_chain([p.read_bytes() for p in args.roster], governance)


def describe(report, path, log, days):
    cp = log.checkpoint
    erased = f", {log.erased} erased" if log.erased else ""
    opened = f", {len(log.opened)} opened" if log.opened else ""
    ends = f"cosigned {show(cp.cosigned)}" if cp.cosigned else "closed for a restore"
    report.say(f"{path}: {cp.size} leaves of {cp.origin}{erased}{opened}, {ends}",
               path=str(path), origin=cp.origin, leaves=cp.size, erased=log.erased, opened=len(log.opened),
               cosigned=cp.cosigned, counters=days)


def log(args):
    report, (governance, rosters) = Report(), trusted(args)
    keys = parse_json(args.keys.read_bytes(), "the data keys", 1 << 20) if args.keys else {}
    keys = {hex_bytes(k, 8, "the id of a data key").hex(): hex_bytes(v, 32, "a data key") for k, v in keys.items()}
    found = Log(args.paths[0], rosters[-1], keys)
    describe(report, args.paths[0], found, found.counters())
    closes(report, found, rosters, {})
    follow(report, args.paths[0], found, governance, rosters, {}, {})
    return report


def closes(report, found, rosters, closed):
    """Notes the logs of the same member that this one says were closed for a restore."""
    for closure in (report.attempt(found.folder, declared, found, rosters) or {}).values():
        before = closed.setdefault(closure.predecessor, closure)
        if before != closure:
            report.refuse(f"{found.folder}: {closure.predecessor} has two successors: {before.place} and {closure.place}")
        elif not any(item.get("closed") == closure.predecessor for item in report.items):
            report.say(f"{closure.place}: {closure.predecessor} was closed for a restore {show(closure.at)}; {closure.seen[0]} leaves had been seen, {closure.restored[0]} came back",
                       closed=closure.predecessor, successor=closure.place, seen=closure.seen[0], restored=closure.restored[0], lost=closure.lost)


def follow(report, path, found, governance, rosters, logs, closed):
    """What the member shows about others: checkpoints and evidence."""
    for evidence in report.attempt(path, found.evidence, governance) or []:
        report.say(f"{path}: shows that {evidence.member} is guilty of {evidence.claim}", evidence=evidence.id, member=evidence.member)
    for origin, checkpoint in (report.attempt(path, found.seen, rosters) or {}).items():
        if origin in closed:
            report.attempt(path, closed[origin].check, checkpoint, str(path))
        for other in logs.get(origin, []):
            report.attempt(path, other.begins_with, checkpoint, found.origin)


def ledgers(args):
    """Every <role>/log/<member>/<instance>; copies of one log must agree."""
    report, root = Report(), args.paths[0]
    args.governance = args.governance or root / "hub" / "governance.json"
    args.roster = args.roster or sorted((root / "hub" / "roster").glob("*"))
    governance, rosters = trusted(args)
    report.say(f"roster version {rosters[-1].version}, from {args.governance}", roster=rosters[-1].version)
    logs, closed, folders = {}, {}, newest_first(root)
    for folder in folders:
        closure = next((c for c in closed.values() if c.predecessor.split("/")[-2:] == list(folder.parts[-2:])), None)
        if not closure and not (folder / "checkpoint").exists():
            continue  # nothing is published there, and nobody says that it was
        found = report.attempt(folder, one_log, folder, rosters, closure)
        if found:
            describe(report, folder, found, report.attempt(folder, found.counters))
            closes(report, found, rosters, closed)
            logs.setdefault(found.origin, []).append(found)
    for copies in logs.values():
        for one in copies:
            for other in copies:
                report.attempt(one.folder, one.begins_with, other.checkpoint, str(other.folder))
            follow(report, one.folder, one, governance, rosters, logs, closed)
    require(logs or not report.good, f"there is no log below {root}")
    missing = set(rosters[-1].members) - {found.member for copies in logs.values() for found in copies}
    for member in sorted(missing):
        report.refuse(f"{member} is in the roster and has no log below {root} that verifies")
    return report


def newest_first(root):
    """The folders of logs; what a log says of those before it is read before them."""
    found = (p for p in root.glob("*/log/*/*") if p.is_dir() and p.name.isdecimal())
    return sorted(found, key=lambda p: (-int(p.name), p))


def one_log(folder, rosters, closure):
    """A log; one that was closed is signed no more, and good under a roster of its time."""
    if not closure:
        return Log(folder, rosters[-1], None, True)
    found = any_roster(rosters, lambda r: Log(folder, r, None, True, closure), folder.parts[-2])
    closure.check(found.checkpoint, str(folder))
    size, root = closure.restored
    require(size > len(found.hashes) or root_of(found.hashes[:size]) == root, f"its first {size} leaves are not those that {closure.place} says came back")
    return found


def wire(path):
    """A file with bytes, or with their hex or base64."""
    raw = path.read_bytes()
    if raw.startswith(b"waypost "):
        return raw
    text = raw.decode("ascii", "replace").strip()
    try:
        return bytes.fromhex(text)
    except ValueError:
        return base64_bytes(text, str(path))


def receipt(args):
    report, (_, rosters) = Report(), trusted(args)
    ticket = parse_ticket(wire(args.ticket)) if args.ticket else None
    found = Log(args.log, rosters[-1]) if args.log else None
    require(not found or ticket, "which leaf a receipt promises can only be told with its ticket")
    for path in args.paths:
        report.attempt(path, one_receipt, report, path, ticket, rosters, found)
    return report


def one_receipt(report, path, ticket, rosters, found):
    r = parse_receipt(wire(path))
    role = role_of(r)
    check_place(r)
    if ticket:
        require(r.ticket == ticket.id, "it is for another ticket")
        named = next((x for x in rosters if x.version == ticket.roster_version), None)
        require(named, f"roster version {ticket.roster_version}, which the ticket names, is not given")
        verify_promise(ticket, r, named)
    else:
        any_roster(rosters, lambda x: r.verify(x.key(r.signer), r.signer), r.signer)
    says = f"{path}: {r.signer} signed that {r.action} is leaf {r.sequence} of {r.origin} by {show(r.deadline)}"
    if found:
        require(found.origin == r.origin, f"its leaf must be in {r.origin}, not in {found.origin}")
        require(r.sequence < found.checkpoint.size, f"the log has {found.checkpoint.size} leaves, and not yet leaf {r.sequence}")
        require(found.leaves[r.sequence][:32] == tag(ticket.tau, role, r.origin, r.action, 0), f"leaf {r.sequence} is another than was promised")
        says += "; it is"
    report.say(says, path=str(path), signer=r.signer, action=r.action, origin=r.origin, sequence=r.sequence, leaf=bool(found))


def evidence(args):
    report, governance = Report(), parse_governance(args.governance.read_bytes())
    for path in args.paths:
        report.attempt(path, one_evidence, report, path, governance)
    return report


def one_evidence(report, path, governance):
    with open(path, "rb") as f:
        e = parse_evidence(f.read(MAX_EVIDENCE + 1))
    e.verify(governance)
    report.say(f"{path}: it is shown that {e.member} is guilty of {e.claim}", path=str(path), member=e.member, claim=e.claim, id=e.id)


def proof(args):
    report, (_, rosters) = Report(), trusted(args)
    for path in args.paths:
        report.attempt(path, one_proof, report, path, rosters)
    return report


def one_proof(report, path, rosters):
    with open(path, "rb") as f:
        p = parse_proof(f.read(MAX_PROOF + 1))
    parts = p.origin.split("/")
    member = parts[-2] if len(parts) > 1 else ""
    cp = any_roster(rosters, lambda r: p.verify(r.policy(member, p.origin), r.members[member]["role"]), member)
    report.say(f"{path}: an entry {p.entry.kind} of {show(p.entry.at)} is leaf {p.index} of {p.origin}, cosigned {show(cp.cosigned)}",
               path=str(path), origin=p.origin, index=p.index, kind=p.entry.kind)


def check_vectors(args):
    report = Report()
    vectors.check(report, pathlib.Path(__file__).parent.parent / "vectors")
    return report


def check_batch(_):
    for line in sys.stdin:
        print(json.dumps(batch.judge(json.loads(line))), flush=True)
    return Report()


COMMANDS = {"vectors": check_vectors, "log": log, "ledgers": ledgers, "receipt": receipt, "evidence": evidence, "proof": proof,
            "batch": check_batch}
