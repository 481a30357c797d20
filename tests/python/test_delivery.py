"""The stream of a session's messages, in virtual time: the document's section 4, number by number."""

import json
import unittest

from delivery import Delivery, Overflow

SESSION = "4bf92f3577b34da6a3ce929d0e0e4736"


def said(seq, kind="ice", **fields):
    return {"type": kind, "seq": seq, **fields}


def seqs(messages):
    return [one["seq"] for one in messages]


class Sending(unittest.TestCase):
    def setUp(self):
        self.stream = Delivery(SESSION)

    def run_until(self, end):
        """When something was published, until the stream fails."""
        at, now = [], 0.0
        while now < end and not self.stream.has_failed(now):
            at += [now for _ in self.stream.poll(now)]
            now = self.stream.timeout()
        return at, now

    def test_schedule(self):
        """six sendings, then it has failed"""
        self.stream.send("ice", 0, candidates=[], complete=True)
        self.assertEqual(self.run_until(60), ([0, 0.5, 1.5, 3.5, 7.5, 11.5], 15.5))

    def test_persistent(self):
        """while media flows it is repeated every four seconds"""
        self.stream.persistent = True
        self.stream.send("ice", 0, candidates=[], complete=True)
        at, _ = self.run_until(60)
        self.assertEqual(at[:8], [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5])

    def test_window(self):
        """32 messages are on their way, the others wait, and an ack of what was never sent is no ack"""
        for _ in range(40):
            self.stream.send("ice", 0, candidates=[], complete=True)
        self.assertEqual(len(self.stream.poll(0)), 32)
        self.stream.receive({"type": "ack", "ack": 40}, 10, 0)
        self.assertEqual(len(self.stream.unacked), 32)
        self.stream.receive({"type": "ack", "ack": 3}, 10, 0)
        self.assertEqual([json.loads(one)["seq"] for one in self.stream.poll(0)], [32, 33, 34, 35])


class Receiving(unittest.TestCase):
    def setUp(self):
        self.stream = Delivery(SESSION)

    def test_order(self):
        """early ones wait, repeated ones are acknowledged at once"""
        self.assertEqual(self.stream.receive(said(1), 10, 0), [])
        self.assertEqual(seqs(self.stream.receive(said(0), 10, 0)), [0, 1])
        self.assertEqual(self.stream.poll(0), [])
        self.assertEqual(json.loads(self.stream.poll(0.1)[0])["ack"], 1)
        self.assertEqual(self.stream.receive(said(0), 10, 5), [])
        self.assertEqual(json.loads(self.stream.poll(5)[0]), {"v": 1, "type": "ack", "session": SESSION, "ack": 1})

    def test_overflow(self):
        """31 places ahead is in the window, 32 is not, nor are more than 65,536 bytes"""
        self.assertEqual(self.stream.receive(said(31), 10, 0), [])
        with self.assertRaises(Overflow):
            self.stream.receive(said(32), 10, 0)
        self.stream.receive(said(5), 60_000, 0)
        with self.assertRaises(Overflow):
            self.stream.receive(said(6), 6_000, 0)

    def test_leave(self):
        """leave is acted on at once, whatever is missing before it"""
        self.assertEqual(seqs(self.stream.receive(said(9, "leave", reason="closed"), 10, 0)), [9])
        self.assertEqual(json.loads(self.stream.poll(0)[0])["ack"], 9)

    def test_bad_place(self):
        """a message that cannot be read keeps its place"""
        self.assertEqual(self.stream.receive(said(1), 10, 0), [])
        self.assertEqual(seqs(self.stream.skip(0, 0)), [1])


if __name__ == "__main__":
    unittest.main()
