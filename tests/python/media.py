"""What comes in over the connection, in numbers. `describe()` says how its session is."""

import asyncio

from aiortc.mediastreams import MediaStreamError


class Media:
    """Decodes what a session sends, and counts it."""

    def __init__(self, describe):
        self.describe = describe
        self.frames, self.sounds = 0, 0
        self.size = None
        # When each picture is shown, on their own clock of 90 kHz.
        self.shown = []
        self.channels = {}
        self.tasks = []

    def take(self, track):
        self.tasks.append(asyncio.create_task(self.follow(track)))

    def take_channel(self, channel):
        self.channels[channel.label] = channel

    async def follow(self, track):
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            if track.kind == "video":
                self.frames += 1
                self.size = frame.width, frame.height
                self.shown.append(frame.pts)
            else:
                self.sounds += 1

    async def until(self, frames=0, sounds=0, within=20):
        """Waits until so many more pictures and packets of sound are here."""
        frames, sounds = frames + self.frames, sounds + self.sounds
        try:
            async with asyncio.timeout(within):
                while self.frames < frames or self.sounds < sounds:
                    await asyncio.sleep(0.02)
        except TimeoutError:
            seen = f"{self.frames} of {frames} pictures, {self.sounds} of {sounds} sounds"
            raise AssertionError(f"not within {within} s: {seen}; {self.describe()}") from None

    def close(self):
        for task in self.tasks:
            task.cancel()
