// Package roster holds who may take part: the members, their pinned keys, the
// key holders' share commitments, quotas and purposes, signed by m of n
// governance keys.
//
// # Format
//
// A roster is a signed note (golang.org/x/mod/sumdb/note, Ed25519). Its text
// is the line "waypost roster v1" followed by canonical JSON: the fields of
// [Roster] in order, indented by two spaces so that signers read what they
// sign, keys and hashes in padded base64, times in UTC with whole seconds. A
// text that does not re-encode to the same bytes is refused, so that one
// roster has one hash.
//
// # Life
//
// A roster is valid for at most seven days and is signed again, with the next
// version number, before that. Each names the hash of the one before. It must
// carry enough signatures of the governance that the previous roster names
// and of its own, as in TUF's root role, so that governance keys can change
// without a new root of trust. [View] follows that chain: the version before
// the current one is good for 24 hours, unless revoked, and the keys of older
// versions stay readable so that a message stored in a mailbox still verifies
// against the version it names while its sender is a member. When the current
// roster runs out, nobody is admitted until its successor arrives.
//
// # Changes
//
// What a version takes away counts at once; what it grants counts no sooner
// than [Delay] after the version begins, so that every party can see it coming
// and object. The rule is one comparison: until then, the version grants at no
// moment what its predecessor does not grant at that moment. Members, rises and
// bursts carry the time from which they count, and a [View] goes by its clock;
// what all must agree on within one version is announced in one and contained
// in a later one ([Announcement]). Version 1 may grant what it likes.
//
// A version becomes public at the doors of the hub and the key holders
// ([Intake]), which measure the delay by their own clocks too, and is fetched
// there by everybody within seconds ([Follower]).
//
// # Transport
//
// [ServerTLS] and [ClientTLS] give mutual TLS 1.3 between self-signed
// certificates whose public keys the roster pins. There is no certificate
// authority: a member renews its certificate under the same key whenever it
// likes, and is gone the moment a roster without it arrives.
package roster
