// Package compare decides, at the state of record, whether an applicant is the
// person of one of its records. It sees both in clear: it is the only place
// that does, and only after the first leg said continue.
//
// # Weights
//
// The model is Fellegi and Sunter's ("A Theory for Record Linkage", JASA 1969)
// with weights that depend on how common a value is (Winkler, "Frequency-Based
// Matching in Fellegi-Sunter Model of Record Linkage", US Census Bureau
// RR2000/06). Every field that can be compared adds
//
//	log2( m / u ) bits
//
// where m is the probability of what is seen if the two are one person, and u
// if they are two. u comes from the public name frequencies of package matchkey
// and the share of people born on one day, the m are in weights.go; the sum
// starts from the odds that a person drawn from 300 million is the applicant. So the total is the logarithm of the
// odds that they are one person, and the classes have a meaning:
//
//	match      at least 64 to 1 that they are
//	no_match   at least 64 to 1 that they are not
//	possible   between: a person must look
//
// Two James Smiths born on one day have more than one namesake with their
// birthday: name and date alone can never make them a match.
//
// # What the class must not tell
//
// The asking state learns the class, and must not learn from it whether an SSN
// is on file. Therefore:
//
//   - Where names and date of birth agree, the class is a function of the other
//     fields without the SSN: the agreement of the SSN adds nothing.
//   - Where a name or the date differs, agreement of the SSN may raise the class.
//     Disagreement never lowers it, and looks like absence.
//   - The SSN is never looked at, only which SSN keys agreed in the first leg.
//     The fields SSN5 of both persons are ignored.
//
// # Measured
//
// febrl4, which has errors in most pairs and neither middle names nor sex: of
// 5,000 true pairs 76 % match and 15 % are possible; of 25,884 others that share
// a birth date, an SSN-5 or both names, none is either. Simulated US pairs with
// moderate errors: 86 % match, 13 % possible. At 300 million people 1,000 checks
// meet about 44 namesakes with the applicant's birthday: 0.4 of them are called
// a match, 28 possible. (TestFebrl here; package population has the others.)
//
// An Explanation is for the clerk at the state of record. It never leaves it.
package compare
