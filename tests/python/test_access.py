"""Tokens, as section 10 has them: made here with Python's own library, checked by the node."""

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import tempfile
import time
import unittest
from pathlib import Path

import message
from listener import Listener
from stage import Broker, Node
from viewer import Viewer

# As text: a newline at its end would not count.
SECRET = secrets.token_hex(32).encode()
OTHER = secrets.token_hex(32).encode()


def setUpModule():
    global broker, node, folder
    folder = tempfile.TemporaryDirectory()
    key, revoked = Path(folder.name) / "key", Path(folder.name) / "revoked"
    key.write_bytes(SECRET)
    key.chmod(0o600)
    revoked.write_text("taken-back\n")
    broker = Broker()
    node = Node(
        broker,
        f'[access]\nmode = "token"\nrevoked_file = "{revoked}"\n'
        f'[[access.keys]]\nkid = "k1"\nalgorithm = "HS256"\nfile = "{key}"\n',
    )


def tearDownModule():
    node.stop()
    broker.stop()
    folder.cleanup()


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def token(lasts=60, secret=SECRET, header=None, **claims):
    header = {"alg": "HS256", "kid": "k1", **(header or {})}
    claims = {
        "aud": "porch",
        "peer": "py-*",
        "exp": int(time.time()) + lasts,
        "jti": secrets.token_hex(8),
        "scope": "view",
    } | claims
    said = b".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
    return (said + b"." + base64url(hmac.new(secret, said, hashlib.sha256).digest())).decode()


class Tokens(unittest.IsolatedAsyncioTestCase):
    async def test_refusals(self):
        """each bad token is refused with the code of what is wrong with it first, and nothing is told to its bearer"""
        soon = int(time.time()) + 600
        everything_wrong = {"secret": OTHER, "lasts": -60, "aud": "cellar", "nbf": soon}
        cases = [
            ("none", None, "tokenMissing"),
            ("no token", "a.b.c", "notAllowed"),
            ("unknown key", token(header={"kid": "k2"}), "notAllowed"),
            ("wrong algorithm", token(header={"alg": "EdDSA"}), "notAllowed"),
            ("no algorithm", token(header={"alg": "none"}), "notAllowed"),
            ("critical extension", token(header={"crit": ["exp"]}), "notAllowed"),
            ("wrong signature", token(**everything_wrong), "notAllowed"),
            ("a claim missing", token(jti=None), "notAllowed"),
            ("a claim of the wrong type", token(exp="tomorrow"), "notAllowed"),
            ("another node's", token(aud=["cellar", "attic"], lasts=-60), "notAllowed"),
            ("another peer's", token(peer="tab-*", lasts=-60), "notAllowed"),
            ("revoked", token(jti="taken-back", lasts=-60), "notAllowed"),
            ("expired", token(lasts=-60), "tokenExpired"),
            ("not yet valid", token(nbf=soon, lasts=900), "tokenNotYetValid"),
            ("without the scope", token(scope="talk control"), "notAllowed"),
            ("without the channel's scope", token(), "notAllowed"),
        ]
        peers = [await self.enterAsyncContext(Listener(broker.port, node.id)) for _ in range(2)]
        for number, (name, given, slug) in enumerate(cases):
            with self.subTest(name):
                session = secrets.token_hex(16)
                wants = {"video": ["no-such-camera"]}
                if "channel" in name:
                    wants["channels"] = ["control"]
                # A peer's first ten joins may come at once.
                peer = peers[number % 2]
                peer.say("join", session=session, seq=0, nonce="n", wants=wants, token=given)
                said = await peer.hear(session=session)
                self.assertEqual((said["type"], message.BY_CODE[said["code"]]["slug"], said["re"]), ("error", slug, 0))
                self.assertEqual("retryAfter" in said, slug == "tokenNotYetValid")
        status = (await peers[0].present())
        self.assertEqual(status["access"], "token")

    async def test_renewal(self):
        """a session lives as long as its token, or the next one, and a bad next one ends it"""
        viewers = [await self.enterAsyncContext(Viewer(broker.port, node.id)) for _ in range(3)]
        for lasts in (6, 20, 60):
            started = time.monotonic()
            sessions = [viewer.join(token=token(lasts, aud=["cellar", "porch"], peer=viewer.peer)) for viewer in viewers]
            kept, forgotten, spoiled = sessions
            kept.say("renew", token=token())
            for session in sessions:
                async with asyncio.timeout(60):
                    while not session.connected.is_set() and not session.ended.done():
                        await asyncio.sleep(0.02)
            if time.monotonic() - started < lasts / 2:
                break
            # A machine with so much to do gets more time; the next sessions replace these.
        seq = spoiled.say("renew", token=token(aud="cellar"))
        step, error = await asyncio.wait_for(spoiled.ended, 20)
        self.assertEqual((step, error["code"], error["re"]), ("failed", message.ERRORS["notAllowed"]["code"], seq))
        self.assertEqual(await asyncio.wait_for(forgotten.ended, lasts + 20), ("leave", "expired"))
        self.assertGreater(time.monotonic() - started, lasts - 2)
        await kept.media.until(frames=15)
        self.assertTrue(kept.delivery.is_settled(), "a renewal is acknowledged, and gets nothing else")
        self.assertEqual(kept.errors, [])


if __name__ == "__main__":
    unittest.main()
