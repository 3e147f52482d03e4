// Package toprf is the threshold verifiable oblivious pseudorandom function
// that turns a match key into a token which nobody can compute alone.
//
//	gateway                                       key holder j of n, share k_j
//	-------                                       ----------------------------
//	P_i = HashToGroup(x_i)
//	B_i = r_i * P_i            B_1 .. B_m
//	(BlindAll)               ------------->       E_ij  = k_j * B_i
//	                                              proof = DLEQ(G, K_j; B, E)
//	                          E_1j .. E_mj        (Share.Evaluate)
//	                         <-------------
//	check the proof against K_j                   any t of the n holders do;
//	(PublicKeys.Verify)                           fewer than t learn and can
//	                                              compute nothing
//	C_i = sum_j lambda_j * E_ij
//	(PublicKeys.Combine)
//	N_i = Hash(x_i, r_i^-1 * C_i)
//	(Blinding.Finalize)
//
// The holder sees uniformly random elements; the gateway learns N_i for the
// inputs it asked about and nothing of any k_j; N_i equals the output of the
// single-key function under the group key k = sum_j lambda_j * k_j, which
// exists nowhere.
//
// Group and encodings are ristretto255 (RFC 9496). Hashing, blinding, the
// batched discrete-logarithm-equality proof and the output are RFC 9497,
// suite ristretto255-SHA512, mode VOPRF (0x01), so that with t = n = 1 the
// output is that of any conforming implementation. The threshold form is
// 2HashTDH of Jarecki, Kiayias, Krawczyk and Xu (TOPPSS, eprint 2017/363).
// Shares come from a Feldman distributed key generation, and are changed without
// changing the key ([Ceremony]): nobody ever has the key.
//
// # Secrets and time
//
// Shares, blinds and nonces have the type Scalar, which only constant-time
// code accepts; numbers that are public by construction have a type of their
// own, which variable-time code accepts. The compiler keeps the two apart and
// a lint test keeps it so. Scalar and Share print as "[redacted]".
//
// All arithmetic is in group.go, over oasisprotocol/curve25519-voi. That
// library has had no formal review; the tests here hold it against the RFC
// vectors and against an independent implementation, and a statistical test
// looks for timing leaks of the share multiplication. Go cannot promise that a
// secret is erased from memory.
package toprf
