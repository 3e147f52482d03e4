"""May one version follow another: "Chain" in spec/roster.md."""

from . import times
from .refused import require
from .wellformed import spelled_out

DAY = 24 * 3600
DELAY = 3 * DAY


def in_force(member, at):
    return member is not None and "removed" not in member and since(member) <= at


def since(member):
    return times.parse(member["from"]) if "from" in member else 0


def follows(old, new):
    """Refuses unless new may follow old, whose version and hash it continues."""
    a, b, begins = old.value, new.value, new.begins
    require(a["environment"] == b["environment"], "the environment cannot change")
    require(begins >= old.begins, f"version {new.version} begins before version {old.version}")
    for name in ("revoked_before", "epoch"):
        require(b.get(name, 0) >= a.get(name, 0), f"{name} cannot fall")
    same = b.get("epoch") == a.get("epoch")
    require(not same or b.get("group_key") == a.get("group_key"), "the group key changes only with the epoch")
    had = {k["epoch"] for k in (a, a.get("beside")) if k and "epoch" in k}
    for key in (b, b.get("beside")):
        if key and "epoch" in key and key["epoch"] not in had and ("epoch" not in a or b["environment"] != "test"):
            require("ceremony" in key, "a key that comes names the ceremony that made it")
    if same:
        moved = sharing(old) != sharing(new)
        require(moved == (b.get("ceremony") != a.get("ceremony")) and ("ceremony" in b or not moved),
                "shares change with the ceremony that made them, and with nothing else")
    rotates(a, b, begins - old.begins)
    for name, m in new.members.items():
        before = old.members.get(name)
        if before is None:
            continue
        require(m["role"] == before["role"], f"{name} cannot change its role")
        if in_force(before, begins) and in_force(m, begins):
            require(since(m) == since(before), f"the time from which {name} is a member cannot change")
    for at in sorted(t for t in {begins} | moments(old) | moments(new) if begins <= t < begins + DELAY):
        grants_no_more(old, new, at)


def rotates(a, b, after):
    """A newer key comes beside the own one, becomes it, and what was the own one stays beside it for a day."""
    was, now = a.get("beside"), b.get("beside")
    waits = was is not None and was["epoch"] > a["epoch"]
    if "epoch" not in a:
        return
    if b.get("epoch") != a.get("epoch"):
        require(was is None or waits and (b["epoch"], b["group_key"]) == (was["epoch"], was["group_key"]),
                "the next key is the one that is served beside the own one")
        require(now is None or (now["epoch"], now["group_key"]) == (a["epoch"], a["group_key"]),
                "beside a key that has just come stays the one before it")
        require(was is not None and now is not None or all(m.get("participation") != "full" for m in b["members"]),
                "a key comes beside the own one first and the one before stays, or no state is full")
        return
    require(was is None or waits or now is not None or after >= DAY, "the key before goes a day later at the earliest")
    require(not waits or now is not None and now["epoch"] >= was["epoch"], "a key that waits can only come, or be given up for a newer one")
    if now is None:
        return
    same = was is not None and now["epoch"] == was["epoch"]
    require(not same or now["group_key"] == was["group_key"], "the group key of an epoch does not change")
    require(now["epoch"] > b["epoch"] or same, "a key that was over does not come back")
    require(now["epoch"] < b["epoch"] or was is None or waits, "a newer key comes when the one before is no longer served")


def sharing(roster):
    """Threshold and public shares."""
    return roster.value.get("threshold"), [h["public_share"] for h in roster.holders()]


def moments(roster):
    """When something changes by the clock; between two of them nothing does."""
    v = roster.value
    named = [m["from"] for m in v["members"] if "from" in m] + [m["rise"]["from"] for m in v["members"] if "rise" in m]
    named += [g[x] for g in v.get("grants", []) for x in ("from", "until")] + [a["from"] for a in v.get("announced", [])]
    return {times.parse(n) for n in named}


def due(roster, at):
    """What the roster has, and has announced for a time that has come."""
    return [roster.value] + [n for n in roster.value.get("announced", []) if times.parse(n["from"]) <= at]


