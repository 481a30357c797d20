"""A peer that says whatever a test wants and hears everything, without a session of its own."""

import asyncio

import message
from viewer import Viewer


class Listener(Viewer):
    """`heard_all` has every message on our `out` topic, in order."""

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.heard_all = []
        self.news = asyncio.Event()

    def told(self, payload):
        self.heard_all.append(message.read(payload))
        self.news.set()

    def say(self, kind, **fields):
        self.publish(message.write(kind, **fields))

    async def hear(self, within=10, **fields):
        """The first message with these fields, taken out of those heard."""
        async with asyncio.timeout(within):
            while True:
                for said in self.heard_all:
                    if all(said.get(key) == value for key, value in fields.items()):
                        self.heard_all.remove(said)
                        return said
                self.news.clear()
                await self.news.wait()

    async def error(self, slug, **fields):
        """The `error` with this slug's code and name."""
        row = message.ERRORS[slug]
        return await self.hear(type="error", code=row["code"], name=row["name"], **fields)
