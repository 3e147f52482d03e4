// Package matchkey turns a person into match keys: the texts that are blinded,
// evaluated and looked up, so that two records of one person meet although
// nobody sees a name. It is profile 1, and every byte it makes is fixed by
// testdata/vectors.json: a change of any result is a new profile, to which all
// states move at a rotation.
//
//	          normalise            derive                     pad
//	Person ------------> Normal ----------> up to 32 keys ----------> Query: 20 + 12
//	                        `-------------> 6 + 4 keys -------------> Index: 10 slots
//
// # What is published
//
// Every pointer has exactly ten slots: Fa G H I Ka Q from name and date of birth,
// and A B C E from the last five digits of the SSN. For a person without an SSN
// five digits stand in, derived under the gateway's own secret, and everything
// after is the same: as many strangers share such a key as share anybody's. All
// keys are 32 bytes, so that nothing about a person shows in the size or number of
// keys, nor in how often one is met.
//
//	slot  made of                                                   catches
//	Fa    initial (or 3 letters, or all) of given, surname, date*   nickname, typo in the given name
//	G     {Soundex given, Soundex surname}, date                    spelling of both, swapped names
//	H     nickname root, surname, date                              Bob and Robert
//	I     3 letters of given, 3 of surname, date                    truncation, second surname
//	Ka    given, surname, year and day                              wrong month
//	Q     letters 2 3 5 of surname, 2 3 of given, date              odd misspellings
//	A     SSN5, date*                                               any change of name
//	B     SSN5, {Metaphone given, Metaphone surname}                any error in the date
//	C     SSN5, year, surname                                       error in date and given name
//	E     SSN5, year, given                                         change of surname, error in date
//
// {} is an unordered pair; date* is the date with day and month in order when
// both could be a month, so that a swap gives the same key.
//
// # Rarity
//
// How short a form of the given name Fa uses, and whether Ka is made at all, are
// decided by public name frequencies (package matchkey/internal/freq names the
// sources): a key that more than one other person among 300 million is expected
// to have would cost more disclosures than it finds people. A slot that is not
// made holds the exact identity in a domain of its own, which both sides derive
// alike. A birthday on 1 January is often a default and always uses full names.
//
// # Compatibility
//
// The derivation uses no floating-point number, no map order, no clock and no
// randomness. The same person gives the same keys on every machine.
package matchkey