def allows(member, at):
    """Quota and capabilities of a member at a time."""
    rise, quota, able = member.get("rise"), member.get("quota", {}), set(member.get("capabilities", []))
    if rise and times.parse(rise["from"]) <= at:
        quota, able = rise.get("quota", quota), able | set(rise.get("capabilities", []))
    return quota, able


def grants_no_more(old, new, at):
    """Refuses what new grants at the time and old does not."""
    def require_public(condition, what):
        require(condition, f"version {new.version} {what} within 72 hours")

    for name, m in new.members.items():
        if not in_force(m, at):
            continue
        before = old.members.get(name)
        require_public(in_force(before, at), f"adds {name}")
        require_public(keys_known(old, m, name, at), f"replaces a key of {name}")
        (quota, able), (had_quota, had_able) = allows(m, at), allows(before, at)
        require_public(able <= had_able, f"gives {name} a capability")
        had_quota = spelled_out(had_quota)
        require_public(all(n <= had_quota.get(what, 0) for what, n in spelled_out(quota).items()), f"raises a quota of {name}")
    for g in new.value.get("grants", []):
        if runs(g, at) and in_force(new.members[g["member"]], at):
            same = [h for h in old.value.get("grants", []) if runs(h, at) and in_force(old.members[h["member"]], at)
                    and all(h[x] == g[x] for x in ("member", "class", "from")) and h["extra"] >= g["extra"]]
            require_public(same, f"grants {g['member']} more")
    for content in due(new, at):
        if "epoch" not in old.value or content is new.value:  # the first key takes nothing from anybody; others below
            content = {k: v for k, v in content.items() if k not in ("threshold", "group_key")}
        content_known(due(old, at), content, require_public)
        for keys in content.get("keys", []):
            require_public(keys_known(old, keys, keys["member"], at), f"announces keys of {keys['member']}")
    for key in (new.value, new.value.get("beside")):
        if key and "epoch" in key and "epoch" in old.value:
            key_known(old, key, at, require_public)
    require_public("witness_policy" not in old.value or "witness_policy" in new.value, "drops the witness policy")


def key_known(old, key, at, require_public):
    """Whether a key that is served, and its threshold, were before, or are announced."""
    served = [k for k in (old.value, old.value.get("beside")) if k]
    had = [k for k in served if k["epoch"] == key["epoch"]] or [max(served, key=lambda k: k["threshold"])]
    known = had + due(old, at)[1:]
    require_public(any(k.get("group_key") == key["group_key"] for k in known), "replaces the group key")
    require_public(any(key["threshold"] >= k["threshold"] for k in known if "threshold" in k), "lowers the threshold")


def runs(grant, at):
    return times.parse(grant["from"]) <= at < times.parse(grant["until"])


def keys_known(roster, keys, name, at):
    """Whether the roster has or announces each of these keys of the member."""
    known = [roster.members[name]] if name in roster.members else []
    known += [k for n in due(roster, at)[1:] for k in n.get("keys", []) if k["member"] == name]
    return all(keys.get(what) is None or any(k.get(what) == keys[what] for k in known)
               for what in ("identity", "log_key", "witness_key"))


def content_known(known, content, require_public):
    """Whether what the old version has or announces covers this content."""
    for what in ("purposes", "auditors"):
        have = {x for k in known for x in k.get(what, [])}
        require_public(set(content.get(what, [])) <= have, f"adds to the {what}")
    threshold = content.get("threshold")
    require_public(threshold is None or any(threshold >= k["threshold"] for k in known if "threshold" in k), "lowers the threshold")
    group = content.get("group_key")
    require_public(group is None or any(k.get("group_key") == group for k in known), "replaces the group key")
    if "witness_policy" not in known[0]:
        return  # nobody relied on witnesses
    wanted = content.get("witness_policy")
    require_public(wanted is None or any(
        all(wanted[x] >= k["witness_policy"][x] for x in ("holders", "outside")) for k in known if "witness_policy" in k),
        "lowers the witness policy")
    have = {w["key"] for k in known for w in k.get("witnesses", [])}
    require_public({w["key"] for w in content.get("witnesses", [])} <= have, "adds an outside witness")
