"""Ten thousand junk messages at a node whose viewer must not notice, and whose log and memory hardly may."""

import asyncio
import json
import random
import subprocess
import time
import unittest

import message
from junk import false_join, junk
from listener import Listener
from stage import BINARY, Broker, Node

# Fills the places, and the books of peers and of ended sessions, which have their limits.
FIRST = 2_000
MEGABYTE = 1_000_000
ENCODED = 'camera_node_frames_encoded_total{camera="front"}'


def setUpModule():
    global broker
    broker = Broker()


def tearDownModule():
    broker.stop()


class Watch:
    """`camera-node watch`, a viewer in a process of its own."""

    def __init__(self, node):
        command = [BINARY, "watch", "--json", "--node", node.id, "--broker", f"mqtt://127.0.0.1:{broker.port}"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def stop(self):
        """Leaves, and gives what it has seen."""
        self.process.terminate()
        return json.loads(self.process.communicate(timeout=20)[0])


class Spy(Listener):
    """Hears what is said to everyone, as anybody at this broker can."""

    def __init__(self, node):
        super().__init__(broker.port, node.id)
        self.base = self.status_topic.removesuffix("/status")
        self.said_to_node = []
        self.sessions_seen = []

    async def __aenter__(self):
        await self.link.open(self.to_us, f"{self.base}/in/+", f"{self.base}/out/+")
        return self

    def heard(self, topic, payload, retained):
        if topic == self.to_us:
            return super().heard(topic, payload, retained)
        if topic.startswith(f"{self.base}/in/"):
            self.said_to_node.append((topic, payload))
        elif not self.sessions_seen:
            self.sessions_seen.append(message.read(payload)["session"])

    async def caught_up(self):
        """The node has read, or thrown away, everything that was sent before."""
        for number in range(100):
            self.say("probe", seq=number)
            try:
                return await self.hear(type="status", within=2)
            except TimeoutError:
                # Thrown away with the rest.
                pass
        raise AssertionError("the node answers no more")


class Hostile(unittest.IsolatedAsyncioTestCase):
    async def storm(self, node, count, payloads):
        """Sends so much of it while somebody watches; holds the node to what must not change."""
        watch = Watch(node)
        self.addCleanup(watch.process.kill)
        async with Spy(node) as spy:
            async with asyncio.timeout(40):
                while node.metric('camera_node_viewers{camera="front"}') < 1 or not spy.sessions_seen:
                    await asyncio.sleep(0.1)
            heard = [(topic, payload) for topic, payload in spy.said_to_node]
            encoded, before = node.metric(ENCODED), node.rss()
            await self.send(spy, heard, payloads(spy.sessions_seen[0], 1), FIRST)
            await asyncio.sleep(1.5)
            memory, lines, began = node.rss(), len(node.child.lines()), time.monotonic()
            asked, key_frames = self.key_frames(node)

            await self.send(spy, heard, payloads(spy.sessions_seen[0], 2), count)
            took = time.monotonic() - began

            # The sum of a second comes with its end.
            while len(said := node.child.lines()[lines:]) == 0:
                await asyncio.sleep(0.1)
            self.assertEqual(self.key_frames(node), (asked, key_frames), "a viewer has missed something")
            encoded = node.metric(ENCODED) - encoded
            growth = node.rss() - memory
            self.assertLess(growth, 5 * MEGABYTE, f"grown by {growth / MEGABYTE:.1f} MB")
            print(f"# from before: {(node.rss() - before) / MEGABYTE:+.1f} MB", flush=True)
            print(f"# {count} messages in {took:.1f} s, {len(said)} log lines, {growth / MEGABYTE:+.1f} MB", flush=True)
            # A camera may stall on a machine that has too much to do; that is another matter.
            said = [line for line in said if " state part=" not in line]
            self.assertEqual([line for line in said if " last=" not in line], [], "lines about single messages")
            self.assertLessEqual(len(said), took + 2, "more than a line a second")
        seen = await asyncio.to_thread(watch.stop)
        self.assertEqual(seen["packets_lost"], 0)
        # But for those that were on their way in the end.
        self.assertGreater(seen["frames"], encoded - 30, "pictures went missing")
        self.assertEqual(seen["events"], ["join", "peer", "opening", "offer", "answer", "connected", "leave"])

    async def send(self, spy, heard, payloads, count):
        """So many junk messages of 200 peers, and what the viewer has said before, again."""
        publish = spy.link.publish
        for number in range(count):
            foe = f"foe-{number % 200}"
            publish(f"{spy.base}/in/{foe}", next(payloads).replace(b"PEER", foe.encode()))
            if number % 100 == 0:
                for topic, payload in heard:
                    publish(topic, payload, retain=True)
                for peer in ("a b", "ü", "p" * 65, "", "a/b", "$SYS"):
                    publish(f"{spy.base}/in/{peer}", b"{}")
                # Presence that can be read would move the viewers, as the document says: that is for the broker to forbid.
                publish(spy.status_topic, b'{"v":1,"state":"gone"}')
            if number % 50 == 0:
                await asyncio.sleep(0)
        await asyncio.to_thread(publish(spy.to_node, b"{}").wait_for_publish, 60)
        await spy.caught_up()

    def key_frames(self, node):
        names = ("camera_node_key_frames_asked_total", "camera_node_key_frames_total")
        return tuple(node.metric(f'{name}{{camera="front"}}') for name in names)

    async def test_all_of_it_read(self):
        """10,000 junk messages, all of them read, disturb no viewer and leave no trace but a line a second"""
        wide = "[limits]\nmessages_per_second = 1000\nmessages_per_second_in_all = 10000\njoins_per_minute = 600\nmax_viewers = 4\n"
        node = await asyncio.to_thread(Node, broker, wide, "wide")
        self.addCleanup(node.stop)
        await self.storm(node, 10_000, lambda session, seed: junk(seed, session))

    async def test_false_joins(self):
        """3,000 joins of nobody, under the limits that are set by default, do no more"""

        def joins(_session, seed):
            chance = random.Random(seed)
            while True:
                yield false_join(chance)

        node = await asyncio.to_thread(Node, broker, "", "default")
        self.addCleanup(node.stop)
        await self.storm(node, 3_000, joins)


if __name__ == "__main__":
    unittest.main()
