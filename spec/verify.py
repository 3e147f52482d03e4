#!/usr/bin/env python3
"""Verifies what an exchange publishes, from the pages in this folder alone.

Needs Python 3.11 and nothing else. Exits with 0 where everything holds, with 1
where something does not, with 2 where it was called wrongly.
"""

import argparse
import json
import pathlib
import sys

sys.dont_write_bytecode = True  # the folder stays as it is

from waypost_verify import commands  # noqa: E402
from waypost_verify.refused import Refused  # noqa: E402


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands_ = parser.add_subparsers(dest="command", required=True)

    def command(name, help, files=None, trust=True):
        p = commands_.add_parser(name, help=help)
        if files:
            p.add_argument("paths", metavar=files[0], nargs=files[1], type=pathlib.Path)
        if trust:
            p.add_argument("--roster", metavar="FILE", nargs="+", type=pathlib.Path, default=[], help="signed rosters, oldest first")
            p.add_argument("--governance", metavar="FILE", type=pathlib.Path, required=name != "ledgers", help="the keys that are trusted")
        p.add_argument("--json", action="store_true", help="print JSON")
        return p

    command("vectors", "check every vector in spec/vectors", trust=False)
    command("log", "a published log from nothing", ("DIR", 1)).add_argument(
        "--keys", metavar="FILE", type=pathlib.Path, help="data keys that open entries: {id: key}, in hex")
    command("ledgers", "all logs below a folder with one folder for each role", ("DIR", 1))
    receipt = command("receipt", "receipts: their signature and, with a log, their leaf", ("FILE", "+"))
    receipt.add_argument("--ticket", metavar="FILE", type=pathlib.Path, help="the ticket that they are for")
    receipt.add_argument("--log", metavar="DIR", type=pathlib.Path, help="the log that must have the leaves")
    command("evidence", "evidence of misconduct", ("FILE", "+"))
    command("proof", "the proof that an entry stands in a log", ("FILE", "+"))
    command("batch", "one check for each line of JSON on standard input; see spec/README.md", trust=False)
    return parser.parse_args()


def main():
    args = arguments()
    try:
        report = commands.COMMANDS[args.command](args)
    except Refused as refusal:
        report = commands.Report().refuse(str(refusal))
    except OSError as error:
        report = commands.Report().refuse(f"{error.filename}: {error.strerror}")
    if args.command != "batch":
        print(json.dumps(report.json(), indent=1, ensure_ascii=False) if args.json else report.words())
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main())
