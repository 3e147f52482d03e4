"""Merkle trees (RFC 6962, section 2.1) and their tiles (C2SP tlog-tiles)."""

import hashlib

from .refused import require

WIDTH = 256  # of a whole tile, of height 8


def leaf_hash(leaf):
    return hashlib.sha256(b"\0" + leaf).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def root_of(hashes):
    """The root over a list of hashes of leaves."""
    if not hashes:
        return hashlib.sha256().digest()
    peaks = []  # (number of leaves, hash), ever smaller
    for h in hashes:
        n = 1
        while peaks and peaks[-1][0] == n:
            n, h = 2 * n, node_hash(peaks.pop()[1], h)
        peaks.append((n, h))
    h = peaks.pop()[1]
    while peaks:
        h = node_hash(peaks.pop()[1], h)
    return h


def check_inclusion(leaf, index, size, root, proof):
    """RFC 9162, section 2.1.3.2."""
    require(len(leaf) == 64, "a leaf has 64 bytes")
    require(0 <= index < size, f"there is no leaf {index} among {size}")
    require(all(len(h) == 32 for h in proof), "a proof is a list of hashes")
    h, at, last, used = leaf_hash(leaf), index, size - 1, 0
    for p in proof:
        require(last > 0, "the proof is too long")
        if at & 1 or at == last:
            h = node_hash(p, h)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            h = node_hash(h, p)
        at, last = at >> 1, last >> 1
        used += 1
    require(last == 0 and h == root, f"the proof does not lead from leaf {index} to the root")


def check_consistency(old_size, old_root, size, root, proof):
    """RFC 9162, section 2.1.4.2: the smaller tree is how the larger one began."""
    require(0 < old_size <= size, "the trees are not in order")
    require(all(len(h) == 32 for h in proof), "a proof is a list of hashes")
    if old_size == size:
        require(not proof and old_root == root, "two trees of one size differ")
        return
    proof = list(proof)
    if old_size & (old_size - 1) == 0:
        proof.insert(0, old_root)
    require(proof, "the proof is too short")
    at, last = old_size - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = proof[0]
    for p in proof[1:]:
        require(last > 0, "the proof is too long")
        if at & 1 or at == last:
            old, new = node_hash(p, old), node_hash(p, new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, p)
        at, last = at >> 1, last >> 1
    require(last == 0 and old == old_root and new == root, "the proof does not lead from one tree to the other")


def object_path(kind, number, width):
    """The path of a tile or bundle: 1234067 is x001/x234/067."""
    groups = [f"{number % 1000:03}"]
    while number := number // 1000:
        groups.insert(0, f"x{number % 1000:03}")
    path = f"{kind}/" + "/".join(groups)
    return path if width == WIDTH else f"{path}.p/{width}"


def pieces(size):
    """Number and width of each tile over so many elements."""
    for n in range((size + WIDTH - 1) // WIDTH):
        yield n, min(WIDTH, size - n * WIDTH)
