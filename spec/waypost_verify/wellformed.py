"""What the fields of one roster must be together: "Well formed" in spec/roster.md."""

import ipaddress
import re

from . import note, times
from .encoding import base64_bytes
from .refused import require

DAY = 86400


def spelled_out(quota):
    """The quota with how many questions may follow checks: as many as checks, if it does not say."""
    return {"follow_ups_per_day": quota.get("tickets_per_day", 0)} | quota


def check(roster):
    v = roster.value
    begins, ends = times.parse(v["not_before"]), times.parse(v["not_after"])
    require(begins < ends <= begins + 7 * DAY, "a roster is valid for at most seven days")
    require((v["version"] == 1) == (not any(base64_bytes(v["previous"], "previous"))),
            "version 1, and no other, has no previous roster")
    require(v["revoked_before"] <= v["version"], "revoked_before lies above its own version")
    members = v["members"]
    require([m["role"] for m in members].count("hub") == 1, "there is exactly one hub")
    for m in members:
        require(m["protocol"]["min"] <= m["protocol"]["max"], f"the protocol range of {m['name']} is empty")
        require(len(m["operator"].encode()) <= 200 and not any(c < " " or c == "\x7f" for c in m["operator"]),
                f"the operator of {m['name']} is not one line")
        gateway(m) if m["role"] == "gateway" else server(m)
    holders(roster, begins)
    witnesses(roster)
    moments(roster, begins)
    grants(roster)
    unique(roster)


def gateway(m):
    require(re.fullmatch("[A-Z]{2}", m.get("jurisdiction", "")) and m["jurisdiction"] == m["name"],
            "a gateway is named after its jurisdiction")
    require(not m.keys() & {"url", "public", "also", "removed", "witness_key", "index", "public_share"},
            f"{m['name']} has a field that is not a gateway's")
    require("participation" in m, f"{m['name']} does not say how it takes part")
    rise = m.get("rise", {})
    able, more = m.get("capabilities", []), rise.get("capabilities", [])
    require(not set(able) & set(more), f"{m['name']} is given twice what it has")
    require(m["participation"] != "inquiry_only" or "publish" not in able + more, f"{m['name']} cannot publish")
    if rise:
        now, then = spelled_out(m.get("quota", {})), spelled_out(rise.get("quota", m.get("quota", {})))
        gains = [then.get(n, 0) - now.get(n, 0) for n in (now | then)]
        require(all(g >= 0 for g in gains) and (more or any(gains)), f"the rise of {m['name']} raises nothing, or lowers")


def server(m):
    require(not m.keys() & {"jurisdiction", "participation", "capabilities", "quota", "rise"},
            f"{m['name']} has a field of a gateway")
    holder = m["role"] == "keyholder"
    require(("index" in m) == ("public_share" in m) and (holder or not m.keys() & {"index", "witness_key"}),
            "a key holder, and nobody else, has a share, or waits for one")
    require(bare(m.get("url", "")) and bare(m.get("public", m["url"] + "0")) and m.get("public") != m["url"],
            f"a URL of {m['name']} is not https://host:port")
    also = [d[n] for d in m.get("also", []) for n in ("url", "public")]
    require(not also or m["role"] == "hub" and "public" in m and all(map(bare, also)),
            f"the further addresses of {m['name']} are not those of a hub")


HOST = r"(?P<host>[A-Za-z0-9._~!$&'()*+,;=-]+|\[[0-9A-Fa-f:.]+\])"
MEMBER_URL = re.compile(rf"https://{HOST}:[0-9]+\Z", re.ASCII)
WITNESS_URL = re.compile(rf"(?P<scheme>https?)://{HOST}(:[0-9]*)?(/[A-Za-z0-9._~!$&'()*+,;=:@/-]*)?\Z", re.ASCII)


def bare(url):
    return len(url) <= 300 and MEMBER_URL.match(url) is not None


def loopback(host):
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def holders(roster, begins):
    found = roster.holders()
    key = ("epoch", "threshold", "group_key")
    if not any(name in roster.value for name in key):
        require(not found and roster.key_holders() and not roster.value.keys() & {"ceremony", "beside"}, "without a key nobody has a share of it")
        return
    require(all(name in roster.value for name in key), "epoch, threshold and group key come together")
    require([h["index"] for h in found] == list(range(1, len(found) + 1)), "the shares are not numbered 1 to n")
    require(1 <= roster.threshold <= len(found) <= 32, "the threshold is 1 to the number of key holders")
    require(any("removed" not in h and times.parse(h.get("from", roster.not_before)) <= begins for h in found),
            "no key holder is in force when the roster begins")
    if beside := roster.value.get("beside"):
        require(beside["epoch"] != roster.epoch and beside["group_key"] != roster.group_key, "the key beside its own is another one")
        require(len(beside["shares"]) == len(found) >= beside["threshold"], "the key beside its own has a share for each key holder")


def witnesses(roster):
    v = roster.value
    require(("witnesses" in v) == ("witness_policy" in v), "witnesses and witness policy come together")
    for w in v.get("witnesses", []) + [w for a in v.get("announced", []) for w in a.get("witnesses", [])]:
        witness_url(w["url"])
    if wanted := v.get("witness_policy"):
        inside = sum("witness_key" in h for h in roster.key_holders())
        require(wanted["outside"] <= len(v["witnesses"]) and wanted["holders"] <= max(0, inside - 1),
                "the witness policy asks for more than there are")


def witness_url(url):
    match = WITNESS_URL.match(url) if len(url) <= 300 else None
    require(match and (match["scheme"] == "https" or loopback(match["host"])), "the URL of a witness is not https://host/...")


def moments(roster, begins):
    v = roster.value
    named = [m.get("from") for m in v["members"]] + [m.get("rise", {}).get("from") for m in v["members"]]
    named += [g[x] for g in v.get("grants", []) for x in ("from", "until")] + [a["from"] for a in v.get("announced", [])]
    named = {n for n in named if n}
    require(len(named) <= 64, "a roster changes by the clock at no more than 64 times")
    require(all(times.parse(n) <= begins + 400 * DAY for n in named), "a time lies more than 400 days ahead")


def grants(roster):
    seen = {}
    for g in roster.value.get("grants", []):
        start, end = times.parse(g["from"]), times.parse(g["until"])
        require(roster.members.get(g["member"], {}).get("role") == "gateway", "a grant is for a gateway")
        require(start < end <= start + 92 * DAY, "a grant runs for at most 92 days")
        others = seen.setdefault((g["member"], g["class"]), [])
        require(all(end <= a or b <= start for a, b in others), f"two grants to {g['member']} overlap")
        others.append((start, end))


def unique(roster):
    v, taken = roster.value, set()

    def take(what, value):
        require(value is None or (what, value) not in taken, f"a {what} is used twice")
        taken.add((what, value))

    for m in v["members"]:
        take("name", m["name"].lower())
        take("certificate key", m["cert_key"])
        for place in [m, *m.get("also", [])]:
            for n in ("url", "public"):
                take("URL", place.get(n))
        for n in ("identity", "log_key", "witness_key"):
            take("key", roster.key(m["name"], n))
    for w in v.get("witnesses", []):
        key = note.parse_key(w["key"], note.COSIGNATURE)
        take("witness", key.name)
        take("key", key.public)
    for key in roster.governance.keys:
        take("key", key.public)
