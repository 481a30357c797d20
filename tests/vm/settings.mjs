// The config of a node in a machine of the tests' own, as an owner writes it: behind QEMU's NAT, at a broker of the host's.

/** The machine's own camera and microphone: vivid and snd-aloop. */
export const DEVICES = `
[[camera]]
[camera.video]
source = "v4l2"
device = "/dev/video0"
width = 320
height = 180
fps = 15
[camera.audio]
source = "alsa"
device = "plughw:CARD=Loopback,DEV=1"
`;

/** The same, with the camera for the node to find. */
export const FOUND = DEVICES.replace(/source = "v4l2"\n.*/, 'source = "auto"');

/** As the host is called by a machine, and the machine's own address. */
const [HOST, OWN] = ['10.0.2.2', '10.0.2.15'];

/** At Mosquitto without further ado. */
export const openBroker = ({ tcp }) => `url = "mqtt://${HOST}:${tcp}"`;

/** At one that wants the certificate of the node `id`. */
export const mutualBroker = ({ tls }, id) => `
url = "mqtts://${HOST}:${tls}"
ca_file = "/etc/camera-node/ca.pem"
client_cert_file = "/etc/camera-node/${id}.pem"
client_key_file = "/etc/camera-node/${id}.key"`;

/** `ports` follow each other, and are let through to the machine: one a viewer. `broker` is one of the above; `more` are sections. */
export const nodeConfig = ({ id, name = id, broker, ports, camera = DEVICES, more = '' }) => `
[node]
id = "${id}"
name = "${name}"
[broker]
${broker.trim()}
[access]
i_trust_the_broker = true
[ice]
bind = ["${OWN}"]
port_range = "${ports[0]}-${ports.at(-1)}"
public_address = "127.0.0.1"
[limits]
max_viewers = ${ports.length}
joins_per_minute = 600
${camera}${more}`;

/** QEMU's words for letting something through to the machine: from a port of the host's, to the same one or `to`. */
export const forward = (port, to = port, kind = 'udp') => `,hostfwd=${kind}:127.0.0.1:${port}-${OWN}:${to}`;
