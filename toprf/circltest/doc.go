// Package circltest holds toprf against an independent implementation of RFC
// 9497, cloudflare/circl over bwesterb/go-ristretto: each as the client of the
// other, and by fuzzing encodings, hashing and multiplication. It has tests
// only, and is apart from toprf so that toprf itself needs neither.
package circltest
