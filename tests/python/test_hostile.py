"""Ten thousand junk messages at a node whose viewer must not notice, and whose log and memory hardly may."""

import asyncio
import itertools
import json
import random
import secrets
import subprocess
import time
import unittest
from types import SimpleNamespace

import message
from junk import false_join, junk
from link import Link
from listener import Listener
from stage import BINARY, Broker, Node, until

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
        self.said_by_node = []

    async def __aenter__(self):
        await self.link.open(self.to_us, f"{self.base}/in/+", f"{self.base}/out/+")
        return self

    def heard(self, topic, payload, retained):
        if topic == self.to_us:
            return super().heard(topic, payload, retained)
        if topic.startswith(f"{self.base}/in/"):
            self.said_to_node.append((topic, payload))
        else:
            self.said_by_node.append(message.read(payload))

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
                while node.metric('camera_node_viewers{camera="front"}') < 1 or not spy.said_by_node:
                    await asyncio.sleep(0.1)
            heard, session = list(spy.said_to_node), spy.said_by_node[0]["session"]
            encoded, memory = node.metric(ENCODED), node.rss()
            await self.send(spy, heard, payloads(session, 1), FIRST)
            await asyncio.sleep(1.5)
            lines, began = len(node.child.lines()), time.monotonic()
            asked, key_frames = self.key_frames(node)

            await self.send(spy, heard, payloads(session, 2), count)
            took = time.monotonic() - began

            # The sum of a second comes with its end.
            while len(said := node.child.lines()[lines:]) == 0:
                await asyncio.sleep(0.1)
            self.assertEqual(self.key_frames(node), (asked, key_frames), "a viewer has missed something")
            most = node.rss() - memory
            growth = await self.settled(node, memory)
            encoded = node.metric(ENCODED) - encoded
            print(f"# {count} messages in {took:.1f} s, {len(said)} log lines", flush=True)
            print(f"# {most / MEGABYTE:+.1f} MB, and {growth / MEGABYTE:+.1f} MB when all was over", flush=True)
            # A camera may stall on a machine that has too much to do; that is another matter.
            said = [line for line in said if " state part=" not in line]
            self.assertEqual([line for line in said if " last=" not in line], [], "lines about single messages")
            self.assertLessEqual(len(said), took + 2, "more than a line a second")
        seen = await asyncio.to_thread(watch.stop)
        self.assertEqual(seen["packets_lost"], 0)
        # But for those that were on their way in the end.
        self.assertGreater(seen["frames"], encoded - 30, "pictures went missing")
        self.assertEqual(seen["events"], ["join", "peer", "opening", "offer", "answer", "connected", "leave"])

    async def settled(self, node, memory):
        """What it has grown by since the first of it, once those sessions are over that nobody has answered."""
        began = time.monotonic()
        while (growth := node.rss() - memory) >= 5 * MEGABYTE:
            self.assertLess(time.monotonic() - began, 60, f"grown by {growth / MEGABYTE:.1f} MB")
            await asyncio.sleep(0.5)
        return growth

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
        """3,000 joins of nobody, under the limits that are set by default, do no more, and leave nothing"""

        def joins(_session, seed):
            chance = random.Random(seed)
            while True:
                yield false_join(chance)

        # Or the last of those who never answer are waited for longest of all.
        node = await asyncio.to_thread(Node, broker, "[limits]\nanswer_timeout_s = 5\n", "default")
        self.addCleanup(node.stop)
        await self.storm(node, 3_000, joins)

    async def test_kept_by_the_broker(self):
        """Junk that the broker has kept is answered by nothing, at the node's start and when it comes back"""
        kept = [message.write("join", session=secrets.token_hex(16), seq=0, wants={"video": True}, nonce="n")]
        seeds = junk(3, secrets.token_hex(16))
        kept += [payload for payload in itertools.islice(seeds, 300) if payload]
        async with Spy(SimpleNamespace(id="kept")) as spy:
            topics = [f"{spy.base}/in/foe-{number}" for number in range(len(kept))]
            for topic, payload in zip(topics, kept):
                said = spy.link.publish(topic, payload.replace(b"PEER", topic.rpartition("/")[2].encode()), retain=True)
            await asyncio.to_thread(said.wait_for_publish, 20)
            node = await asyncio.to_thread(Node, broker, "", "kept")
            self.addCleanup(node.stop)
            await spy.caught_up()
            self.assertEqual(spy.said_by_node, [])

            # Another client of its name: the broker throws the node off.
            thief = Link(broker.port, "kept", lambda *_: None)
            await thief.open()
            await thief.close()
            await asyncio.to_thread(until, "it is back", lambda: node.metric("camera_node_mqtt_reconnects_total") >= 1)
            await spy.caught_up()
            self.assertEqual(spy.said_by_node, [])

            # Said now, the first of it opens a session.
            spy.link.publish(topics[0], kept[0])
            async with asyncio.timeout(10):
                while not any(said["type"] == "peer" for said in spy.said_by_node):
                    await asyncio.sleep(0.05)
            for topic in topics:
                spy.link.publish(topic, b"", retain=True)


if __name__ == "__main__":
    unittest.main()
