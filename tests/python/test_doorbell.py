"""A doorbell, as section 7 has it: registered, rung, and every way in which a ring ends; no media but after accepting."""

import asyncio
import json
import secrets
import tempfile
import unittest
import urllib.error
import urllib.request
from pathlib import Path

import message
from listener import Listener
from stage import BINARY, Broker, Node

SECRET = "a-secret-of-the-door"
# Long enough that nothing but a test ends a ring, and one that ends by itself.
PATIENT, HASTY = 120, 2


def setUpModule():
    global broker, folder, node, hasty
    broker = Broker()
    folder = tempfile.TemporaryDirectory()
    secret = Path(folder.name) / "ring.secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)

    def door(name, ring_s):
        socket = Path(folder.name) / f"{name}.sock"
        return Node(
            broker,
            f'[limits]\nring_timeout_s = {ring_s}\n[ring]\nsocket = "{socket}"\nhttp_secret_file = "{secret}"\n',
            name,
        )

    node, hasty = door("porch", PATIENT), door("yard", HASTY)


def tearDownModule():
    hasty.stop()
    node.stop()
    broker.stop()
    folder.cleanup()


class Ring:
    """`camera-node ring --wait --json`: who is rung, and what has become of it."""

    def __init__(self, process, rung):
        self.process, self.rung = process, rung

    @classmethod
    async def start(cls, at, *more):
        socket = Path(folder.name) / f"{at.id}.sock"
        command = [BINARY, "ring", "--socket", str(socket), "--wait", "--json", *more]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        line = await asyncio.wait_for(process.stdout.readline(), 20)
        return cls(process, json.loads(line)["rung"])

    async def over(self):
        line = await asyncio.wait_for(self.process.stdout.readline(), 20)
        await self.process.wait()
        return json.loads(line)


