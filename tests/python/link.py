"""The way to the broker: paho-mqtt, whose thread hands over to asyncio."""

import asyncio

import paho.mqtt.client as mqtt


class Link:
    """One connection. `on_message(topic, payload, retained)` runs in the event loop."""

    def __init__(self, port, client_id, on_message, host="127.0.0.1"):
        self.loop = asyncio.get_running_loop()
        self.on_message = on_message
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=True, protocol=mqtt.MQTTv311
        )
        self.client.max_inflight_messages_set(1_000)
        self.client.on_connect = lambda *_: self.happened(self.connected)
        self.client.on_subscribe = lambda *_: self.happened(self.subscribed)
        self.client.on_message = lambda _client, _data, said: self.loop.call_soon_threadsafe(
            self.on_message, said.topic, said.payload, said.retain
        )
        self.address = host, port
        self.connected, self.subscribed = asyncio.Event(), asyncio.Event()

    def happened(self, event):
        self.loop.call_soon_threadsafe(event.set)

    async def open(self, *topics):
        """Connected, and SUBACK is here."""
        self.client.connect_async(*self.address)
        self.client.loop_start()
        await asyncio.wait_for(self.connected.wait(), 10)
        if topics:
            self.client.subscribe([(topic, 1) for topic in topics])
            await asyncio.wait_for(self.subscribed.wait(), 10)

    def publish(self, topic, payload, retain=False):
        return self.client.publish(topic, payload, qos=1, retain=retain)

    async def close(self):
        self.client.disconnect()
        await asyncio.to_thread(self.client.loop_stop)
