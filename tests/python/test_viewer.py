"""A viewer written from the document, at a node and a real broker: presence, sessions, candidates, bad weather."""

import asyncio
import json
import os
import random
import unittest

import message
from stage import Broker, Node
from stun import Stun
from viewer import Viewer

IN_ORDER = ["join", "peer", "opening", "offer", "answer", "connected"]


def setUpModule():
    global broker, node
    broker = Broker()
    node = Node(broker)


def tearDownModule():
    node.stop()
    broker.stop()


class Watching(unittest.IsolatedAsyncioTestCase):
    async def test_presence(self):
        """presence is retained, and told to whoever probes"""
        async with Viewer(broker.port, node.id) as viewer:
            status = await viewer.present()
            self.assertEqual((status["state"], status["access"], status["versions"]), ("online", "open", [1]))
            self.assertEqual(status["cameras"], [{"name": "front", "width": 320, "height": 180, "fps": 30}])
            viewer.probe(seq=4_294_967_295)
            answer = await asyncio.wait_for(viewer.answers.get(), 10)
            self.assertEqual((answer["re"], answer["boot"]), (4_294_967_295, status["boot"]))

    async def test_watching(self):
        """a session is seen, heard and left, its steps in the document's order"""
        async with Viewer(broker.port, node.id) as viewer:
            session = viewer.join(video=True, audio=True)
            await session.media.until(frames=60, sounds=100)
            self.assertEqual(session.media.size, (320, 180))
            self.assertEqual(sorted(mid["kind"] for mid in session.mids.values()), ["audio", "video"])
            self.assertEqual({mid["camera"] for mid in session.mids.values()}, {"front"})
            await session.leave()
            self.assertEqual(session.steps, [*IN_ORDER, "leave"])
            self.assertTrue(session.delivery.is_settled(), "the leave is acknowledged")

    async def test_sound_alone(self):
        """sound alone is a session too"""
        async with Viewer(broker.port, node.id) as viewer:
            session = viewer.join(audio=["front"])
            await session.media.until(sounds=25)
            self.assertEqual([mid["kind"] for mid in session.mids.values()], ["audio"])

    async def test_channels_alone(self):
        """data channels alone are a session too"""
        async with Viewer(broker.port, node.id) as viewer:
            session = viewer.join(channels=["control", "telemetry", "unheard-of"])
            async with asyncio.timeout(20):
                while len(session.media.channels) < 2:
                    await asyncio.sleep(0.05)
            self.assertEqual(session.mids, {})
            channels = session.media.channels
            self.assertEqual(sorted(channels), ["control", "telemetry"])
            self.assertEqual((channels["control"].ordered, channels["control"].maxRetransmits), (True, None))
            self.assertEqual((channels["telemetry"].ordered, channels["telemetry"].maxRetransmits), (False, 0))

    async def test_control(self):
        """what is asked over control is answered, and so is what cannot be read"""
        async with Viewer(broker.port, node.id) as viewer:
            session = viewer.join(channels=["control"])
            async with asyncio.timeout(20):
                while "control" not in session.media.channels:
                    await asyncio.sleep(0.05)
                control, said = session.media.channels["control"], asyncio.Queue()
                control.on("message", said.put_nowait)
                control.send(json.dumps({"id": "mine", "method": "describe"}))
                told = json.loads(await said.get())
                self.assertEqual(told["id"], "mine")
                camera = told["result"]["cameras"][0]["name"]
                self.assertIn("camera.privacy", [method["name"] for method in told["result"]["methods"]])
                control.send(json.dumps({"id": 1, "method": "camera.setSettings", "params": {"camera": camera, "fps": 0}}))
                refused = json.loads(await said.get())["error"]
                self.assertEqual((refused["code"], refused["range"]["minimum"]), (61, 1))
                control.send("junk")
                junk = json.loads(await said.get())
                self.assertEqual((junk["id"], junk["error"]["code"]), (None, 10))

    async def test_replaced(self):
        """a peer's second session replaces its first"""
        async with Viewer(broker.port, node.id) as viewer:
            first = viewer.join()
            await first.media.until(frames=1)
            second = viewer.join()
            self.assertEqual(await asyncio.wait_for(first.ended, 20), ("leave", "replaced"))
            await second.media.until(frames=15)

    async def test_bad_weather(self):
        """sessions survive loss, repetition and reordering both ways"""
        chance = random.Random(11)

        def weather(_payload):
            if chance.random() < 0.15:
                return []
            return [chance.uniform(0, 0.3) for _ in range(1 + (chance.random() < 0.3))]

        async with Viewer(broker.port, node.id, weather=weather) as viewer:
            session = viewer.join()
            await session.media.until(frames=30, sounds=25, within=40)
            self.assertEqual(session.steps, IN_ORDER)

    async def test_everything_twice(self):
        """every message twice is as good as once"""
        async with Viewer(broker.port, node.id, weather=lambda _payload: [0, 0.05]) as viewer:
            session = viewer.join()
            await session.media.until(frames=30)
            await session.leave()
            self.assertEqual(session.steps, [*IN_ORDER, "leave"])
            self.assertEqual((session.errors, viewer.failures.qsize()), ([], 0))


