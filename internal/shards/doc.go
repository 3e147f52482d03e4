// Package shards spreads the hub's label table over several PostgreSQL servers.
//
//	hub's server                                   servers of labels
//	label  PARTITION BY HASH (label)
//	  label_0_…  FOREIGN TABLE ── postgres_fdw ──> waypost_….label_0_…   server a
//	  label_1_…  FOREIGN TABLE ── postgres_fdw ──> waypost_….label_1_…   server b
//	  …
//
// The hub speaks to its own server as before: which server a label lies on is the
// table's business. All that is known of the arrangement stands in the catalogue
// of the hub's database (partitions, foreign servers, user mappings), so that it
// is never at odds with itself, and a command that was killed is taken up by
// looking there.
//
// # How labels go from one server to another
//
// While the hub serves, in [Table.Init] from the one table to all servers, in
// [Table.Move] from one server to another:
//
//  1. A trigger on the source notes the labels that are written from now on.
//  2. The rows are copied, and the primary key is built over them.
//  3. What was noted is copied after, under the writers' lock the last of it. As
//     it stands then, source and copy must have the same count and digest.
//  4. What was noted since is copied after; then, under the writers' lock, the
//     last of it, and the copy takes the source's place in the table.
//  5. The source gets another name, and is dropped a day later.
//
// Until the switch in step 4, which is one transaction on the hub's server, the
// table is as it was; after it the source is not used any more. Whatever lies on
// the servers without being in the table is therefore taken away by the next command,
// once it has seen that the servers are this hub's and have all that the table names.
//
// # What is lost with a commit that is cut short
//
// A transaction of the hub commits on the servers of labels first and then on the
// hub's, where the pointers are. If it ends in between, there are labels whose
// pointer does not exist: a search passes over them, and they keep their places.
// The other way round, a pointer without its labels, cannot be.
package shards
