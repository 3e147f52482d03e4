package spec_test

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/follow"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/translog"
)

func governanceJSON(t testing.TB, r *roster.Roster) string {
	t.Helper()
	b, err := json.Marshal(r.Governance)
	must(t, err)
	return string(b)
}

func rosterCases(t testing.TB) []question {
	r := exchange(t)
	text, w := textOf(t, r), with{Governance: governanceJSON(t, r)}
	list := altered(question{Name: "roster", Check: "roster", Data: signText(t, text, officers[:2]...), With: w})
	add := func(name string, data []byte, ok bool) {
		list = append(list, question{Name: "roster: " + name, Check: "roster", Data: data, With: w, OK: ok})
	}
	add("one signature of two", signText(t, text, officers[0]), false)
	add("one signature twice", signText(t, text, officers[0], officers[0]), false)
	add("a signature of a stranger beside two", signText(t, text, officers[1], officers[2], "stranger.example"), true)
	add("signatures of strangers", signText(t, text, "stranger.example", "other.example"), false)
	add("base64 of a signature that is not canonical", []byte(loosened(string(signText(t, text, officers[:2]...)))), true)
	identity := b64(public("AZ identity"))
	for _, c := range []struct{ why, old, new string }{
		{"spacing", `"version": 1`, `"version":  1`},
		{"a field twice", `"epoch": 1,`, "\"epoch\": 1,\n  \"epoch\": 1,"},
		{"a field that nobody knows", `"epoch": 1,`, "\"epoch\": 1,\n  \"extra\": 1,"},
		{"fields in another order", "\"profile\": 1,\n  \"epoch\": 1,", "\"epoch\": 1,\n  \"profile\": 1,"},
		{"a number that is a fraction", `"epoch": 1,`, `"epoch": 1.0,`},
		{"an escape that is not needed", `"hub"`, `"\u0068ub"`},
		{"an absent field that is empty", `"url": "https://hub.example:7443",`, "\"url\": \"https://hub.example:7443\",\n      \"jurisdiction\": \"\","},
		{"valid for eight days", `"2026-03-09T12:00:00Z"`, `"2026-03-10T12:00:00Z"`},
		{"a time in another zone", `"2026-03-02T12:00:00Z"`, `"2026-03-02T13:00:00+01:00"`},
		{"a day that is not", `"2026-03-02T12:00:00Z"`, `"2026-02-30T12:00:00Z"`},
		{"version 0", `"version": 1`, `"version": 0`},
		{"version 2 without a previous one", `"version": 1`, `"version": 2`},
		{"an environment that nobody knows", `"environment": "test"`, `"environment": "stage"`},
		{"a threshold above the key holders", `"threshold": 2,`, `"threshold": 4,`},
		{"two key holders with one share", `"index": 2`, `"index": 1`},
		{"an identity key of small order", identity, b64(append([]byte{1}, make([]byte, 31)...))},
		{"an identity key of small order in another spelling", identity, b64(append([]byte{0xee}, append(slices.Repeat([]byte{0xff}, 30), 0x7f)...))},
		{"one key for two members", identity, b64(public("CA identity"))},
		{"a key that is a witness's as well", identity, b64(public("outside.example witness"))},
		{"a key that is short", identity, b64(make([]byte, 31))},
		{"base64 of a key that is not canonical", identity, strings.TrimSuffix(loosened(identity+"\n"), "\n")},
		{"a gateway that is not named after its state", `"jurisdiction": "AZ"`, `"jurisdiction": "CA"`},
		{"a second hub", "\"name\": \"keyholder-1\",\n      \"role\": \"keyholder\"", "\"name\": \"keyholder-1\",\n      \"role\": \"hub\""},
		{"a URL with a path", `"https://hub.example:7443"`, `"https://hub.example:7443/x"`},
		{"more holders than there are witnesses", `"holders": 2`, `"holders": 3`},
		{"nobody outside", `"outside": 1`, `"outside": 0`},
		{"a purpose in capitals", `"issue_real_id"`, `"Issue_real_id"`},
		{"a capability that nobody knows", `"answer"`, `"listen"`},
		{"a quota below zero", `"operators": 40`, `"operators": -40`},
		{"another header", "waypost roster v1", "waypost roster v2"},
	} {
		changed := strings.Replace(text, c.old, c.new, 1)
		if changed == text {
			t.Fatalf("%s: nothing changed", c.why)
		}
		add(c.why, signText(t, changed, officers[:2]...), false)
	}
	return list
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// chainCases: what may follow what.
func chainCases(t testing.TB) (list []question) {
	in := func(hours int) time.Time { return start.Add(time.Duration(24+hours) * time.Hour) }
	nevada := func(from time.Time) func(*roster.Roster) {
		return func(r *roster.Roster) {
			m := member("NV", roster.Gateway)
			m.From = from
			r.Members = append(r.Members, m)
		}
	}
	az := func(change func(*roster.Member)) func(*roster.Roster) {
		return func(r *roster.Roster) { change(&r.Members[4]) }
	}
	grant := func(from, until time.Time, extra int) roster.Grant {
		return roster.Grant{Member: "AZ", Class: roster.AttendedChecks, Extra: extra, From: from, Until: until}
	}
	announced := roster.Announcement{From: in(71), Purposes: []waypost.Purpose{waypost.Renew}}
	first := func(change func(*roster.Roster)) *roster.Roster {
		r := exchange(t)
		change(r)
		return r
	}
	nothing := func(*roster.Roster) {}
	for _, c := range []struct {
		name   string
		before func(*roster.Roster)
		after  func(*roster.Roster)
		ok     bool
	}{
		{"signed anew", nothing, nothing, true},
		{"a member more at once", nothing, nevada(time.Time{}), false},
		{"a member more, 72 hours later", nothing, nevada(in(72)), true},
		{"a member more, 71 hours later", nothing, nevada(in(71)), false},
		{"a member less at once", nothing, func(r *roster.Roster) { r.Members = r.Members[:5] }, true},
		{"a member that had to wait is there", nevada(in(0)), nothing, true},
		{"a member that had to wait comes sooner", nevada(in(80)), func(r *roster.Roster) { r.Members[6].From = in(20) }, false},
		{"a quota that is higher", nothing, az(func(m *roster.Member) { m.Quota.Operators++ }), false},
		{"a quota that is lower", nothing, az(func(m *roster.Member) { m.Quota.Operators-- }), true},
		{"follow-ups that were as many as checks, and are more", nothing, az(func(m *roster.Member) { m.Quota.FollowUpsPerDay = m.Quota.TicketsPerDay + 1 }), false},
		{"follow-ups that were as many as checks, and are fewer", nothing, az(func(m *roster.Member) { m.Quota.FollowUpsPerDay = 1 }), true},
		{"follow-ups that were few, and are as many as checks", az(func(m *roster.Member) { m.Quota.FollowUpsPerDay = 1 }), az(func(m *roster.Member) { m.Quota.FollowUpsPerDay = 0 }), false},
		{"a quota that rises later", nothing, az(func(m *roster.Member) {
			m.Rise = roster.Rise{From: in(72), Capabilities: []roster.Capability{roster.History}}
		}), true},
		{"a quota that rises too soon", nothing, az(func(m *roster.Member) {
			m.Rise = roster.Rise{From: in(71), Capabilities: []roster.Capability{roster.History}}
		}), false},
		{"a capability more", nothing, az(func(m *roster.Member) { m.Capabilities = append(slices.Clip(m.Capabilities), roster.History) }), false},
		{"another identity key", nothing, az(func(m *roster.Member) { m.Identity = public("new identity") }), false},
		{"another log key", nothing, az(func(m *roster.Member) { m.LogKey = public("new log") }), false},
		{"another log key that was announced", func(r *roster.Roster) {
			r.Announced = []roster.Announcement{{From: in(-5), Keys: []roster.KeyChange{{Member: "AZ", LogKey: public("new log")}}}}
		}, az(func(m *roster.Member) { m.LogKey = public("new log") }), true},
		{"another certificate", nothing, az(func(m *roster.Member) { m.CertKey[0]++ }), true},
		{"another role", nothing, func(r *roster.Roster) {
			r.Members[3] = member("CA", roster.Gateway)
			r.Members[5] = member("NV", roster.Gateway)
		}, false},
		{"a purpose more", nothing, func(r *roster.Roster) { r.Purposes = append(slices.Clip(r.Purposes), waypost.Renew) }, false},
		{"a purpose less", nothing, func(r *roster.Roster) { r.Purposes = r.Purposes[:1] }, true},
		{"a purpose more that is announced for later", func(r *roster.Roster) { r.Announced = []roster.Announcement{announced} },
			func(r *roster.Roster) { r.Purposes = append(slices.Clip(r.Purposes), waypost.Renew) }, false},
		{"a purpose more that was announced", func(r *roster.Roster) {
			r.Announced = []roster.Announcement{{From: in(-1), Purposes: []waypost.Purpose{waypost.Renew}}}
		}, func(r *roster.Roster) { r.Purposes = append(slices.Clip(r.Purposes), waypost.Renew) }, true},
		{"an announcement for too soon", nothing, func(r *roster.Roster) { r.Announced = []roster.Announcement{announced} }, false},
		{"an announcement", nothing, func(r *roster.Roster) {
			r.Announced = []roster.Announcement{{From: in(72), Purposes: []waypost.Purpose{waypost.Renew}}}
		}, true},
		{"a witness policy that asks for less", nothing, func(r *roster.Roster) { r.WitnessPolicy.Holders = 1 }, false},
		{"a witness policy that asks for more", func(r *roster.Roster) { r.WitnessPolicy.Holders = 1 },
			func(r *roster.Roster) { r.WitnessPolicy.Holders = 2 }, true},
		{"no witness policy", nothing, func(r *roster.Roster) { r.WitnessPolicy, r.Witnesses = roster.WitnessPolicy{}, nil }, false},
		{"the first witness policy", func(r *roster.Roster) { r.WitnessPolicy, r.Witnesses = roster.WitnessPolicy{}, nil }, func(r *roster.Roster) {
			x := exchange(t)
			r.WitnessPolicy, r.Witnesses = x.WitnessPolicy, x.Witnesses
		}, true},
		{"a witness more", nothing, func(r *roster.Roster) {
			r.Witnesses = append(slices.Clip(r.Witnesses), roster.Witness{Key: witnessKey("second.example"), URL: "https://second.example/"})
		}, false},
		{"an auditor more", nothing, func(r *roster.Roster) {
			r.Auditors = []string{"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"}
		}, false},
		{"a grant at once", nothing, func(r *roster.Roster) { r.Grants = []roster.Grant{grant(in(0), in(24), 10)} }, false},
		{"a grant for later", nothing, func(r *roster.Roster) { r.Grants = []roster.Grant{grant(in(72), in(96), 10)} }, true},
		{"a grant that goes on", func(r *roster.Roster) { r.Grants = []roster.Grant{grant(in(-20), in(24), 10)} }, nothing, true},
		{"a grant that grows", func(r *roster.Roster) { r.Grants = []roster.Grant{grant(in(-20), in(24), 10)} },
			func(r *roster.Roster) { r.Grants = []roster.Grant{grant(in(-20), in(24), 11)} }, false},
		{"a grant that begins anew", func(r *roster.Roster) { r.Grants = []roster.Grant{grant(in(-20), in(24), 10)} },
			func(r *roster.Roster) { r.Grants = []roster.Grant{grant(in(-19), in(24), 10)} }, false},
		{"a version is passed over", nothing, func(r *roster.Roster) { r.Version++ }, false},
		{"another past", nothing, func(r *roster.Roster) { r.Previous[0]++ }, false},
		{"another environment", nothing, func(r *roster.Roster) { r.Environment = waypost.Prod }, false},
		{"it begins before the one before", nothing, func(r *roster.Roster) { r.NotBefore = start.Add(-time.Hour); r.NotAfter = start.Add(time.Hour * 48) }, false},
		{"what was revoked comes back", func(r *roster.Roster) { r.RevokedBefore = 1 }, func(r *roster.Roster) { r.RevokedBefore = 0 }, false},
		{"another group key in the same epoch", nothing, func(r *roster.Roster) { r.GroupKey = r.Members[1].PublicShare }, false},
	} {
		old := first(c.before)
		next := successor(t, old, c.after)
		list = append(list, question{
			Name: "chain: " + c.name, Check: "chain", OK: c.ok,
			Data: signText(t, unchecked(t, next), officers[:2]...),
			With: with{Governance: governanceJSON(t, old), Old: string(signText(t, textOf(t, old), officers[:2]...)), At: in(1)},
		})
	}
	return list
}

// unchecked is the text of a roster, valid or not.
func unchecked(t testing.TB, r *roster.Roster) string {
	t.Helper()
	b, err := json.MarshalIndent(r, "", "  ")
	must(t, err)
	return "waypost roster v1\n" + string(b) + "\n"
}

// evidenceCases: each claim as it holds, and what an accuser could try.
func evidenceCases(t testing.TB) (list []question) {
	r := exchange(t)
	w := with{Governance: governanceJSON(t, r)}
	signed := [][]byte{signText(t, textOf(t, r), officers[:2]...)}
	later := start.Add(2 * time.Hour)
	all := []string{"keyholder-1", "keyholder-3", "outside.example"}
	l := (&ledger{t: t, member: "keyholder-2"}).grow(25, "leaf")
	forked := (&ledger{t: t, member: "keyholder-2"}).grow(18, "leaf").grow(4, "fork")
	ticket := signTicket(t, aTicket())
	tag := translog.Tag(ticket.Tau, "keyholder", l.origin(), "evaluate", 0)
	honest := (&ledger{t: t, member: "keyholder-2"}).grow(20, "leaf")
	honest.add(append(tag[:], sum("commitment")...))
	add := func(name string, e follow.Evidence, ok bool) {
		e.Type, e.Roster = "waypost evidence v1", signed
		if e.Member == "" {
			e.Member = "keyholder-2"
		}
		data, err := e.Marshal()
		must(t, err)
		list = append(list, question{Name: "evidence: " + name, Check: "evidence", Data: data, With: w, OK: ok})
	}
	leafOf := func(l *ledger, i int) (leaf []byte, proof [][]byte) {
		hashes, err := tlog.ProveRecord(int64(len(l.leaves)), int64(i), l)
		must(t, err)
		return l.leaves[i], raw(hashes)
	}
	promise := func(l *ledger, checkpoint string, leaf []byte, proof [][]byte) follow.Evidence {
		return follow.Evidence{Claim: follow.ReceiptWithoutLeaf, Ticket: ticket.Bytes(), Receipt: signReceipt(t, aReceipt(ticket, l, 20)),
			Checkpoint: checkpoint, Leaf: leaf, Proof: proof}
	}
	leaf, proof := leafOf(l, 20)
	other := promise(l, l.checkpoint(25, later, all...), leaf, proof)
	add("another leaf stands there", other, true)
	list = append(list, altered(list[0])[1:]...)
	short := promise(l, l.checkpoint(20, later, all...), nil, nil)
	add("the log ends before it", short, true)
	early := promise(l, l.checkpoint(20, start.Add(time.Hour+80*time.Second), all...), nil, nil)
	add("the leaf was not due yet", early, false)
	leaf, proof = leafOf(honest, 20)
	add("the leaf is there", promise(honest, honest.checkpoint(21, later, all...), leaf, proof), false)
	leaf, proof = leafOf(l, 3)
	add("the leaf of another place", promise(l, l.checkpoint(25, later, all...), leaf, proof), false)
	add("a checkpoint without witnesses", promise(l, l.checkpoint(20, later), nil, nil), false)
	add("the witness inside the member counts itself", promise(l, l.checkpoint(20, later, "keyholder-1", "keyholder-2", "outside.example"), nil, nil), false)
	changed := short
	changed.Member = "keyholder-1"
	add("another member is accused", changed, false)
	changed = short
	changed.Other = changed.Checkpoint
	add("something beside the claim", changed, false)
	changed = short
	changed.Checkpoint = l.checkpoint(20, later, append(all, "stranger.example")...)
	add("a signature that proves nothing", changed, false)
	changed = short
	changed.Claim = follow.Fork
	add("a claim that it is not", changed, false)

	hashes, err := tlog.ProveTree(25, 22, l)
	must(t, err)
	prefix := l.root(22)
	fork := follow.Evidence{Claim: follow.Fork, Checkpoint: l.checkpoint(25, later), Other: forked.checkpoint(22, later), Proof: raw(hashes), Prefix: prefix[:]}
	add("a fork", fork, true)
	add("a fork at one size", follow.Evidence{Claim: follow.Fork, Checkpoint: l.checkpoint(22, later), Other: forked.checkpoint(22, later)}, true)
	same := fork
	same.Other = l.checkpoint(22, later)
	add("a fork that is none", same, false)
	same = fork
	same.Prefix = sum("prefix")
	add("a fork whose prefix is not proved", same, false)
	same = fork
	same.Checkpoint, same.Other = fork.Other, fork.Checkpoint
	add("a fork the wrong way round", same, false)

	back := follow.Evidence{Claim: follow.Rollback, Member: "outside.example", Checkpoint: l.checkpoint(20, later, "outside.example"),
		Other: l.checkpoint(25, start.Add(time.Hour), "outside.example")}
	add("a rollback", back, true)
	inside := back
	inside.Member, inside.Checkpoint, inside.Other = "keyholder-1", l.checkpoint(20, later, "keyholder-1"), l.checkpoint(25, start, "keyholder-1")
	add("a rollback by a key holder", inside, true)
	order := back
	order.Other = l.checkpoint(25, later, "outside.example")
	add("a rollback in the order of time", order, false)
	if len(list) < 20 {
		t.Fatalf("%d cases", len(list))
	}
	return list
}

func raw(hashes []tlog.Hash) (list [][]byte) {
	for _, h := range hashes {
		list = append(list, slices.Clone(h[:]))
	}
	return list
}
