"""Times of rosters: UTC, whole seconds, as Unix seconds."""

import datetime
import re

from .refused import Refused, require

SHAPE = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z\Z", re.ASCII)


def parse(text):
    """Unix seconds of 2026-03-02T12:00:00Z, from the year 2000 on."""
    require(isinstance(text, str) and SHAPE.match(text) and text >= "2000", "a time in UTC and whole seconds")
    try:
        moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise Refused("a time in UTC and whole seconds") from None
    return int(moment.timestamp())


def show(seconds):
    """A time for people."""
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
