"""What is said when something does not hold."""


class Refused(Exception):
    """Bytes that are not what they must be, with the reason in words."""


def require(condition, why):
    """Refuses with the reason unless the condition holds."""
    if not condition:
        raise Refused(why)
