"""One side's end of a session's message stream, as PROTOCOL.md (section 4) has it. Pure: `now` is given, in seconds."""

from dataclasses import dataclass, field

import message

WAITS = [0.5, 1, 2, 4, 4, 4]
WINDOW_MESSAGES = 32
WINDOW_BYTES = 65_536
ACK_DELAY = 0.1


class Overflow(Exception):
    """More than the window holds is on its way, or came early."""


@dataclass
class Sent:
    kind: str
    fields: dict
    seq: int
    sends: int = 0
    due: float = 0.0

    def size(self):
        # With room for an `ack` that grows.
        return len(message.write(self.kind, seq=self.seq, **self.fields)) + 80


@dataclass
class Delivery:
    session: str
    persistent: bool = False
    next_seq: int = 0
    expected: int = 0
    unacked: list = field(default_factory=list)
    queued: list = field(default_factory=list)
    early: dict = field(default_factory=dict)
    errors: list = field(default_factory=list)
    stored_errors: dict = field(default_factory=dict)
    ack_due: float | None = None

    def send(self, kind, now, **fields):
        """Says something; gives its `seq`."""
        seq = self.next_seq
        self.next_seq += 1
        self.queued.append(Sent(kind, fields, seq))
        self.fill_window(now)
        return seq

    def send_last(self, kind, now, **fields):
        """Says a last word: what is unacknowledged is given up."""
        self.unacked, self.queued, self.persistent = [], [], False
        return self.send(kind, now, **fields)

    def send_error(self, slug, re=None):
        """Answers with an `error`, which has no `seq` and is not acknowledged."""
        self.errors.append(message.failure(slug, re))
        if re is not None:
            self.stored_errors[re] = message.failure(slug, re)

    def receive(self, said, size, now):
        """Takes a message in, and gives what can now be acted on, in order."""
        if "ack" in said and said["ack"] < self.next_seq:
            self.unacked = [sent for sent in self.unacked if sent.seq > said["ack"]]
            self.fill_window(now)
        if "seq" not in said:
            return [] if said["type"] == "ack" else [said]
        seq = said["seq"]
        if said["type"] in ("leave", "cancel") and seq >= self.expected:
            self.expected, self.early, self.ack_due = seq + 1, {}, now
            return [said]
        return self.place(seq, said, size, now)

    def skip(self, seq, now):
        """A message that could not be read keeps its place in the order."""
        return self.place(seq, None, 0, now)

    def place(self, seq, said, size, now):
        if seq < self.expected:
            self.repeated(seq, now)
            return []
        waiting = sum(bytes for bytes, _ in self.early.values())
        too_much = seq > self.expected and seq not in self.early and waiting + size > WINDOW_BYTES
        if seq - self.expected >= WINDOW_MESSAGES or too_much:
            raise Overflow
        self.early.setdefault(seq, (size, said))
        ready = []
        while self.expected in self.early:
            _, first = self.early.pop(self.expected)
            self.expected += 1
            if self.ack_due is None:
                self.ack_due = now + ACK_DELAY
            if first is not None:
                ready.append(first)
        return ready

    def repeated(self, seq, now):
        self.ack_due = now
        for sent in self.unacked:
            if sent.fields.get("re") == seq and sent.sends > 0:
                sent.due = now
        if seq in self.stored_errors and not self.errors:
            self.errors.append(self.stored_errors[seq])

    def poll(self, now):
        """The messages to publish now."""
        out = []
        for error in self.errors:
            out.append(message.write("error", session=self.session, ack=self.ack(), **error))
        self.errors = []
        for sent in self.unacked:
            if sent.due <= now and (self.persistent or sent.sends < len(WAITS)):
                sent.due = now + WAITS[min(sent.sends, len(WAITS) - 1)]
                sent.sends += 1
                out.append(message.write(sent.kind, session=self.session, seq=sent.seq, ack=self.ack(), **sent.fields))
        if out:
            self.ack_due = None
        elif self.ack_due is not None and self.ack_due <= now:
            self.ack_due = None
            out.append(message.write("ack", session=self.session, ack=self.ack()))
        return out

    def timeout(self):
        """When to poll again; `None` for not before something happens."""
        times = [sent.due for sent in self.unacked]
        if self.ack_due is not None:
            times.append(self.ack_due)
        return 0.0 if self.errors else min(times, default=None)

    def has_failed(self, now):
        """Whether a message stayed unacknowledged through all its repetitions."""
        return not self.persistent and any(sent.sends >= len(WAITS) and sent.due <= now for sent in self.unacked)

    def is_settled(self):
        return not self.unacked and not self.queued

    def ack(self):
        return self.expected - 1 if self.expected else None

    def fill_window(self, now):
        while self.queued:
            on_their_way = sum(sent.size() for sent in self.unacked)
            fits = len(self.unacked) < WINDOW_MESSAGES and on_their_way + self.queued[0].size() <= WINDOW_BYTES
            if self.unacked and not fits:
                return
            sent = self.queued.pop(0)
            sent.due = now
            self.unacked.append(sent)
