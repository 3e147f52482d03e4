package rpc

import "context"

type operatorKey struct{}

// WithOperator notes who of the state's own people calls a counter door.
func WithOperator(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, operatorKey{}, name)
}

// Operator is the name under which the caller's certificate lies at the gateway;
// empty anywhere but behind a counter door.
func Operator(ctx context.Context) string {
	name, _ := ctx.Value(operatorKey{}).(string)
	return name
}

type unitKey struct{}

// WithUnit notes that the caller is of the special unit that answers for
// protected persons.
func WithUnit(ctx context.Context) context.Context { return context.WithValue(ctx, unitKey{}, true) }

// OfUnit reports whether the caller of a counter door is of the special unit.
func OfUnit(ctx context.Context) bool { return ctx.Value(unitKey{}) != nil }
