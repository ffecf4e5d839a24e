# SPDX-License-Identifier: Apache-2.0
"""Three hosts in network namespaces: client -- router -- gateway, IPv4 and IPv6, each link a veth pair. What goes wrong goes wrong on
the router, as in life: a host whose packets are dropped there is told nothing. Namespaces live as long as a `cat` in them does, and
that ends with this process, however it ends: nothing is left behind."""
import functools
import os
import re
import shutil
import subprocess
import unittest

GATEWAY = ("10.88.0.1", "fd88:0::1")
OUTSIDE = ("10.88.0.254", "fd88:0::fe")  # the router's address towards the gateway
TABLE = "table inet twinlatch\ndelete table inet twinlatch\ntable inet twinlatch {{\n{}}}\n"


class Unavailable(Exception):
    """Why there are no namespaces here."""


class Host:
    """A network namespace."""

    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True)
        if self.holder.stdout.readline() != "\n":
            raise Unavailable("no network namespace: " + self.holder.stderr.read().strip())
        self.enter = ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", "--"]
        self.sysctl(ipv6__conf__default__accept_dad=0, ipv6__conf__default__dad_transmits=0)  # two seconds of silence otherwise
        self.run("ip", "link", "set", "lo", "up")

    @property
    def pid(self):
        return self.holder.pid

    def run(self, *command, given=None):
        done = subprocess.run([*self.enter, *command], input=given, capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def ip(self, *batches):
        """Several `ip` commands in one process: a second apart they would be another test."""
        self.run("ip", "-batch", "-", given="".join(b + "\n" for b in batches))

    def sysctl(self, **values):
        self.run("sh", "-c", "".join(f"echo {value} > /proc/sys/net/{name.replace('__', '/')};" for name, value in values.items()))

    def close(self):
        self.holder.stdin.close()
        self.holder.wait()
        self.holder.stdout.close()
        self.holder.stderr.close()


class Network:
    """client (eth0) -- (lan) router (wan) -- (eth0) gateway. The client is 10.88.N.2 and fd88:N::2 with a default route over the
    router, which is .1 there; N is 1 and changes with move()."""

    def __init__(self, nat=False, mtu=1500):
        self.hosts = []
        try:
            self.client, self.router, self.gateway = (self._host() for _ in range(3))
            self.place, self.nat, self.generation, self.rules = 1, nat, 1, []
            self._link(self.client, "eth0", "lan")
            self._link(self.gateway, "eth0", "wan")
            self.router.sysctl(ipv4__ip_forward=1, ipv6__conf__all__forwarding=1)
            self.router.ip(f"addr add {OUTSIDE[0]}/24 dev wan", f"addr add {OUTSIDE[1]}/64 dev wan nodad")
            self.gateway.ip(f"addr add {GATEWAY[0]}/24 dev eth0", f"addr add {GATEWAY[1]}/64 dev eth0 nodad",
                            f"route add default via {OUTSIDE[0]}", f"route add ::/0 via {OUTSIDE[1]}")
            self.router.ip(*(f"addr add {a}" for n in range(1, 10) for a in (f"10.88.{n}.1/24 dev lan", f"fd88:{n}::1/64 dev lan nodad")))
            self.client.ip(*self._arrive(1))
            self._apply()
            self.set_mtu(mtu)
        except BaseException:
            self.close()
            raise

    def _host(self):
        self.hosts.append(Host())
        return self.hosts[-1]

    def _link(self, host, name, at_router):
        self.router.ip(f"link add {at_router} type veth peer name {name} netns {host.pid}", f"link set {at_router} up")
        host.ip(f"link set {name} up")

    @staticmethod
    def _arrive(place):
        return (f"addr add 10.88.{place}.2/24 dev eth0", f"addr add fd88:{place}::2/64 dev eth0 nodad",
                f"route replace default via 10.88.{place}.1", f"route replace ::/0 via fd88:{place}::1")

    @staticmethod
    def _leave(place):
        return (f"addr del 10.88.{place}.2/24 dev eth0", f"addr del fd88:{place}::2/64 dev eth0")

    def close(self):
        for host in self.hosts:
            host.close()
        self.hosts = []

    # ---- what happens to the client's address

    def move(self):
        """Another address, network and default route, and then the old ones go: what another Wi-Fi is."""
        before, self.place = self.place, self.place % 9 + 1
        self.client.ip(*self._arrive(self.place), *self._leave(before))

    def leave(self):
        """No address any more. arrive() ends it."""
        self.client.ip(*self._leave(self.place))

    def arrive(self):
        """After leave(): in another network."""
        self.place = self.place % 9 + 1
        self.client.ip(*self._arrive(self.place))

    def rebind(self):
        """The NAT forgets what it knew: the same client comes out of another port, and what is sent to the old one goes nowhere."""
        assert self.nat
        self.generation += 1
        self._apply()

    def set_mtu(self, mtu):
        """Of the link in the middle: the hosts still believe in 1500."""
        self.router.ip(f"link set wan mtu {mtu}")
        self.gateway.ip(f"link set eth0 mtu {mtu}")

    # ---- what the router does to packets

    def drop(self, what=""):
        """Nothing of it gets through in either direction: "udp", "tcp", "" is everything. pass_all() ends it."""
        self._rule((f"meta l4proto {what} " if what else "") + "drop")

    def reject(self):
        """As drop(), and the sender is told."""
        self._rule("reject with icmpx type admin-prohibited")

    def lose(self, percent):
        """So many packets of a hundred, of either direction, at random."""
        self._rule(f"numgen random mod 100 < {percent} counter drop")

    @property
    def lost(self):
        """Packets that lose() ate since it was called."""
        return sum(map(int, re.findall(r"counter packets (\d+)", self.router.run("nft", "list", "chain", "inet", "twinlatch", "forward"))))

    def pass_all(self):
        self.rules = []
        self._apply()

    def _rule(self, rule):
        self.rules = [rule]
        self._apply()

    def _apply(self):
        """All rules, in one transaction. Another conntrack zone makes the router forget every mapping at once."""
        parts = [("forward", "filter hook forward priority 0", self.rules)]
        if self.nat:
            low = 20000 + self.generation % 100 * 100
            parts += [("zone", "filter hook prerouting priority -300", [f"ct zone set {self.generation % 60000}"]),
                      ("out", "nat hook postrouting priority 100", [f'oifname "wan" meta l4proto {{ tcp, udp }} masquerade to :{low}-{low + 99}']),
                      ("old", "filter hook input priority 0", ['iifname "wan" meta l4proto { tcp, udp } drop'])]
        text = "".join(f"chain {name} {{ type {kind};\n" + "".join(r + "\n" for r in rules) + "}\n" for name, kind, rules in parts)
        self.router.run("nft", "-f", "-", given=TABLE.format(text))


PROBE = """table inet probe {
chain zone { type filter hook prerouting priority -300; ct zone set 2; }
chain out { type nat hook postrouting priority 100; oifname "near" meta l4proto { tcp, udp } masquerade to :20000-20099; }
chain forward { type filter hook forward priority 0; numgen random mod 100 < 5 drop; reject with icmpx type admin-prohibited; }
}
"""


@functools.lru_cache(None)
def why_not():
    """None, or why there can be no Network here. Only what the machine lacks: that a Network does not work is an error."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for tool in ("ip", "nft", "unshare", "nsenter"):
        if not shutil.which(tool):
            return f"{tool} is not installed"
    host = None
    try:
        host = Host()
        host.run("ip", "link", "add", "near", "type", "veth", "peer", "name", "far")
        host.run("nft", "-f", "-", given=PROBE)
    except (Unavailable, AssertionError, OSError) as error:
        return f"network namespaces, veth pairs or NAT cannot be made: {error}"
    finally:
        if host is not None:
            host.close()
    return None


def need():
    if why_not():
        raise unittest.SkipTest(why_not())


def make(test, **options):
    """A Network that ends with the test, or with the class; skips where there can be none."""
    need()
    network = Network(**options)
    (test.addClassCleanup if isinstance(test, type) else test.addCleanup)(network.close)
    return network
