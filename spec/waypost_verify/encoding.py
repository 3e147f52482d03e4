"""Base64, JSON and length-prefixed bytes, read strictly: one spelling each."""

import base64
import binascii
import json
import re
import unicodedata

from .refused import Refused, require

BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}\Z", re.ASCII)


def base64_bytes(text, what, loose=False):
    """Decodes padded base64. Loose: the bits of the last character that carry
    nothing may be anything, as C2SP signed-note leaves it."""
    require(isinstance(text, str) and BASE64.match(text), f"{what} is not base64")
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise Refused(f"{what} is not base64") from None
    require(len(text) == (len(raw) + 2) // 3 * 4, f"{what} is not base64")
    require(loose or base64.b64encode(raw).decode() == text, f"{what} is not base64 in its canonical form")
    return raw


def base64_text(raw):
    return base64.b64encode(raw).decode()


def hex_bytes(text, n, what):
    require(isinstance(text, str) and re.fullmatch("[0-9a-f]*", text, re.ASCII) and len(text) == 2 * n,
            f"{what} is not {n} bytes in lower-case hex")
    return bytes.fromhex(text)


def prefixed(*parts):
    """Each part preceded by its length as 4 bytes: lp in the specification."""
    out = b""
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        out += len(raw).to_bytes(4, "big") + raw
    return out


class Cursor:
    """Reads fields off bytes; whatever is missing refuses the whole."""

    def __init__(self, raw, what):
        self.raw, self.at, self.what = raw, 0, what

    def take(self, n):
        part = self.raw[self.at:self.at + n]
        require(len(part) == n, f"{self.what} is cut short")
        self.at += n
        return part

    def number(self, size):
        return int.from_bytes(self.take(size), "big")

    def string(self, size=1):
        """A string behind its length in size bytes, ASCII."""
        raw = self.take(self.number(size))
        require(raw.isascii(), f"{self.what} has a word that is not ASCII")
        return raw.decode()

    def expect(self, raw):
        require(self.take(len(raw)) == raw, f"{self.what} does not begin as it must")

    def end(self):
        require(self.at == len(self.raw), f"{self.what} is followed by something else")


# JSON


def strict_object(pairs):
    names = [name for name, _ in pairs]
    require(len(set(names)) == len(names), "a name stands twice in a JSON object")
    return dict(pairs)


def strict_int(text):
    require(len(text) <= 20 and text != "-0", "a number is out of range")
    return int(text)


def no_number(_):
    raise Refused("a number is not a whole one")


def parse_json(raw, what, limit):
    """Reads UTF-8 JSON without repeated names, fractions or null."""
    require(len(raw) <= limit, f"{what} has more than {limit} bytes")
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=strict_object, parse_int=strict_int,
                           parse_float=no_number, parse_constant=no_number)
        json.dumps(value, ensure_ascii=False).encode()  # half a character cannot be encoded
    except (ValueError, RecursionError):
        raise Refused(f"{what} is not JSON") from None
    return value


def format_json(value, indent=None):
    """The JSON of the specification: see "JSON" in spec/README.md."""
    separators = (",", ": ") if indent else (",", ":")
    text = json.dumps(value, ensure_ascii=False, indent=indent, separators=separators)
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").encode()


def fields(value, names, what):
    """The values of an object that has exactly these names."""
    require(isinstance(value, dict), f"{what} is not a JSON object")
    require(set(value) == set(names), f"{what} has a field more or less")
    return [value[name] for name in names]


def is_whole(value, low, high):
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


# Words


def is_word(text, more=""):
    """1 to 32 lower-case letters and underscores, beginning with a letter."""
    return re.fullmatch(f"[a-z][a-z_{more}]{{0,31}}", text, re.ASCII) is not None


def is_visible(text, longest):
    """1 to longest printable ASCII characters without space."""
    return 1 <= len(text) <= longest and all("!" <= c <= "~" for c in text)


def is_printable(text):
    """Letters, marks, numbers, punctuation, symbols and the ASCII space."""
    return all(c == " " or unicodedata.category(c)[0] in "LMNPS" for c in text)