def press(at, secret=SECRET, query=""):
    """`POST /ring`: the status, and what it says."""
    request = urllib.request.Request(f"http://127.0.0.1:{at.http}/ring{query}", b"", {"Authorization": f"Bearer {secret}"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


class Bell(Listener):
    """A registered peer that answers as a test wants."""

    def __init__(self, at, name):
        super().__init__(broker.port, at.id)
        self.at, self.name = at, name

    async def register(self, seq=0, name=None, ttl=600):
        self.say("register", seq=seq, name=name or self.name, ttl=ttl)
        return await self.hear(re=seq)

    async def called(self):
        """Waits for a call, acknowledges it by ringing; gives its session."""
        call = await self.hear(type="call")
        assert (call["seq"], call["from"]) == (0, self.at.id), call
        assert not {"sdp", "wants", "token"} & call.keys(), call
        self.say("ringing", session=call["session"], seq=0, ack=0, re=0)
        return call["session"]

    async def reject(self, session, reason, seq=1):
        """A last word; it is acknowledged."""
        self.say("callResponse", session=session, seq=seq, ack=0, re=0, response="rejected", reason=reason)
        await self.hear(type="ack", session=session, ack=seq)

    async def cancelled(self, session):
        """The `cancel` of this call, which we acknowledge; its reason."""
        said = await self.hear(type="cancel", session=session, within=20)
        self.say("ack", session=session, ack=said["seq"])
        return said["reason"]


class Registration(unittest.IsolatedAsyncioTestCase):
    async def test_names(self):
        """a name belongs to one live peer, which may renew it, rename itself and go, and go twice"""
        async with Bell(node, "Attic") as one, Bell(node, "Attic") as other:
            said = await one.register(seq=3, ttl=60)
            self.assertEqual((said["type"], said["name"], said["ttl"]), ("registered", "Attic", 60))
            self.assertEqual({"session", "seq", "ack"} & said.keys(), set())
            other.say("register", seq=1, name="Attic", ttl=60)
            await other.error("nameTaken", re=1)
            self.assertEqual((await one.register(seq=4, ttl=120))["ttl"], 120)
            self.assertEqual((await one.register(seq=5, name="Loft"))["name"], "Loft")
            self.assertEqual((await other.register(seq=2))["type"], "registered")
            for seq in (6, 7):
                one.say("unregister", seq=seq)
                self.assertEqual((await one.hear(re=seq))["type"], "unregistered")
            other.say("unregister", seq=3)
            await other.hear(type="unregistered", re=3)

    async def test_bad_ones(self):
        """a registration for no time, for too long or under no name is a bad message"""
        async with Bell(node, "Attic") as one:
            for seq, fields in enumerate([{"name": "A", "ttl": 0}, {"name": "A", "ttl": 3601}, {"name": "", "ttl": 9}, {"ttl": 9}]):
                one.say("register", seq=seq, **fields)
                await one.error("badMessage", re=seq)


class Rung(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.kitchen, self.study = [
            await self.enterAsyncContext(Bell(node, name)) for name in ("Kitchen", "Study")
        ]
        for bell in (self.kitchen, self.study):
            self.assertEqual((await bell.register())["type"], "registered")

    async def asyncTearDown(self):
        # So that the next test is alone at the door.
        for bell in (self.kitchen, self.study):
            bell.say("unregister", seq=99)
            await bell.hear(type="unregistered", re=99)

    async def test_accepted(self):
        """the first to accept gets `peer` and an offer, as by a join; the other hears that it was answered"""
        ring = await Ring.start(node)
        self.assertEqual(sorted(ring.rung), ["Kitchen", "Study"])
        ours, theirs = await self.kitchen.called(), await self.study.called()
        self.assertNotEqual(ours, theirs)
        # By then the node has read that it rings here.
        self.kitchen.say("probe", seq=5)
        await self.kitchen.hear(type="status", re=5)
        self.assertFalse([said for said in self.kitchen.heard_all if said["type"] in ("peer", "offer")], "nothing is offered before")
        self.kitchen.say("callResponse", session=ours, seq=1, ack=0, re=0, response="accepted", nonce="n")
        peer = await self.kitchen.hear(type="peer", session=ours)
        self.assertEqual((peer["re"], peer["node"]["name"]), (1, "Porch"))
        offer = await self.kitchen.hear(type="offer", session=ours)
        # Without `wants` it is picture and sound.
        self.assertEqual(sorted(mid["kind"] for mid in offer["mids"].values()), ["audio", "video"])
        self.assertEqual(await self.study.cancelled(theirs), "answered")
        self.assertEqual(await ring.over(), {"answered": "Kitchen"})
        self.kitchen.say("leave", session=ours, seq=2, ack=offer["seq"], reason="closed")
        await self.kitchen.hear(type="ack", session=ours, ack=2)

    async def test_wants(self):
        """who accepts says what it wants; what it may not have ends its session, and the other is rung on"""
        ring = await Ring.start(node)
        ours, theirs = await self.kitchen.called(), await self.study.called()
        accept = {"ack": 0, "re": 0, "response": "accepted", "nonce": "n"}
        self.kitchen.say("callResponse", session=ours, seq=1, wants={"video": ["cellar"]}, **accept)
        await self.kitchen.error("noSuchCamera", session=ours, re=1)
        leave = await self.kitchen.hear(type="leave", session=ours, reason="failed")
        self.kitchen.say("ack", session=ours, ack=leave["seq"])
        self.study.say("callResponse", session=theirs, seq=1, wants={"video": ["front"]}, **accept)
        offer = await self.study.hear(type="offer", session=theirs)
        self.assertEqual([mid["kind"] for mid in offer["mids"].values()], ["video"])
        self.assertEqual(await ring.over(), {"answered": "Study"})
        self.study.say("leave", session=theirs, seq=2, ack=offer["seq"], reason="closed")
        await self.study.hear(type="ack", session=theirs, ack=2)

    async def test_declined_and_busy(self):
        """a person says no, a peer has another call: the ring is over, with each one's reason"""
        ring = await Ring.start(node)
        await self.kitchen.reject(await self.kitchen.called(), "declined")
        await self.study.reject(await self.study.called(), "busy")
        told = await ring.over()
        self.assertEqual(sorted(map(tuple, told["unanswered"])), [("Kitchen", "declined"), ("Study", "busy")])

    async def test_repeated(self):
        """what is rejected stays so: the rejection again gets its ack, and a late acceptance opens nothing"""
        ring = await Ring.start(node, "--peer", "Kitchen")
        self.assertEqual(ring.rung, ["Kitchen"])
        session = await self.kitchen.called()
        await self.kitchen.reject(session, "declined")
        await ring.over()
        await self.kitchen.reject(session, "declined")
        self.kitchen.heard_all.clear()
        self.kitchen.say("callResponse", session=session, seq=2, ack=0, re=0, response="accepted", nonce="n")
        await self.kitchen.hear(type="ack", session=session, ack=2)
        self.assertFalse([said for said in self.kitchen.heard_all if said["type"] in ("peer", "offer")])
        self.assertFalse([said for said in self.study.heard_all if said["type"] == "call"], "the other is not rung")

    async def test_gone_while_it_rings(self):
        """a peer that unregisters is cancelled with `closed`"""
        ring = await Ring.start(node, "--peer", "Study")
        session = await self.study.called()
        self.study.say("unregister", seq=7)
        await self.study.hear(type="unregistered", re=7)
        self.assertEqual(await self.study.cancelled(session), "closed")
        await ring.over()

    async def test_who_comes_while_it_rings(self):
        """a peer that registers while all are rung is called too; if it answers, the others are cancelled"""
        ring = await Ring.start(node)
        sessions = [await bell.called() for bell in (self.kitchen, self.study)]
        async with Bell(node, "Garage") as late:
            await late.register()
            session = await late.called()
            late.say("callResponse", session=session, seq=1, ack=0, re=0, response="accepted", nonce="n")
            offer = await late.hear(type="offer", session=session)
            self.assertEqual([await bell.cancelled(one) for bell, one in zip((self.kitchen, self.study), sessions)], ["answered"] * 2)
            self.assertEqual(await ring.over(), {"answered": "Garage"})
            late.say("leave", session=session, seq=2, ack=offer["seq"], reason="closed")
            await late.hear(type="ack", session=session, ack=2)
            late.say("unregister", seq=8)
            await late.hear(type="unregistered", re=8)

    async def test_pressed_by_http(self):
        """`POST /ring` rings for whoever has the secret, one ring at a time"""
        self.assertEqual((await asyncio.to_thread(press, node, "another-secret-here"))[0], 401)
        status, told = await asyncio.to_thread(press, node, query="?peer=Kitchen")
        self.assertEqual((status, told["rung"]), (202, ["Kitchen"]))
        session = await self.kitchen.called()
        self.assertEqual((await asyncio.to_thread(press, node))[0], 409)
        await self.kitchen.reject(session, "declined")
        self.assertFalse([said for said in self.study.heard_all if said["type"] == "call"])

    async def test_both_call(self):
        """a call of the peer's while it is rung answers the ring: the node's call yields"""
        ring = await Ring.start(node)
        theirs, other = await self.kitchen.called(), await self.study.called()
        session = secrets.token_hex(16)
        self.kitchen.say("call", session=session, seq=0, nonce="n", **{"from": self.kitchen.peer})
        self.assertEqual(await self.kitchen.cancelled(theirs), "answered")
        response = await self.kitchen.hear(type="callResponse", session=session)
        self.assertEqual((response["response"], response["re"]), ("accepted", 0))
        offer = await self.kitchen.hear(type="offer", session=session)
        self.assertEqual(offer["re"], 0)
        self.assertEqual(await self.study.cancelled(other), "answered")
        self.assertEqual(await ring.over(), {"answered": "Kitchen"})
        self.kitchen.say("leave", session=session, seq=1, ack=offer["seq"], reason="closed")
        await self.kitchen.hear(type="ack", session=session, ack=1)


class Unanswered(unittest.IsolatedAsyncioTestCase):
    async def test_timeout(self):
        """after its time the node cancels with `timeout`, and answers a late acceptance by the same again"""
        async with Bell(hasty, "Kitchen") as bell:
            await bell.register()
            clock = asyncio.get_running_loop().time
            began = clock()
            ring = await Ring.start(hasty)
            session = await bell.called()
            # Not acknowledged, it is said again.
            self.assertEqual((await bell.hear(type="cancel", session=session, within=20))["reason"], "timeout")
            self.assertGreaterEqual(clock() - began, HASTY)
            self.assertEqual(await ring.over(), {"unanswered": [["Kitchen", "timeout"]]})
            bell.heard_all.clear()
            bell.say("callResponse", session=session, seq=1, ack=0, re=0, response="accepted", nonce="n")
            self.assertEqual(await bell.cancelled(session), "timeout")
            self.assertFalse([said for said in bell.heard_all if said["type"] in ("peer", "offer")])


if __name__ == "__main__":
    unittest.main()
