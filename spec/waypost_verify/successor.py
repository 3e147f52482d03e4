"""Logs that were closed for a restore, by what their successors say: spec/ledger.md."""

import re
from dataclasses import dataclass

from . import times
from .encoding import base64_bytes, fields, hex_bytes, parse_json
from .ledger import MAX_BODY, entry_of
from .note import MAX_SIZE, open_checkpoint
from .refused import Refused, require

AMONG = 32               # leaves of a successor that may be such entries
MAX_DECLARED = 32 << 10  # bytes of a checkpoint in one
NUMBER = re.compile(r"(0|[1-9][0-9]{0,14})\Z", re.ASCII)
INSTANCE = re.compile(r"[1-9][0-9]{0,2}\Z", re.ASCII)


@dataclass(frozen=True)
class Closure:
    """What a log says of one of the same member that it succeeds."""
    predecessor: str
    seen: tuple      # size and root of the largest tree that anybody knew
    restored: tuple  # of what came back
    at: int          # Unix seconds
    place: str       # where it is said

    @property
    def lost(self):
        return max(0, self.seen[0] - self.restored[0])

    def check(self, checkpoint, whose):
        """Refuses a checkpoint of the closed log that is not of what was seen of it."""
        require(checkpoint.size <= self.seen[0],
                f"{whose} has a checkpoint of {checkpoint.size} leaves of {self.predecessor}, of which {self.place} says that {self.seen[0]} were seen")
        for what, tree in (("were seen", self.seen), ("came back", self.restored)):
            require((checkpoint.size != tree[0]) or checkpoint.root == tree[1],
                    f"{whose} has another tree of {tree[0]} leaves of {self.predecessor} than {self.place} says {what}")


def declared(log, rosters):
    """The closures that a log publishes, by the instance of the closed log."""
    found, own = {}, log.origin.split("/")[-1]
    for path in log.files("successor"):
        where = path.relative_to(log.folder).as_posix()
        require(where == f"successor/{path.name}" and INSTANCE.match(path.name) and path.name != own, f"{where} is about no log")
        found[path.name] = one(log, rosters, path.name)
    return found


def one(log, rosters, instance):
    path = f"successor/{instance}"
    entry = entry_of(parse_json(log.read(path, 2 * MAX_BODY), path, 2 * MAX_BODY))
    require(entry.kind == "successor" and entry.ordinal == 0 and entry.ticket == bytes(32), f"{path} is no entry of a successor")
    predecessor, seen, seen_root, restored, restored_root, checkpoint = fields(
        parse_json(entry.body, path, MAX_BODY), ("predecessor", "seen", "seen_root", "restored", "restored_root", "checkpoint"), path)
    checkpoint = base64_bytes(checkpoint, f"the checkpoint in {path}")
    seen, restored = size_and_root(seen, seen_root, path), size_and_root(restored, restored_root, path)
    require(len(checkpoint) <= MAX_DECLARED, f"the checkpoint in {path} is too long")
    require(predecessor == log.origin[:log.origin.rindex("/") + 1] + instance, f"{path} is about another log")
    confirm(rosters, log.member, predecessor, seen, checkpoint, entry.at)
    leaf = entry.leaf(log.role, log.origin)
    require(leaf in log.leaves[:AMONG], f"{path} is none of the first entries of the log")
    return Closure(predecessor, seen, restored, entry.at, "/".join(log.origin.split("/")[-2:]) + f":{log.leaves.index(leaf)}")


def size_and_root(size, root, path):
    require(NUMBER.match(size) and int(size) <= MAX_SIZE, f"a size in {path} is out of range")
    return int(size), hex_bytes(root, 32, f"a root in {path}")


def confirm(rosters, member, origin, seen, checkpoint, at):
    """The tree seen was cosigned as the newest roster asks, or one that was good on the
    day of the declaration: nobody cosigns it again."""
    if seen[0] == 0 and not checkpoint:
        return
    last = None
    for roster in reversed(rosters):
        begins, ends = times.parse(roster.value["not_before"]), times.parse(roster.value["not_after"])
        if member not in roster.members or last and not begins <= at <= ends:
            continue
        try:
            found = open_checkpoint(checkpoint, roster.policy(member, origin))
            require((found.size, found.root) == seen, "the checkpoint is of another tree than is said to have been seen")
            return
        except Refused as refusal:
            last = last or refusal
    raise last or Refused(f"no roster has {member}")
