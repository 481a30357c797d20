"""A viewer of camera-node, written from src/session/PROTOCOL.md alone: who is there, and sessions with it."""

import asyncio
import json
import secrets
import time

import message
from link import Link
from session import Session

PREFIX = "camera-node/v1"


class Viewer:
    """A peer of one node. `weather(payload)` says how often and after how many seconds a message passes, each way."""

    def __init__(self, port, node, peer=None, weather=None):
        self.peer = peer or f"py-{secrets.token_hex(6)}"
        base = f"{PREFIX}/{node}"
        self.status_topic = f"{base}/status"
        self.to_node, self.to_us = f"{base}/in/{self.peer}", f"{base}/out/{self.peer}"
        self.weather = weather or (lambda payload: [0])
        self.link = Link(port, self.peer, self.passing)
        self.sessions = {}
        self.over = {}
        self.status = None
        self.statuses = asyncio.Queue()
        self.answers = asyncio.Queue()
        self.failures = asyncio.Queue()
        self.strays = []

    async def __aenter__(self):
        await self.link.open(self.to_us, self.status_topic)
        return self

    async def __aexit__(self, *_):
        for session in list(self.sessions.values()):
            await session.leave()
        await self.link.close()

    # ── out ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def publish(self, payload):
        for delay in self.weather(payload):
            self.link.loop.call_later(delay, self.link.publish, self.to_node, payload)

    def probe(self, seq=None):
        self.publish(message.write("probe", seq=seq))

    async def present(self, within=6):
        """The node's presence: retained, or asked for when nothing comes in a second."""
        try:
            return await asyncio.wait_for(self.statuses.get(), 1)
        except TimeoutError:
            self.probe()
            return await asyncio.wait_for(self.answers.get(), within - 1)

    def join(self, token=None, trickle=False, **wants):
        """Starts a session, and says `join`."""
        session = Session(self, wants or {"video": True, "audio": True}, token, trickle)
        self.sessions[session.id] = session
        session.start()
        return session

    # ── in ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def passing(self, topic, payload, retained):
        for delay in self.weather(payload):
            self.link.loop.call_later(delay, self.heard, topic, payload, retained)

    def heard(self, topic, payload, retained):
        if topic == self.status_topic:
            try:
                self.present_is(message.read(payload, "status"))
            except message.Malformed:
                pass
        elif topic == self.to_us and not retained:
            self.told(payload)

    def told(self, payload):
        try:
            said = message.read(payload)
        except message.Malformed as malformed:
            return self.unreadable(malformed)
        session = self.sessions.get(said.get("session"))
        if session:
            session.hear(said, len(payload))
        elif said["type"] == "status":
            self.present_is(said)
            self.answers.put_nowait(said)
        elif said["type"] == "error":
            self.failures.put_nowait(said)
        elif "session" in said:
            self.stray(said)
        else:
            self.publish(message.write("error", **message.failure("unsupported", said.get("seq"))))

    def present_is(self, said):
        """Follows the latest word; see "A reader keeps" in section 3."""
        known = self.status
        if known and said["boot"] == known["boot"] and said["conn"] < known["conn"]:
            return
        if known and said["boot"] != known["boot"] and said["state"] == "offline" and known["state"] == "online":
            return
        self.status = said
        self.statuses.put_nowait(said)

    def unreadable(self, malformed):
        session = self.sessions.get(malformed.session)
        if session and malformed.seq is not None:
            session.skip(malformed.seq)
        if not malformed.is_error:
            fields = message.failure(malformed.slug, malformed.seq)
            self.publish(message.write("error", session=malformed.session, **fields))

    def stray(self, said):
        """A message of a session that is over, or never was."""
        self.strays.append(said)
        seq, kind = said.get("seq"), said["type"]
        if seq is None or kind in ("ack", "error"):
            return
        session = said["session"]
        last = self.over.get(session)
        if kind in ("leave", "cancel") or last == "theirs":
            self.publish(message.write("ack", session=session, ack=seq))
        elif last is not None:
            self.publish(message.write("leave", session=session, seq=last, ack=seq, reason="closed"))
        else:
            self.publish(message.write("error", session=session, **message.failure("unknownSession", seq)))

    def bury(self, session, last_word):
        """`last_word`: the `seq` of our `leave`, or "theirs"."""
        self.sessions.pop(session.id, None)
        self.over[session.id] = last_word


def now():
    return time.monotonic()


def pretty(said):
    return json.dumps(said)[:300]
