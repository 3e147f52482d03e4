// Package waypost is the vocabulary of Waypost, the exchange through which US
// licensing agencies learn, for one applicant at a time, whether the person
// already holds a card in another state.
//
// It holds what every role must agree on, and does no input or output:
//
//   - [Person], [Jurisdiction], [Purpose], [Kind]: who is asked about, by whom
//     and why;
//   - [Ticket]: the state of inquiry's signed permission for exactly one look;
//   - [Receipt]: a role's signed promise that the look is in its ledger;
//   - [VerifyChain]: a ticket with the receipts of a quorum of key holders,
//     which is what the hub and a state of record ask to see;
//   - [Answer]: what the clerk learns, with the coverage of the search;
//   - [Error]: the one error that crosses a process boundary.
//
// Signed bytes are canonical: fixed order, fixed widths, length prefixes, a
// domain string first. They are signed and stored as they are and never
// re-serialised.
package waypost
