package audit

// TicketIn returns the signed ticket in a key holder's entry.
var TicketIn = ticketIn
