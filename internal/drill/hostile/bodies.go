package hostile

import (
	"math"
	"math/rand/v2"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// sizes of byte strings at which something may break: around those of keys, hashes,
// signatures, batches of elements and messages.
var sizes = []int{0, 1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 640, 1023, 1024, 1025, 4096, 65536}

// body makes the bytes of a request of that type: mostly well formed, with values that
// no honest caller sends, then often damaged.
func body(r *rand.Rand, input protoreflect.MessageDescriptor) []byte {
	m := dynamicpb.NewMessage(input)
	fill(r, m, deep)
	raw, err := proto.MarshalOptions{Deterministic: true, AllowPartial: true}.Marshal(m)
	if err != nil {
		raw = random(r, 64)
	}
	if r.IntN(3) == 0 {
		raw = damage(r, raw)
	}
	return raw
}

// deep is how many messages may lie in each other.
const deep = 3

// fill gives most fields a value.
func fill(r *rand.Rand, m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case r.IntN(5) == 0: // absent
		case f.IsMap():
		case f.IsList():
			list := m.Mutable(f).List()
			long := []int{0, 1, 3, 65, 300}
			if depth < deep || f.Kind() == protoreflect.BytesKind {
				long = long[:3] // else a body would grow beyond any limit
			}
			for range long[r.IntN(len(long))] {
				if f.Message() == nil {
					list.Append(scalar(r, f))
				} else if depth > 0 {
					one := list.NewElement()
					fill(r, one.Message(), depth-1)
					list.Append(one)
				}
			}
		case f.Message() != nil:
			if depth > 0 {
				fill(r, m.Mutable(f).Message(), depth-1)
			}
		default:
			m.Set(f, scalar(r, f))
		}
	}
}

func scalar(r *rand.Rand, f protoreflect.FieldDescriptor) protoreflect.Value {
	n := numbers[r.IntN(len(numbers))]
	switch f.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(r.IntN(2) == 0)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(int32(n)))
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(int32(n))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(n))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(n)
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(uint64(n))
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(float32(math.NaN()))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(math.Inf(1))
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(texts[r.IntN(len(texts))])
	}
	return protoreflect.ValueOfBytes(blob(r))
}

var numbers = []int64{0, 1, 2, 3, 7, 64, 65, 1000, -1, math.MaxInt32, math.MinInt32, math.MaxInt64, math.MinInt64}

var texts = []string{"", "A", "CA", "NV", "hub", "keyholder-1", "1980-01-02", "0000-00-00", "9999-99-99", "issue_real_id", "'; DROP TABLE pointer; --", "../../identity.key",
	strings.Repeat("0", 64), strings.Repeat("a", 129), strings.Repeat("Ω", 5000), "\x00\x01\u202e", "waypost.test/NV/1", "tile/0/000"}

// blob is a byte string: zeros are the identity and the empty of everything, 0xff no
// canonical encoding of anything.
func blob(r *rand.Rand) []byte {
	b := make([]byte, sizes[r.IntN(len(sizes))])
	switch r.IntN(3) {
	case 0:
		for i := range b {
			b[i] = 0xff
		}
	case 1:
		copy(b, random(r, len(b)))
	}
	return b
}

func random(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// damage cuts, doubles or flips.
func damage(r *rand.Rand, b []byte) []byte {
	if len(b) == 0 {
		return random(r, 16)
	}
	switch r.IntN(4) {
	case 0:
		return b[:r.IntN(len(b))]
	case 1:
		return append(b, b...)
	case 2:
		return append(b, random(r, 8)...)
	}
	b[r.IntN(len(b))] ^= 1 << r.IntN(8)
	return b
}
