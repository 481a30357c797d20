"""One session of a viewer, as PROTOCOL.md (sections 4 and 5) has it: from `join` to `leave`."""

import asyncio
import re
import secrets
import time

from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import candidate_from_sdp

import message
from delivery import Delivery, Overflow
from media import Media


class Session:
    """A session; `ended` is awaited for its end: ("leave", reason), ("refused", error) or ("failed", error)."""

    def __init__(self, viewer, wants, token, trickle):
        self.viewer, self.wants, self.token, self.trickle = viewer, wants, token, trickle
        self.id = secrets.token_hex(16)
        self.delivery = Delivery(self.id)
        self.steps, self.errors, self.peers, self.mids = [], [], [], {}
        self.heard_candidates, self.waiting = [], []
        self.offered = asyncio.Event()
        self.connected = asyncio.Event()
        self.ended = asyncio.get_running_loop().create_future()
        self.media = Media(lambda: f"{self.steps} {self.errors}")
        self.pc = None
        self.inbox = asyncio.Queue()
        self.wake = asyncio.Event()
        self.tasks = []

    def start(self):
        self.say("join", wants=self.wants, token=self.token, nonce=secrets.token_hex(16))
        self.step("join")
        self.tasks = [asyncio.create_task(self.deliver()), asyncio.create_task(self.act())]

    def step(self, name):
        self.steps.append(name)

    # ── delivery ───────────────────────────────────────────────────────────────────────────────────────────────────

    def say(self, kind, **fields):
        fields = {key: value for key, value in fields.items() if value is not None}
        seq = self.delivery.send(kind, time.monotonic(), **fields)
        self.wake.set()
        return seq

    def hear(self, said, size):
        try:
            ready = self.delivery.receive(said, size, time.monotonic())
        except Overflow:
            return self.fail("windowOverflow")
        for one in ready:
            self.inbox.put_nowait(one)
        self.wake.set()

    def skip(self, seq):
        for one in self.delivery.skip(seq, time.monotonic()):
            self.inbox.put_nowait(one)
        self.wake.set()

    async def deliver(self):
        while not self.delivery.has_failed(time.monotonic()):
            for payload in self.delivery.poll(time.monotonic()):
                self.viewer.publish(payload)
            due = self.delivery.timeout()
            try:
                await asyncio.wait_for(self.wake.wait(), None if due is None else max(0, due - time.monotonic()))
            except TimeoutError:
                pass
            self.wake.clear()
        self.fail("signallingLost")

    # ── what the node says ─────────────────────────────────────────────────────────────────────────────────────────

    async def act(self):
        handlers = {
            "peer": self.on_peer,
            "offer": self.on_offer,
            "ice": self.on_ice,
            "leave": self.on_leave,
            "error": self.on_error,
        }
        while not self.ended.done():
            said = await self.inbox.get()
            handler = handlers.get(said["type"])
            if handler:
                try:
                    await handler(said)
                # aiortc has many ways to refuse a description.
                except Exception as problem:
                    self.errors.append(repr(problem))
                    self.fail("remoteDescriptionFailed" if said["type"] == "offer" else "internal")
            else:
                self.delivery.send_error("unsupported", said.get("seq"))
                self.wake.set()

    async def on_peer(self, said):
        self.peers.append(said)
        if self.pc:
            # New credentials for later ICE restarts, which aiortc cannot make.
            return
        self.step("peer")
        servers = [RTCIceServer(**{key: server[key] for key in ("urls", "username", "credential") if key in server})
                   for server in said["iceServers"]]
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        self.pc.on("track", self.media.take)
        self.pc.on("datachannel", self.media.take_channel)
        self.pc.on("connectionstatechange", self.on_connection)
        self.step("opening")

    async def on_offer(self, said):
        if self.steps.count("offer"):
            # aiortc makes no ICE restart and no second description: a new session is the way.
            self.delivery.send_error("unsupported", said["seq"])
            return self.wake.set()
        self.step("offer")
        self.mids = said["mids"]
        await self.pc.setRemoteDescription(RTCSessionDescription(said["sdp"], "offer"))
        await self.pc.setLocalDescription(await self.pc.createAnswer())
        answer, candidates = self.pc.localDescription.sdp, []
        if self.trickle:
            # aiortc gathers before it answers; taken out of the answer, its candidates come after it as others' do.
            answer, candidates = without_candidates(answer)
        self.say("answer", re=said["seq"], sdp=answer)
        self.step("answer")
        if candidates:
            self.say("ice", candidates=candidates[:1], complete=False)
        self.say("ice", candidates=candidates[1:], complete=True)
        self.offered.set()
        for waiting in self.waiting:
            await self.add(waiting)

    async def on_ice(self, said):
        self.heard_candidates += said["candidates"]
        if self.offered.is_set():
            await self.add(said)
        else:
            self.waiting.append(said)

    async def add(self, said):
        for init in said["candidates"]:
            if not init["candidate"]:
                continue
            candidate = candidate_from_sdp(init["candidate"].removeprefix("candidate:"))
            candidate.sdpMid, candidate.sdpMLineIndex = init.get("sdpMid"), init.get("sdpMLineIndex")
            await self.pc.addIceCandidate(candidate)
        if said["complete"]:
            await self.pc.addIceCandidate(None)

    async def on_leave(self, said):
        self.finish("leave", said["reason"], "theirs")

    async def on_error(self, said):
        self.errors.append(said)
        if said.get("re") == 0 and not self.peers:
            self.finish("refused", said, "theirs")
        elif message.ends(said) and "seq" not in said:
            # A `leave` follows and is acknowledged; the session is over all the same.
            self.finish("failed", said, "theirs")

    async def on_connection(self):
        if self.pc.connectionState == "connected":
            self.step("connected")
            self.delivery.persistent = True
            self.connected.set()
        elif self.pc.connectionState == "failed":
            self.fail("iceFailed")

    # ── the end ────────────────────────────────────────────────────────────────────────────────────────────────────

    def finish(self, step, why, last_word):
        if self.ended.done():
            return
        self.step(step)
        self.ended.set_result((step, why))
        # What is due now goes out: the acknowledgement of a `leave`.
        for payload in self.delivery.poll(time.monotonic() + 1):
            self.viewer.publish(payload)
        self.viewer.bury(self, last_word)
        self.tasks.append(asyncio.create_task(self.free()))

    def fail(self, slug):
        if self.ended.done():
            return
        self.delivery.send_error(slug)
        seq = self.delivery.send_last("leave", time.monotonic(), reason="failed")
        self.finish("failed", message.failure(slug), seq)

    async def leave(self, reason="closed"):
        """Says `leave`, waits until it is acknowledged or given up, and frees everything."""
        if not self.ended.done():
            seq = self.delivery.send_last("leave", time.monotonic(), reason=reason)
            self.wake.set()
            while not self.delivery.is_settled() and not self.ended.done():
                await asyncio.sleep(0.02)
            self.finish("leave", reason, seq)
        await self.tasks[-1]

    async def free(self):
        for task in self.tasks[:2]:
            task.cancel()
        self.media.close()
        if self.pc:
            await self.pc.close()


def without_candidates(sdp):
    """The SDP without its candidates, and those as `RTCIceCandidateInit`s."""
    kept, candidates = [], []
    for index, text in enumerate(re.split(r"(?m)^(?=m=)", sdp)):
        mid = re.search(r"(?m)^a=mid:(\S+)", text)
        fragment = re.search(r"(?m)^a=ice-ufrag:(\S+)", text)
        for line in re.findall(r"(?m)^a=(candidate:.*?)\r?$", text):
            candidates.append({
                "candidate": line,
                "sdpMid": mid[1],
                "sdpMLineIndex": index - 1,
                "usernameFragment": fragment[1],
            })
        kept.append(re.sub(r"(?m)^a=(candidate:.*|end-of-candidates)\r?\n", "", text))
    return "".join(kept), candidates
