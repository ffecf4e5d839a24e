# SPDX-License-Identifier: Apache-2.0
"""The journal's chain from data/doc/journal.md alone: shares no code with the C side. `journal_check.py DATABASE`"""
import hashlib
import json
import sqlite3
import struct
import sys


def row_hash(previous, seq, time, *texts):
    fields = [b"twinlatch/1 journal", previous, struct.pack("<Q", seq), struct.pack("<q", time), *(t.encode() for t in texts)]
    return hashlib.sha256(b"".join(struct.pack("<Q", len(f)) + f for f in fields)).digest()


def check(database, head=None):
    """None, or what does not hold. head: "SEQ:HASH" that was kept."""
    rows = database.execute("SELECT seq, time, kind, actor, subject, detail, hash FROM journal ORDER BY seq").fetchall()
    written = (database.execute("SELECT seq FROM sqlite_sequence WHERE name = 'journal'").fetchone() or (0,))[0]
    prunes = [json.loads(r[5]) for r in rows if r[2] == "journal.pruned"]
    seq, value = (prunes[-1]["last_seq"], bytes.fromhex(prunes[-1]["last_hash"])) if prunes else (0, bytes(32))
    heads = {seq: value}
    for row in rows:
        if row[0] != seq + 1:
            return f"row {seq + 1} is missing"
        if row_hash(value, *row[:6]) != row[6]:
            return f"row {row[0]} was changed, or the hash before it"
        seq, value = row[0], row[6]
        heads[seq] = value
    if seq != written:
        return f"row {seq + 1} is missing at the end"
    if head is not None and heads.get(int(head.split(":")[0])) != bytes.fromhex(head.split(":")[1]):
        return f"the kept head {head} is not on the chain"
    return None


if __name__ == "__main__":
    sys.exit(check(sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True), *sys.argv[2:3]))
