"""Ed25519 signatures (RFC 8032, section 5.1.7), as spec/README.md has them.

The equation is checked without the cofactor: R, as bytes, is [S]B - [k]A.
Points are in extended coordinates (X, Y, Z, T) of -x^2 + y^2 = 1 + d x^2 y^2.
"""

import hashlib

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT = pow(2, (P - 1) // 4, P)  # of -1
IDENTITY = (0, 1, 1, 0)


def add(p, q):
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def double(p):
    a = p[0] * p[0] % P
    b = p[1] * p[1] % P
    h = a + b
    e = h - (p[0] + p[1]) * (p[0] + p[1]) % P
    g = a - b
    f = 2 * p[2] * p[2] % P + g
    return e * f % P, g * h % P, f * g % P, e * h % P


def decode(encoded):
    """The point that 32 bytes encode, or None: 5.1.3, without other spellings."""
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    if y >= P:
        return None
    u, v = y * y - 1, D * y * y + 1
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if v * x * x % P == -u % P:
        x = x * ROOT % P
    if v * x * x % P != u % P or x == 0 and sign:
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


def encode(p):
    inverse = pow(p[2], -1, P)
    x, y = p[0] * inverse % P, p[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def multiples(p):
    """0 p, 1 p, ... 15 p."""
    table = [IDENTITY, p]
    while len(table) < 16:
        table.append(add(table[-1], p))
    return table


BASE = multiples(decode((4 * pow(5, -1, P) % P).to_bytes(32, "little")))


def combine(s, k, p):
    """[s]B + [k]p, four bits of both at a time."""
    table, q = multiples(p), IDENTITY
    for shift in range(252, -4, -4):
        for _ in range(4):
            q = double(q)
        if digit := s >> shift & 15:
            q = add(q, BASE[digit])
        if digit := k >> shift & 15:
            q = add(q, table[digit])
    return q


def verify(key, message, signature):
    """Whether the signature of the message is the key's."""
    if len(key) != 32 or len(signature) != 64:
        return False
    s = int.from_bytes(signature[32:], "little")
    point = decode(key)
    if s >= L or point is None:
        return False
    hashed = hashlib.sha512(signature[:32] + key + message).digest()
    k = int.from_bytes(hashed, "little") % L
    negative = (P - point[0], point[1], 1, P - point[3])
    return encode(combine(s, k, negative)) == signature[:32]


def sound(key):
    """Whether a roster may name the key: 32 bytes, the point not of small order.

    Under a key of small order one signature fits many messages.
    """
    if len(key) != 32:
        return False
    y = (int.from_bytes(key, "little") & (2**255 - 1)) % P
    point = decode(y.to_bytes(32, "little"))
    if point is None:
        return True  # no point at all: it verifies nothing
    return encode(double(double(double(point)))) != encode(IDENTITY)
