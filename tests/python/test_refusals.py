"""What the node answers to what it cannot accept, code by code."""

import asyncio
import secrets
import unittest

import message
from listener import Listener
from stage import Broker, Node
from viewer import Viewer


def setUpModule():
    global broker, node, narrow
    broker = Broker()
    node = Node(broker)
    narrow = Node(broker, "[limits]\nmessages_per_second = 10\nmax_viewers = 3\n", "narrow")


def tearDownModule():
    narrow.stop()
    node.stop()
    broker.stop()


def new_id():
    return secrets.token_hex(16)


def join(session, **more):
    wants = {"channels": ["control"]}
    return {"kind": "join", "session": session, "seq": 0, "wants": wants, "nonce": "n"} | more


class Refusals(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.peer = await self.enterAsyncContext(Listener(broker.port, node.id))

    async def test_unreadable(self):
        """what cannot be read is answered with what could be"""
        session = new_id()
        self.peer.publish(b"{")
        answer = await self.peer.error("badMessage")
        self.assertEqual((answer.get("session"), answer.get("re")), (None, None))
        self.peer.say("leave", session=session, seq=7, reason="bored")
        await self.peer.error("badMessage", session=session, re=7)
        self.peer.say("dance", session=session, seq=8)
        await self.peer.error("unsupported", session=session, re=8)
        self.peer.publish(b'{"v":2,"type":"dance","seq":9}')
        answer = await self.peer.error("unsupportedVersion", re=9)
        self.assertEqual(answer["versions"], [1])
        self.peer.say("probe", seq=1, filler="x" * message.MAX_BYTES)
        await self.peer.error("badMessage")
        # An error is not answered, however bad; what comes after it is.
        self.peer.say("error", session=session, code="x")
        self.peer.say("probe", seq=3)
        await self.peer.hear(type="status", re=3)
        self.assertEqual(self.peer.heard_all, [])

    async def test_unknown_sessions(self):
        """a session that is not there gets an error, a leave its ack, and other peers' sessions are not there"""
        other = Listener(broker.port, node.id)
        async with other:
            session = new_id()
            other.publish(message.write(**join(session)))
            await other.hear(type="offer", session=session)
            for kind, fields in [("answer", {"re": 1, "sdp": "v=0"}), ("renew", {"token": "t"})]:
                self.peer.say(kind, session=session, seq=3, **fields)
                await self.peer.error("unknownSession", session=session, re=3)
            self.peer.say("leave", session=session, seq=4, reason="closed")
            self.assertEqual((await self.peer.hear(type="ack", session=session))["ack"], 4)
            other.say("leave", session=session, seq=1, reason="closed")
            await other.hear(type="ack", session=session, ack=1)
            # The tombstone: a late join opens nothing, and gets no more than an ack.
            other.heard_all.clear()
            other.publish(message.write(**join(session)))
            await other.hear(type="ack", session=session, ack=0)

    async def test_refused_joins(self):
        """a refused join hears why, again for its repetition, and has no session"""
        session = new_id()
        for _ in range(2):
            self.peer.publish(message.write(**join(session, wants={"video": ["cellar"]})))
            answer = await self.peer.error("noSuchCamera", session=session, re=0)
            self.assertEqual(answer["ack"], 0)
        self.peer.say("ice", session=session, seq=1, candidates=[], complete=True)
        await self.peer.error("noSuchCamera", session=session, re=0)

    async def test_order(self):
        """a bad message keeps its place, what is not spoken is said so, and too far ahead is the end"""
        session = new_id()
        self.peer.publish(message.write(**join(session)))
        peer = await self.peer.hear(type="peer", session=session)
        self.assertEqual((peer["seq"], peer["re"], peer["ack"]), (0, 0, 0))
        offer = await self.peer.hear(type="offer", session=session)
        self.assertEqual((offer["seq"], offer["re"], offer["mids"]), (1, 0, {}))
        self.peer.say("ice", session=session, seq=1, candidates="none", ack=1)
        await self.peer.error("badMessage", session=session, re=1)
        self.peer.say("offer", session=session, seq=3, sdp="v=0", mids={})
        self.peer.say("ringing", session=session, seq=2)
        await self.peer.error("badMessage", session=session, re=2)
        await self.peer.error("unsupported", session=session, re=3)
        self.peer.say("answer", session=session, seq=4, re=9, sdp="v=0")
        await self.peer.error("badMessage", session=session, re=4)
        self.peer.say("ice", session=session, seq=37, candidates=[], complete=True)
        await self.peer.error("windowOverflow", session=session)
        leave = await self.peer.hear(type="leave", session=session)
        self.assertEqual(leave["reason"], "failed")
        self.peer.say("ack", session=session, ack=leave["seq"])

    async def test_a_bad_answer(self):
        """an answer that is none ends the session with its own code"""
        session = new_id()
        self.peer.publish(message.write(**join(session)))
        offer = await self.peer.hear(type="offer", session=session)
        self.peer.say("answer", session=session, seq=1, ack=1, re=offer["seq"], sdp="v=0\r\nnonsense")
        await self.peer.error("remoteDescriptionFailed", session=session)
        leave = await self.peer.hear(type="leave", session=session, reason="failed")
        self.peer.say("ack", session=session, ack=leave["seq"])

    async def test_limits(self):
        """places, joins and messages have limits, each with a code and the seconds to wait"""
        guests = [await self.enterAsyncContext(Listener(broker.port, narrow.id)) for _ in range(4)]
        for guest in guests[:3]:
            guest.publish(message.write(**join(new_id())))
            await guest.hear(type="offer")
        guests[3].publish(message.write(**join(new_id())))
        self.assertEqual((await guests[3].error("busy", re=0))["retryAfter"], 10)
        for _ in range(200):
            guests[3].say("ack", session=new_id(), ack=0)
        answer = await guests[3].error("rateLimited")
        self.assertGreaterEqual(answer["retryAfter"], 1)
        self.assertEqual((answer.get("session"), answer.get("re")), (None, None))
        for number in range(18):
            guests[0].publish(message.write(**join(new_id(), wants={"video": [f"camera-{number}"]})))
        answer = await guests[0].error("rateLimited", re=0)
        self.assertLessEqual(answer["retryAfter"], 3)


class Unanswered(unittest.IsolatedAsyncioTestCase):
    async def test_repetitions(self):
        """what is not acknowledged is sent again after 0.5, 1, 2 s, and a repeated join gets its answer again"""
        async with Listener(broker.port, node.id) as peer:
            session, at = new_id(), []
            clock = asyncio.get_running_loop().time
            payload = message.write(**join(session))
            began = clock()
            peer.publish(payload)
            for _ in range(3):
                await peer.hear(type="offer", session=session)
                at.append(clock() - began)
            # A machine with much to do is late, never early.
            self.assertGreaterEqual(at[1], 0.5)
            self.assertGreaterEqual(at[2], 1.5)
            peer.heard_all.clear()
            peer.publish(payload)
            await peer.hear(type="peer", session=session, seq=0)
            peer.say("leave", session=session, seq=1, reason="closed")
            await peer.hear(type="ack", session=session, ack=1)


class Twice(unittest.IsolatedAsyncioTestCase):
    async def test_error_of_an_unknown_code(self):
        """an error with a code of a later version ends the session at the node"""
        async with Viewer(broker.port, node.id) as viewer:
            session = viewer.join()
            await session.media.until(frames=1)
            viewer.publish(message.write("error", session=session.id, code=999, name="NewError", message="?"))
            session.say("ice", candidates=[], complete=True)
            async with asyncio.timeout(15):
                while session.pc.connectionState == "connected":
                    await asyncio.sleep(0.05)


if __name__ == "__main__":
    unittest.main()
