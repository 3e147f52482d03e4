"""A published log from nothing: every bundle, every tile, the root, the
signatures, and what else lies in its folder."""

import datetime
import pathlib

from . import tree
from .encoding import parse_json
from .evidence import MAX_EVIDENCE, parse_evidence
from .ledger import MAX_BLOB, MAX_BODY, entry_of, open_sealed, split_leaves, split_sealed
from .note import MAX_CHECKPOINT, Checkpoint, open_checkpoint
from .refused import Refused, require
from .signed import owner_of


class Log:
    """A log in a folder, verified against its checkpoint."""

    def __init__(self, folder, roster, keys=None, named=False, closure=None):
        """Named: the folder is log/<member>/<instance>. With a closure, what a successor
        says of the log, it may be what came back of it, without a checkpoint."""
        self.folder, self.keys = pathlib.Path(folder), keys or {}
        parted = closure and not (self.folder / "checkpoint").exists()
        raw = closure.predecessor.encode() if parted else self.read("checkpoint", MAX_CHECKPOINT)
        self.member, self.origin = owner_of(raw), raw.split(b"\n")[0].decode()
        require(not named or self.folder.parts[-2:] == tuple(self.origin.split("/")[-2:]), f"it holds {self.origin}")
        require(self.member in roster.members, f"{self.member} is not in roster version {roster.version}")
        self.role = roster.members[self.member]["role"]
        self.checkpoint = (Checkpoint(self.origin, *closure.restored, 0, b"") if parted
                           else open_checkpoint(raw, roster.policy(self.member, self.origin)))
        self.leaves = self.read_leaves()
        self.hashes = [tree.leaf_hash(leaf) for leaf in self.leaves]
        self.check_tiles()
        self.erased, self.opened = self.read_sealed()

    def read(self, path, limit):
        """An object of at most so many bytes."""
        try:
            with open(self.folder / path, "rb") as f:
                raw = f.read(limit + 1)
        except OSError:
            raise Refused(f"{path} cannot be read") from None
        require(len(raw) <= limit, f"{path} has more than {limit} bytes")
        return raw

    def pieces(self, kind, size, unit):
        """Each tile or bundle of a kind: first element, width, path, bytes. Where
        a partial one has gone, the beginning of the whole one does."""
        for n, width in tree.pieces(size):
            path, whole = tree.object_path(kind, n, width), tree.object_path(kind, n, tree.WIDTH)
            if width < tree.WIDTH and not (self.folder / path).exists() and (self.folder / whole).exists():
                yield n * tree.WIDTH, width, whole, self.read(whole, tree.WIDTH * unit)
            else:
                yield n * tree.WIDTH, width, path, self.read(path, width * unit)

    def read_leaves(self):
        leaves = []
        for _, width, path, raw in self.pieces("tile/entries", self.checkpoint.size, 66):
            found = split_leaves(raw, len(raw) // 66, path)
            require(len(found) >= width, f"{path} is cut short")
            leaves += found[:width]
        return leaves

    def check_tiles(self):
        """The tiles of each level are those of the level below, and end in the root."""
        level, hashes = 0, self.hashes
        while hashes:
            above = []
            for first, width, path, raw in self.pieces(f"tile/{level}", len(hashes), 32):
                made = hashes[first:first + width]
                if raw[:32 * width] != b"".join(made) or len(raw) not in (32 * width, 32 * tree.WIDTH):
                    wrong = next((i for i, h in enumerate(made) if raw[32 * i:32 * i + 32] != h), width - 1)
                    raise Refused(f"{path} is not made of what lies below it, at {first + wrong}")
                if width == tree.WIDTH:
                    above.append(tree.root_of(made))
            level, hashes = level + 1, above
        require(tree.root_of(self.hashes) == self.checkpoint.root, "the leaves do not make the root of the checkpoint")

    def read_sealed(self):
        """How many entries are erased, and those that the data keys given open."""
        erased, opened = 0, {}
        for first, width, path, raw in self.pieces("sealed", self.checkpoint.size, 4 + MAX_BLOB):
            whole = tree.WIDTH if not path.endswith(f".p/{width}") else width
            for i, blob in enumerate(split_sealed(raw, whole, path)[:width]):
                index = first + i
                if not blob:
                    erased += 1
                    continue
                name = blob[:8].hex()
                require((self.folder / "keys" / name).is_file(), f"the data key {name} of entry {index} is missing")
                if name in self.keys:
                    opened[index] = open_sealed(blob, blob[:8], self.keys[name], self.role, self.origin, index, self.leaves[index])
        return erased, opened

    def begins_with(self, other, whose):
        """Refuses unless another checkpoint of this log is one that it has had."""
        if other.size <= self.checkpoint.size:
            require(tree.root_of(self.hashes[:other.size]) == other.root,
                    f"{whose} has a checkpoint of {self.origin} at {other.size} leaves that this log never had")
        return other.size - self.checkpoint.size

    def files(self, kind):
        folder = self.folder / kind
        return sorted(p for p in folder.rglob("*") if p.is_file()) if folder.is_dir() else []

    def counters(self):
        """The daily entries that are public; each must be a leaf."""
        days, leaves = [], set(self.leaves)
        for path in self.files("counters"):
            entry = entry_of(parse_json(self.read(path.relative_to(self.folder), 2 * MAX_BODY), f"counters/{path.name}", 2 * MAX_BODY))
            require(entry.kind == "daily" and entry.leaf(self.role, self.origin) in leaves,
                    f"counters/{path.name} is no entry of the log")
            require(parse_json(entry.body, "a body", MAX_BODY).get("day") == path.name == iso_day(path.name),
                    f"counters/{path.name} is about another day")
            days.append(path.name)
        return days

    def evidence(self, governance):
        """The evidence that the member shows against others, verified."""
        shown = []
        for path in self.files("evidence"):
            evidence = parse_evidence(self.read(path.relative_to(self.folder), MAX_EVIDENCE))
            require(path.name == f"{evidence.id}.json", f"evidence/{path.name} has another id")
            evidence.verify(governance)
            shown.append(evidence)
        return shown

    def seen(self, rosters):
        """The checkpoints of other logs that the member says it verified."""
        found = {}
        for path in self.files("seen"):
            raw = self.read(path.relative_to(self.folder), MAX_CHECKPOINT)
            origin, member = raw.split(b"\n")[0].decode("utf-8", "replace"), owner_of(raw)
            require(path.parts[-2:] == tuple(origin.split("/")[-2:]), f"seen/{path.name} is of another log")
            found[origin] = any_roster(rosters, lambda r: open_checkpoint(raw, r.policy(member, origin)), member)
        return found


def iso_day(text):
    try:
        return datetime.date.fromisoformat(text).isoformat()
    except ValueError:
        return None


def any_roster(rosters, verify, *members):
    """What verifies under the newest roster that has the members, or else before."""
    last = Refused("no roster has " + " and ".join(members))
    for roster in reversed(rosters):
        if all(m in roster.members for m in members):
            try:
                return verify(roster)
            except Refused as refusal:
                last = refusal
    raise last
