// Package waypostv1connect holds the clients and handlers of the exchange's
// calls over Connect, gRPC and JSON. It is generated from the .proto files by
// "make generate".
package waypostv1connect
