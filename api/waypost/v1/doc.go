// Package waypostv1 holds the protobuf messages of the exchange's calls, of the
// counter door, and of the bodies of sealed messages. It is generated from the
// .proto files beside it by "make generate". Whatever is signed travels inside
// them as opaque bytes in the canonical form of the waypost package.
package waypostv1
