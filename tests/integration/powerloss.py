# SPDX-License-Identifier: Apache-2.0
"""What a disk holds when the power goes: a model of the files below a directory, from what tests/shim/disk-shim.c told.

Contents are durable up to the last fsync of the file; names (create, rename, unlink) up to the last fsync of the directory.
What came later is lost (`keep=None`), or reached the disk in part: any subset of the writes, torn at sectors, and a first part
of the changes of names, as a journalling file system orders them."""
import os
import pathlib
import shutil
import struct

import twinlatch

SHIM = twinlatch.BUILD / "tests/shim/disk-shim.so"
RECORD = struct.Struct("<B3xIQQQ")
SECTOR = 512


class File:
    def __init__(self, contents=b""):
        self.durable, self.pending = bytearray(contents), []

    def apply(self, change):
        kind, offset, data = change
        if kind == "L":
            del self.durable[offset:]
            self.durable.extend(bytes(offset - len(self.durable)))
        else:
            self.durable.extend(bytes(max(0, offset + len(data) - len(self.durable))))
            self.durable[offset:offset + len(data)] = data

    def sync(self):
        for change in self.pending:
            self.apply(change)
        self.pending = []

    def part(self, rng):
        """Some of what was not synced."""
        for kind, offset, data in self.pending:
            if rng.random() < 0.5:
                continue
            if kind == "W" and rng.random() < 0.3:
                data = data[:rng.randrange(0, len(data) // SECTOR + 1) * SECTOR]
            self.apply((kind, offset, data))
        self.pending = []


class Disk:
    """The directory and what a program under the shim did to it since `begin`."""

    def __init__(self, directory, scratch):
        self.directory = pathlib.Path(directory)
        self.log, self.boot, self.fault = scratch / "shim.log", scratch / "boot_id", scratch / "fault"
        self.boots = 0

    def environment(self):
        return {"LD_PRELOAD": str(SHIM), "TL_SHIM_DIR": str(self.directory), "TL_SHIM_LOG": str(self.log),
                "TL_SHIM_BOOT_ID": str(self.boot), "TL_SHIM_FAULT": str(self.fault)}

    def begin(self):
        """Everything that is there now is on disk; the next program runs under another boot."""
        self.boots += 1
        self.boot.write_text(f"{self.boots:08x}-0000-4000-8000-000000000000\n")
        self.fault.write_bytes(bytes(4096))
        self.log.write_bytes(b"")
        self.folders, self.names, self.changes, self.inodes = {self.directory}, {}, [], {}
        for path in self.directory.rglob("*") if self.directory.exists() else []:
            if path.is_dir():
                self.folders.add(path)
            elif path.is_file():
                self.names[path] = self.inodes[path.stat().st_ino] = File(path.read_bytes())

    def fail(self, number):
        """Everything that would change the directory fails with this errno from now on; 0: no more."""
        with open(self.fault, "r+b") as file:
            file.write(struct.pack("<i", number))

    def _records(self):
        data, at = self.log.read_bytes(), 0
        while at + RECORD.size <= len(data):
            kind, path_length, inode, offset, length = RECORD.unpack_from(data, at)
            at += RECORD.size
            path = pathlib.Path(os.fsdecode(data[at:at + path_length]))
            at += path_length
            yield chr(kind), path, inode, offset, data[at:at + length]
            at += length

    def _rename(self, change):
        kind, path, what = change
        if kind == "C":
            self.names[path] = what
        elif kind == "M":
            self.folders.add(path)
        elif kind == "U":
            self.names.pop(path, None)
        elif kind == "R" and path in self.names:
            self.names[what] = self.names.pop(path)

    def _replay(self):
        for kind, path, inode, offset, data in self._records():
            if kind == "C":
                self.inodes[inode] = File()
                self.changes.append(("C", path, self.inodes[inode]))
            elif kind in "WL":
                self.inodes[inode].pending.append((kind, offset, data))
            elif kind == "S":
                self.inodes[inode].sync()
            elif kind == "D":
                for change in [c for c in self.changes if c[1].parent == path]:
                    self.changes.remove(change)
                    self._rename(change)
            elif kind == "R":
                self.changes.append(("R", path, pathlib.Path(os.fsdecode(data))))
            else:
                self.changes.append((kind, path, None))

    def cut(self, rng=None):
        """The program was killed: makes the directory what the disk holds. rng: part of the rest arrived."""
        self._replay()
        for change in self.changes[:rng.randrange(len(self.changes) + 1)] if rng else []:
            self._rename(change)
        for file in {id(f): f for f in self.names.values()}.values():
            file.part(rng) if rng else None
        shutil.rmtree(self.directory)
        for folder in sorted(self.folders):
            folder.mkdir(mode=0o700, parents=True)
        for path, file in self.names.items():
            if path.parent in self.folders and not path.name.endswith("-shm"):
                path.write_bytes(file.durable)
                path.chmod(0o600)
