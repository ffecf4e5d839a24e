# SPDX-License-Identifier: Apache-2.0
"""Wedges a TCP listener of a running program: wedge.py PID PORT. The listening socket is taken out of the epoll set that the program
waits in (pidfd_getfd, then EPOLL_CTL_DEL from here): the kernel goes on completing connections, and the program never hears of one
again, as if whatever accepts hung. Everything else in it goes on. There is no way back but a restart."""
import ctypes
import fcntl
import os
import re
import select
import sys

PIDFD_GETFD = 438
OURS = 700  # our own descriptors go here: the listener has to have the number that it has in the program


def listening(pid, port):
    """Inodes of the sockets that listen on that port in the program's network namespace."""
    found = set()
    for name in ("tcp", "tcp6"):
        with open(f"/proc/{pid}/net/{name}") as table:
            rows = [line.split() for line in table][1:]
        found |= {row[9] for row in rows if row[3] == "0A" and int(row[1].rsplit(":", 1)[1], 16) == port}
    return found


def descriptors(pid):
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            yield int(fd), os.readlink(f"/proc/{pid}/fd/{fd}")
        except FileNotFoundError:
            pass


def take(pidfd, fd):
    got = ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, pidfd, fd, 0)
    if got < 0:
        raise OSError(ctypes.get_errno(), f"pidfd_getfd: {os.strerror(ctypes.get_errno())}")
    moved = fcntl.fcntl(got, fcntl.F_DUPFD_CLOEXEC, OURS)
    os.close(got)
    return moved


def wedge(pid, port):
    pidfd = fcntl.fcntl(os.pidfd_open(pid), fcntl.F_DUPFD_CLOEXEC, OURS)
    inodes = {f"socket:[{inode}]" for inode in listening(pid, port)}
    open_ones = list(descriptors(pid))
    listeners = [fd for fd, link in open_ones if link in inodes]
    removed = 0
    for fd, link in open_ones:
        if link != "anon_inode:[eventpoll]":
            continue
        with open(f"/proc/{pid}/fdinfo/{fd}") as info:
            waited = set(map(int, re.findall(r"^tfd:\s*(\d+)", info.read(), re.M)))
        epoll = select.epoll.fromfd(take(pidfd, fd))
        for listener in waited.intersection(listeners):
            os.dup2(take(pidfd, listener), listener)
            epoll.unregister(listener)
            removed += 1
    return removed


if __name__ == "__main__":
    sys.exit(0 if wedge(int(sys.argv[1]), int(sys.argv[2])) else f"pid {sys.argv[1]} waits for no listener on port {sys.argv[2]}")
