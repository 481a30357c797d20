"""A STUN server (RFC 8489) that tells everyone the same address: a candidate that nobody can have found before."""

import asyncio

from aioice import stun


class Stun(asyncio.DatagramProtocol):
    async def start(self, mapped):
        self.mapped = mapped
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("0.0.0.0", 0))
        return self.transport.get_extra_info("sockname")[1]

    def datagram_received(self, data, sender):
        try:
            asked = stun.parse_message(data)
        except ValueError:
            return
        answer = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, transaction_id=asked.transaction_id)
        answer.attributes["XOR-MAPPED-ADDRESS"] = (self.mapped, sender[1])
        self.transport.sendto(bytes(answer), sender)