@unittest.skipUnless("CAMERA_NODE__ICE__BIND" in os.environ, "no network of its own")
class Trickle(unittest.IsolatedAsyncioTestCase):
    async def test_trickle(self):
        """candidates are trickled both ways, and those that come after the descriptions connect it"""
        stun = Stun()
        port = await stun.start("10.78.0.99")
        servers = f'[[ice.servers]]\nurls = ["stun:127.0.0.1:{port}", "stun:10.78.0.1:{port}"]\n'
        other = await asyncio.to_thread(Node, broker, servers, "trickling")
        try:
            async with Viewer(broker.port, other.id) as viewer:
                session = viewer.join(trickle=True)
                await session.media.until(frames=30)
                async with asyncio.timeout(20):
                    while not any("10.78.0.99" in init["candidate"] for init in session.heard_candidates):
                        await asyncio.sleep(0.05)
                found = next(init for init in session.heard_candidates if "10.78.0.99" in init["candidate"])
                self.assertIn(f"a=ice-ufrag:{found['usernameFragment']}", session.pc.remoteDescription.sdp)
                self.assertIn(found.get("sdpMid", "0"), session.mids)
                self.assertEqual(session.peers[0]["iceServers"][0]["urls"][0], f"stun:127.0.0.1:{port}")
        finally:
            await asyncio.to_thread(other.stop)
            stun.transport.close()


class Kept(unittest.IsolatedAsyncioTestCase):
    async def test_retained(self):
        """what the broker has kept on a peer's topics is of nobody who waits for an answer"""
        async with Viewer(broker.port, "late", peer="keeper") as keeper:
            keeper.link.publish(keeper.to_node, message.write("probe", seq=1), retain=True)
            keeper.link.publish(keeper.to_us, message.write("error", **message.failure("busy")), retain=True).wait_for_publish(10)
        late = await asyncio.to_thread(Node, broker, "", "late")
        try:
            async with Viewer(broker.port, "late", peer="keeper") as viewer:
                viewer.probe(seq=2)
                answer = await asyncio.wait_for(viewer.answers.get(), 10)
                self.assertEqual((answer["re"], viewer.answers.qsize(), viewer.failures.qsize()), (2, 0, 0))
                for topic in (viewer.to_node, viewer.to_us):
                    viewer.link.publish(topic, b"", retain=True)
        finally:
            await asyncio.to_thread(late.stop)


class Ending(unittest.IsolatedAsyncioTestCase):
    async def test_shutdown(self):
        """a node that stops says leave to its viewers, and is offline"""
        other = await asyncio.to_thread(Node, broker, "", "stopping")
        async with Viewer(broker.port, other.id) as viewer:
            session = viewer.join()
            await session.media.until(frames=15)
            code = await asyncio.to_thread(other.stop)
            self.assertEqual(await asyncio.wait_for(session.ended, 10), ("leave", "shutdown"))
            async with asyncio.timeout(10):
                while viewer.status["state"] != "offline":
                    await viewer.statuses.get()
            self.assertEqual((code, viewer.status["conn"]), (0, 1))

    async def test_dtls_close(self):
        """who closes DTLS has left, and hears so if it speaks again"""
        async with Viewer(broker.port, node.id) as viewer:
            session = viewer.join()
            await session.media.until(frames=1)
            await session.pc.close()
            # A late message of the session gets the node's last word.
            async with asyncio.timeout(20):
                while not session.ended.done():
                    session.say("ice", candidates=[], complete=True)
                    await asyncio.sleep(0.2)
            self.assertEqual(session.ended.result(), ("leave", "closed"))


if __name__ == "__main__":
    unittest.main()
