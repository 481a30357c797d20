use super::*;

fn env(variables: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect()
}

fn refused(text: &str, variables: &[(&str, &str)]) -> String {
    Config::from_text("bad.toml", text, env(variables)).expect_err(text).to_string()
}

#[test]
fn nothing_written_is_the_defaults() {
    assert_eq!(Config::from_text("empty.toml", "", []).expect("nothing is wrong with nothing"), Config::default());
    assert_eq!(Config::load(None, []).expect("no file is no error"), Config::default());
}

#[test]
fn a_bad_config_says_where_and_what_and_what_would_be_right() {
    #[rustfmt::skip]
    let table = [
        ("[brokr]\n", "bad.toml:1:2: brokr: no such key; the nearest is `broker`"),
        ("[[camera]]\nnam = 'x'\n", "bad.toml:2:1: camera[0].nam: no such key; the nearest is `name`"),
        ("[http]\nlevel = 'info'\n", "bad.toml:2:1: http.level: no such key; the nearest is `log.level`"),
        ("[broker]\nurl = 5\n", "bad.toml:2:7: broker.url: must be text in quotes, not the number 5"),
        ("[http]\nenabled = 'yes'\n", "bad.toml:2:11: http.enabled: must be true or false, not the text \"yes\""),
        ("broker = 'mqtt://x'\n", "bad.toml:1:10: broker: must be a section, not the text \"mqtt://x\""),
        ("[broker]\nkeep_alive_s = 1\n", "bad.toml:2:16: broker.keep_alive_s: must be 5 to 1200, not 1"),
        ("[broker]\nkeep_alive_s = 9.5\n", "bad.toml:2:16: broker.keep_alive_s: must be a whole number, not the number 9.5"),
        ("[broker]\nprefix = 'a/b/c'\n", "bad.toml:2:10: broker.prefix: a topic prefix is one or two levels of A-Z, a-z, 0-9, '_', '-' and '.', at most 64 characters in all, not \"a/b/c\""),
        ("[broker]\npassword = 'x'\n", "bad.toml:2:1: broker.password: secrets do not belong in a config; write it to a file that only the node can read, and its path to `password_file`"),
        ("[broker]\nurl = 'mqtt://me:secret@broker'\n", "bad.toml:2:7: broker.url: a broker URL carries no user name or password: they go in username and password_file"),
        ("[node]\nid = 'a b'\n", "bad.toml:2:6: node.id: a node id is 1 to 64 of A-Z, a-z, 0-9, '_' and '-', not \"a b\""),
        ("[log]\nlevel = 'inf'\n", "bad.toml:2:9: log.level: must be one of \"error\", \"warn\", \"info\", \"debug\", \"trace\", not \"inf\"; the nearest is \"info\""),
        ("[http]\nbind = '8080'\n", "bad.toml:2:8: http.bind: must be an IP address and a port, like \"127.0.0.1:8080\""),
        ("[http]\nframe_ancestors = ['*', 5]\n", "bad.toml:2:25: http.frame_ancestors[1]: must be text in quotes, not the number 5"),
        ("[camera]\nname = 'x'\n", "bad.toml:1:1: camera: is a list of sections: write [[camera]]"),
        ("[ice.servers]\nurls = []\n", "bad.toml:1:1: ice.servers: is a list of sections: write [[ice.servers]]"),
        ("[node]\nname = ' '\n", "bad.toml:2:1: node.name: is what people see: write a name, or leave it out to show the id"),
        ("[ice]\ninterfaces = ['eth 0']\n", "bad.toml:2:15: ice.interfaces[0]: is like \"eth0\" or \"wlan0\" (`ip link` lists them), not \"eth 0\""),
        ("[broker]\nembedded_origins = ['dash.example.org/']\n", "bad.toml:2:20: broker.embedded_origins: a web origin is like https://dash.example.org or http://192.0.2.7:8123, without a path, or \"*\", not \"dash.example.org/\""),
        ("camera = []\n", "bad.toml:1:1: camera: a node has a camera: write one [[camera]] section, or none for the default one"),
        ("[[camera]]\n[[camera]]\n", "bad.toml:2:1: camera[1].name: another camera is called \"main\" as well"),
        ("[[camera]]\n[[camera]]\nname = 'b'\n", "bad.toml:2:1: camera[1]: one camera a node for now: run a second node, with a `node.id` of its own, for a second camera"),
        ("[[camera]]\n[camera.video]\nwidht = 640\n", "bad.toml:3:1: camera[0].video.widht: no such key; the nearest is `width`"),
        ("[[camera]]\nvideo.width = 5\n", "bad.toml:2:15: camera[0].video.width: must be 64 to 4096, not 5"),
        ("[[camera]]\nvideo.rotate = 45\n", "bad.toml:2:16: camera[0].video.rotate: must be 0, 90, 180 or 270, not 45"),
        ("[[camera]]\nvideo.source = 'usb'\n", "bad.toml:2:16: camera[0].video.source: must be one of \"auto\", \"v4l2\", \"test-pattern\", \"still\", \"file\", not \"usb\""),
        ("[[camera]]\nvideo.source = 'file'\n", "bad.toml:2:7: camera[0].video.source: plays a file, and `file` does not say which"),
        ("[[camera]]\naudio = { source = 'file' }\n", "bad.toml:2:11: camera[0].audio.source: plays a file, and `file` does not say which"),
        ("[[camera]]\nspeaker = { sink = 'file' }\n", "bad.toml:2:13: camera[0].speaker.sink: writes a file, and `file` does not say which"),
        ("[[camera]]\nspeaker.buffer_ms = 5\n", "bad.toml:2:21: camera[0].speaker.buffer_ms: must be 20 to 200, not 5"),
        ("[[camera]]\nvideo = { format = 'h264', flip = 'vertical' }\n", "bad.toml:2:28: camera[0].video.flip: a camera's own H.264 is passed through as it is: use another `format` to mirror the picture"),
        ("[[camera]]\nh264.bitrate = 800\n", "bad.toml:2:6: camera[0].h264.bitrate: no such key; the nearest is `bitrate_kbps`"),
        ("[[camera]]\nopus.complexity = 11\n", "bad.toml:2:19: camera[0].opus.complexity: must be 0 to 10, not 11"),
        ("[broker]\npassword_file = '/x'\n", "bad.toml:2:1: broker.password_file: MQTT has no password without a user name: set `username`"),
        ("[broker]\nurl = 'mqtts://h'\nclient_cert_file = '/x'\n[access]\ni_trust_the_broker = true\n", "bad.toml:3:1: broker.client_cert_file: proves nothing without its key: set `client_key_file`"),
        ("[broker]\nurl = 'wss://h'\nclient_key_file = '/x'\n[access]\ni_trust_the_broker = true\n", "bad.toml:3:1: broker.client_key_file: is the key of no certificate: set `client_cert_file`"),
        ("[broker]\nurl = 'mqtt://h'\nca_file = '/x'\n[access]\ni_trust_the_broker = true\n", "bad.toml:3:1: broker.ca_file: is for TLS, and `url` (mqtt://h:1883) has none: write mqtts:// or wss:// there"),
        ("[broker]\nurl = 'ws://h'\nalpn = ['mqtt']\n[access]\ni_trust_the_broker = true\n", "bad.toml:3:1: broker.alpn: is for TLS, and `url` (ws://h:80/mqtt) has none: write mqtts:// or wss:// there"),
        ("[broker]\nembedded = true\nserver_name = 'h'\n", "bad.toml:3:1: broker.server_name: is for a broker elsewhere: the embedded one speaks no TLS"),
        ("[broker]\nserver_name = 'a b'\n", "bad.toml:2:15: broker.server_name: a TLS server's name is a DNS name or an IP address, not \"a b\""),
        ("[broker]\nurl = 'mqtts://h'\nalpn = ['']\n", "bad.toml:3:8: broker.alpn: a protocol's name in the TLS handshake is 1 to 255 bytes long, like \"x-amzn-mqtt-ca\", not \"\""),
        ("[broker]\nurl = 'mqtts://h/x'\n", "bad.toml:2:7: broker.url: a broker is mqtt://, mqtts://, ws:// or wss:// with host:port, or loopback:, not \"mqtts://h/x\""),
        ("[broker]\nprofile = 'aws-iot'\nurl = 'mqtt://h'\n[access]\ni_trust_the_broker = true\n", "bad.toml:3:1: broker.url: AWS IoT Core takes nodes at mqtts://…-ats.iot.REGION.amazonaws.com, not mqtt://h:1883"),
        ("[broker]\nprofile = 'aws-iot'\nurl = 'mqtts://h'\n[access]\ni_trust_the_broker = true\n", "bad.toml:2:1: broker.profile: AWS IoT Core knows a node by its certificate: set `client_cert_file` and `client_key_file`"),
        ("[broker]\nprofile = 'aws-iot'\nurl = 'mqtts://192.0.2.7'\nclient_cert_file = '/x'\nclient_key_file = '/x'\n[access]\ni_trust_the_broker = true\n", "bad.toml:3:1: broker.url: AWS IoT Core finds the account by its host's name (SNI), and this is an address: use the name"),
        ("[broker]\nprofile = 'aws-iot'\nurl = 'mqtts://h:1883'\nclient_cert_file = '/x'\nclient_key_file = '/x'\n[access]\ni_trust_the_broker = true\n", "bad.toml:3:1: broker.url: AWS IoT Core speaks MQTT on ports 8883 and 443, not 1883"),
        ("[broker]\nprofile = 'aws-iot'\nurl = 'mqtts://h:443'\nalpn = ['h2']\nclient_cert_file = '/x'\nclient_key_file = '/x'\n[access]\ni_trust_the_broker = true\n", "bad.toml:4:1: broker.alpn: AWS IoT Core on port 443 takes \"x-amzn-mqtt-ca\" (or \"mqtt\" for a custom authorizer), not \"h2\""),
        ("[broker]\nprofile = 'aws-iot'\nurl = 'mqtts://h'\nkeep_alive_s = 29\nclient_cert_file = '/x'\nclient_key_file = '/x'\n[access]\ni_trust_the_broker = true\n", "bad.toml:4:1: broker.keep_alive_s: AWS IoT Core takes 30 to 1200 seconds, not 29"),
        ("[broker]\nprofile = 'aws-iot'\nembedded = true\n", "bad.toml:3:1: broker.embedded: the embedded broker is not AWS IoT Core: leave `profile` out"),
        ("[broker]\nembedded = true\nembedded_bind = '127.0.0.1:8080'\n", "bad.toml:3:1: broker.embedded_bind: port 8080 is `http.bind`'s already"),
        ("[broker]\nurl = 'mqtt://broker.lan'\n", "bad.toml:2:1: broker.url: whoever reaches this broker from another machine could watch: set `access.mode` to \"token\", or `access.i_trust_the_broker` to true if all of them may"),
        ("[broker]\nurl = 'mqtt://127.0.0.1.example.org'\n[access]\nmode = 'open'\n", "bad.toml:2:1: broker.url: whoever reaches this broker from another machine could watch: set `access.mode` to \"token\", or `access.i_trust_the_broker` to true if all of them may"),
        ("[broker]\nwebsocket_url = 'wss://broker.lan/mqtt'\n", "bad.toml:2:1: broker.websocket_url: whoever reaches this broker from another machine could watch: set `access.mode` to \"token\", or `access.i_trust_the_broker` to true if all of them may"),
        ("[broker]\nembedded = true\nembedded_bind = '0.0.0.0:1883'\nembedded_password = false\n", "bad.toml:3:1: broker.embedded_bind: whoever reaches this broker from another machine could watch: set `access.mode` to \"token\", or `access.i_trust_the_broker` to true if all of them may"),
        ("[broker]\nembedded = true\nembedded_password = false\n[http]\nbind = '0.0.0.0:8080'\n", "bad.toml:5:1: http.bind: whoever reaches this broker from another machine could watch: set `access.mode` to \"token\", or `access.i_trust_the_broker` to true if all of them may"),
        ("[http.tls]\ncert_file = '/x'\n", "bad.toml:2:1: http.tls.cert_file: shows nothing without its key: set `key_file`"),
        ("[http.tls]\nkey_file = '/x'\n", "bad.toml:2:1: http.tls.key_file: is the key of no certificate: set `cert_file`"),
        ("[http.tls]\nkey_file = '/x'\ncert_file = '/x'\nself_signed = true\n", "bad.toml:4:1: http.tls.self_signed: there is a certificate in `cert_file` already: set one of the two"),
        ("[http.tls]\nbind = '0.0.0.0:443'\n", "bad.toml:2:1: http.tls.bind: https needs a certificate: set `cert_file` and `key_file`, or `self_signed` to true"),
        ("[http.tls]\nbind = '127.0.0.1:8080'\nself_signed = true\n", "bad.toml:2:1: http.tls.bind: port 8080 is `http.bind`'s already"),
        ("[broker]\nembedded = true\nembedded_password = false\nembedded_websocket_bind = '[::]:9001'\n", "bad.toml:4:1: broker.embedded_websocket_bind: whoever reaches this broker from another machine could watch: set `access.mode` to \"token\", or `access.i_trust_the_broker` to true if all of them may"),
        ("[access]\nmode = 'token'\n", "bad.toml:2:1: access.mode: tokens are checked with a key, and there is none: `camera-node keys make` makes one, and an [[access.keys]] section names it"),
        ("[access]\nmode = 'tokens'\n", "bad.toml:2:8: access.mode: must be one of \"open\", \"token\", not \"tokens\"; the nearest is \"token\""),
        ("[[access.keys]]\nkid = 'a'\nalgorithm = 'RS256'\nfile = '/a'\n", "bad.toml:3:13: access.keys[0].algorithm: must be one of \"EdDSA\", \"HS256\", not \"RS256\"; the nearest is \"HS256\""),
        ("[[access.keys]]\nkid = 'a b'\nalgorithm = 'HS256'\nfile = '/a'\n", "bad.toml:2:7: access.keys[0].kid: a key's name is 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-', not \"a b\""),
        ("[[access.keys]]\nkid = 'a'\nalgorithm = 'HS256'\nfile = '/a'\n[[access.keys]]\nkid = 'a'\nalgorithm = 'HS256'\nfile = '/b'\n", "bad.toml:6:1: access.keys[1].kid: another key is called \"a\" as well"),
        ("[[access.keys]]\nkid = 'a'\n", "bad.toml:1:1: access.keys[0]: a key is in a file: set `file` to its path"),
        ("[ice]\nport_range = '40100-40000'\n", "bad.toml:2:14: ice.port_range: a port range is like \"40000-40100\", with ports from 1024 to 65535, not \"40100-40000\""),
        ("[ice]\nport_range = '40000-40009'\n", "bad.toml:2:1: ice.port_range: has 10 ports, and `limits.max_viewers` lets 16 viewers in, who take one each"),
        ("[ice]\npublic_address = '203.0.113.7'\n", "bad.toml:2:1: ice.public_address: a router forwards known ports: set `port_range` to those it forwards"),
        ("[ice]\ntcp = true\npublic_address = '203.0.113.7'\nport_range = '40000-40100'\n", "bad.toml:3:1: ice.public_address: a router forwards known ports: set `tcp_port` to the one it forwards"),
        ("[ice]\ntcp_port = 8189\n", "bad.toml:2:1: ice.tcp_port: nobody comes in there: set `tcp` to true"),
        ("[ice]\ntcp = true\ntcp_port = 8080\n", "bad.toml:3:1: ice.tcp_port: port 8080 is `http.bind`'s already"),
        ("[ice]\ntcp = true\npolicy = 'relay'\n[[ice.servers]]\nurls = ['turn:x']\nsecret_file = '/s'\n", "bad.toml:2:1: ice.tcp: media goes through TURN servers only, so nobody comes in: leave `tcp` out"),
        ("[ice]\nbind = ['home']\n", "bad.toml:2:9: ice.bind[0]: must be an IP address, like \"192.0.2.7\""),
        ("[[app]]\nname = 'PTZ'\nsocket = '/a'\n", "bad.toml:2:1: app[0].name: is 1 to 32 of a-z, 0-9 and '-', not \"PTZ\""),
        ("[[app]]\nname = 'ptz'\n", "bad.toml:1:1: app[0].socket: is the path at which the program listens"),
        ("[[app]]\nsocket = '/a'\n", "bad.toml:1:1: app[0].name: is what stands behind \"app:\" in the channel's label: give it one, like \"ptz\""),
        ("[[app]]\nname = 'a'\nsocket = 'a.sock'\n", "bad.toml:3:1: app[0].socket: a.sock would be another place for each folder the node is started in: write the whole path, from / on"),
        ("[node]\nstate_folder = 'state'\n", "bad.toml:2:1: node.state_folder: state would be another place for each folder the node is started in: write the whole path, from / on"),
        ("[access]\nclock_file = './clock'\n", "bad.toml:2:1: access.clock_file: ./clock would be another place for each folder the node is started in: write the whole path, from / on"),
        ("[ring]\nsocket = 'ring.sock'\n", "bad.toml:2:1: ring.socket: ring.sock would be another place for each folder the node is started in: write the whole path, from / on"),
        ("[[camera]]\nspeaker = { sink = 'alsa', device = '' }\n", "bad.toml:2:28: camera[0].speaker.device: is empty: write \"auto\" for the first there is, or a name that `camera-node devices` shows"),
        ("[[camera]]\naudio.device = ' '\n", "bad.toml:2:7: camera[0].audio.device: is empty: write \"auto\" for the first there is, or a name that `camera-node devices` shows"),
        ("[[camera]]\nvideo.device = ''\n", "bad.toml:2:7: camera[0].video.device: is empty: write \"auto\" for the first there is, or a name that `camera-node devices` shows"),
        ("[[app]]\nname = 'a'\nsocket = '/a'\n[[app]]\nname = 'a'\nsocket = '/b'\n", "bad.toml:5:1: app[1].name: another program is called \"a\" as well"),
        ("[ice]\npolicy = 'relay'\n", "bad.toml:2:1: ice.policy: media through TURN servers only, and there is none in [[ice.servers]]"),
        ("[[ice.servers]]\nurls = ['stun://x']\n", "bad.toml:2:9: ice.servers[0].urls[0]: must be like \"stun:host:3478\" or \"turn:host:3478?transport=udp\", not \"stun://x\""),
        ("[[ice.servers]]\nurls = ['stuns:x']\n", "bad.toml:2:9: ice.servers[0].urls[0]: asks for our address over TCP, where it is another than media has, which goes over UDP: write \"stun:x:3478\""),
        ("[[ice.servers]]\nurls = ['turn:x']\n", "bad.toml:2:1: ice.servers[0].urls: a TURN server wants a user name and a password: set `username` and `credential_file`, or `secret_file`"),
        ("[[ice.servers]]\nurls = ['turn:x']\nusername = 'a'\nsecret_file = '/s'\n", "bad.toml:4:1: ice.servers[0].secret_file: makes user names and passwords: leave out `username` and `credential_file`"),
        ("[[ice.servers]]\nurls = ['turn:x']\ncredential = 'x'\n", "bad.toml:3:1: ice.servers[0].credential: secrets do not belong in a config; write it to a file that only the node can read, and its path to `credential_file`"),
        ("[ring]\ntopic = 'home/#'\n", "bad.toml:2:9: ring.topic: an MQTT topic of 1 to 256 characters, without '+', '#' and a '$' in front, not \"home/#\""),
        ("[node]\nid = 'porch'\n[ring]\ntopic = 'camera-node/v1/porch/in/x'\n", "bad.toml:4:1: ring.topic: camera-node/v1/porch/… is where viewers and the node talk: choose a topic of its own"),
        ("[ring]\nhttp_secret_file = '/x'\n[http]\nenabled = false\n", "bad.toml:2:1: ring.http_secret_file: nobody can post to http, which `http.enabled` turns off"),
        ("[ring]\ntopic = 'home/bell'\n[broker]\nembedded = true\n", "bad.toml:2:1: ring.topic: the embedded broker carries nothing but what viewers and the node say: use `POST /ring`"),
        ("[ring]\nwebhook = 'ntfy.sh/door'\n", "bad.toml:2:11: ring.webhook: https://host/path, or http://host/path within a network of your own, not \"ntfy.sh/door\""),
        ("[log]\nlevel = \n", "bad.toml:2:9: string values must be quoted, expected literal string"),
        ("[log]\nlevel = 'info'\nlevel = 'warn'\n", "bad.toml:3:1: duplicate key"),
        ("[log]\nlevel = 'info'\n[log]\nlevel = 'warn'\nformat = 'text'\n", "bad.toml:3:2: duplicate key"),
        ("[log]\nlevel = 'info'\n[log]\nlevel = 'warn'\n[http]\nmdns = true\nmdns = true\n", "bad.toml:3:2: duplicate key\nbad.toml:7:1: duplicate key"),
    ];
    for (text, expected) in table {
        assert_eq!(refused(text, &[]), expected, "{text}");
    }
}

#[test]
fn what_aws_iot_takes_is_taken() {
    let pair = "client_cert_file = '/x'\nclient_key_file = '/x'\n";
    for rest in [
        format!("url = 'mqtts://abc-ats.iot.eu-west-1.amazonaws.com'\n{pair}"),
        format!("url = 'mqtts://abc-ats.iot.eu-west-1.amazonaws.com:443'\nretain = false\n{pair}"),
        "url = 'mqtts://abc.example.org:443'\nalpn = ['mqtt']\nusername = 'porch'\n".to_owned(),
    ] {
        let text = format!("[broker]\nprofile = 'aws-iot'\n{rest}[access]\ni_trust_the_broker = true\n");
        assert!(Config::from_text("good.toml", &text, []).is_ok(), "{text}");
    }
}

#[test]
fn a_bad_variable_is_named_instead_of_a_place_in_the_file() {
    #[rustfmt::skip]
    let table = [
        ("CAMERA_NODE__BROKER__KEEP_ALIV_S", "9", "environment variable CAMERA_NODE__BROKER__KEEP_ALIV_S: names no key; the nearest is CAMERA_NODE__BROKER__KEEP_ALIVE_S"),
        ("CAMERA_NODE__BROKER__KEEP_ALIVE_S", "99999", "environment variable CAMERA_NODE__BROKER__KEEP_ALIVE_S: broker.keep_alive_s: must be 5 to 1200, not 99999"),
        ("CAMERA_NODE__BROKER__KEEP_ALIVE_S", "long", "environment variable CAMERA_NODE__BROKER__KEEP_ALIVE_S: broker.keep_alive_s: must be a whole number, not the text \"long\""),
        ("CAMERA_NODE__BROKER__PASSWORD", "x", "environment variable CAMERA_NODE__BROKER__PASSWORD: secrets do not belong in the environment; write it to a file that only the node can read, and its path to CAMERA_NODE__BROKER__PASSWORD_FILE"),
        ("CAMERA_NODE__BROKER", "x", "environment variable CAMERA_NODE__BROKER: broker: names a section; a key of it is named by CAMERA_NODE__BROKER__KEY"),
        ("CAMERA_NODE__CAMERA", "x", "environment variable CAMERA_NODE__CAMERA: camera: names a list of sections; a key of the first is named by CAMERA_NODE__CAMERA__0__KEY"),
        ("CAMERA_NODE__CAMERA__3__NAME", "x", "environment variable CAMERA_NODE__CAMERA__3__NAME: camera[3].name: element 3 would come after a gap: there are 0"),
        ("CAMERA_NODE__CAMERA__0__NAME", "X", "environment variable CAMERA_NODE__CAMERA__0__NAME: camera[0].name: a camera's name is 1 to 32 of a-z, 0-9 and '-', not \"X\""),
        ("CAMERA_NODE_BROKER_URL", "x", "environment variable CAMERA_NODE_BROKER_URL: sets nothing, for want of a second underscore; the nearest is CAMERA_NODE__BROKER__URL"),
        ("CAMERA_NODE_HTTP_FRAME_ANCESTORS", "x", "environment variable CAMERA_NODE_HTTP_FRAME_ANCESTORS: sets nothing, for want of a second underscore; the nearest is CAMERA_NODE__HTTP__FRAME_ANCESTORS"),
        ("CAMERA_NODE__", "x", "environment variable CAMERA_NODE__: names no key; the nearest is CAMERA_NODE__NODE__ID"),
    ];
    for (name, value, expected) in table {
        assert_eq!(refused("", &[(name, value)]), expected, "{name}");
    }
}

#[test]
fn several_problems_are_said_at_once_in_the_order_of_the_file() {
    let text = "[broker]\nkeep_alive_s = 1\nretained = true\n[log]\nlevel = 5\n[http]\nbind = 'x'\n";
    assert_eq!(
        refused(text, &[("CAMERA_NODE__NODE__IDD", "x")]).lines().collect::<Vec<_>>(),
        [
            "bad.toml:2:16: broker.keep_alive_s: must be 5 to 1200, not 1",
            "bad.toml:3:1: broker.retained: no such key; the nearest is `retain`",
            "bad.toml:5:9: log.level: must be text in quotes, not the number 5",
            "bad.toml:7:8: http.bind: must be an IP address and a port, like \"127.0.0.1:8080\"",
            "environment variable CAMERA_NODE__NODE__IDD: names no key; the nearest is CAMERA_NODE__NODE__ID",
        ]
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = Config::load(Some(Path::new("/nowhere/camera-node.toml")), []).expect_err("there is no such file");
    assert_eq!(error.to_string(), "/nowhere/camera-node.toml: cannot be read: No such file or directory (os error 2)");
    let error = Config::load(Some(Path::new("/dev/zero")), []).expect_err("that never ends");
    assert_eq!(error.to_string(), "/dev/zero: cannot be read: more than 1 MiB: is it the right file?");
}

#[test]
fn a_variable_wins_over_the_file_and_is_typed_by_its_key() {
    let text = "[broker]\nkeep_alive_s = 60\nretain = true\n";
    let variables = env(&[
        ("CAMERA_NODE__BROKER__KEEP_ALIVE_S", "90"),
        ("CAMERA_NODE__BROKER__RETAIN", "false"),
        // Text that would be a number, were it not for the key's type.
        ("CAMERA_NODE__BROKER__USERNAME", "1234"),
        ("CAMERA_NODE__CAMERA__0__NAME", "porch"),
        ("CAMERA_NODE__CAMERA__0__LINGER_S", "5"),
        ("CAMERA_NODE__HTTP__FRAME_ANCESTORS", "[\"'none'\"]"),
        ("CAMERA_NODE_CACHE", "/not/a/key"),
        ("HOME", "/not/a/key"),
    ]);
    let config = Config::from_text("good.toml", text, variables).expect("all of it is right");
    assert_eq!(config.broker.keep_alive_s.value(), 90);
    assert!(!config.broker.retain);
    assert_eq!(config.broker.username.as_deref(), Some("1234"));
    assert_eq!(config.camera[0].name.as_str(), "porch");
    assert_eq!(config.camera[0].linger_s.value(), 5);
    assert_eq!(config.http.frame_ancestors[0].as_str(), "'none'");
}

#[test]
fn every_key_has_a_variable_that_sets_it() {
    let schema = Config::schema();
    let variables: Vec<_> = schema.leaves().map(read::variable_of).collect();
    for known in ["CAMERA_NODE__BROKER__URL", "CAMERA_NODE__CAMERA__0__ON_DEMAND", "CAMERA_NODE__NODE__ID"] {
        assert!(variables.iter().any(|name| name == known), "{known} in {variables:?}");
    }
    let defaults = toml::Value::try_from(Config::default()).expect("a config can be written");
    let mut switches = 0;
    for path in schema.leaves() {
        let default = path.replace("[]", ".0").split('.').try_fold(&defaults, |value, step| match value {
            toml::Value::Array(items) => items.get(step.parse::<usize>().ok()?),
            section => section.get(step),
        });
        // What is left out by default, or stands in a list that is empty.
        let Some(default) = default else { continue };
        let text = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
        let set = |text: &str| Config::from_text("good.toml", "", env(&[(&read::variable_of(path), text)]));
        match set(&text) {
            Ok(config) => assert_eq!(config, Config::default(), "{path} = {text}"),
            Err(error) => panic!("{path} = {text}: {error}"),
        }
        if let Some(on) = default.as_bool() {
            switches += 1;
            // One that may not be turned by itself says so in words of its own.
            let other = set(&(!on).to_string());
            assert!(
                other.map_or_else(|error| error.to_string().contains(path), |config| config != Config::default()),
                "{path}"
            );
        }
    }
    assert!(switches > 5, "{switches}");
}

#[test]
fn a_broker_beyond_this_machine_is_taken_with_tokens_or_with_trust() {
    for text in [
        "[broker]\nurl = 'mqtt://broker.lan'\n[access]\ni_trust_the_broker = true\n",
        "[broker]\nurl = 'mqtt://broker.lan'\n[access]\nmode = 'token'\n[[access.keys]]\nkid = 'a'\nalgorithm = 'EdDSA'\nfile = '/a'\n",
        "[broker]\nembedded = true\nembedded_bind = '0.0.0.0:1883'\n[access]\ni_trust_the_broker = true\n",
        // With a password, which is the default.
        "[broker]\nembedded = true\nembedded_bind = '0.0.0.0:1883'\n[http]\nbind = '0.0.0.0:8080'\n",
        "[broker]\nurl = 'mqtt://LOCALHOST:1884'\nwebsocket_url = 'ws://[::1]:9001/mqtt'\n",
        "[broker]\nurl = 'mqtt://127.7.7.7'\n",
        "[broker]\nurl = 'loopback:'\n",
        // Not used: the node's own is.
        "[broker]\nurl = 'mqtt://broker.lan'\nembedded = true\n",
    ] {
        if let Err(error) = Config::from_text("good.toml", text, []) {
            panic!("{text}: {error}");
        }
    }
}

/// The shipped reference.
const REFERENCE: &str = include_str!("../../deploy/camera-node.toml");

#[test]
fn the_reference_says_what_the_defaults_are() {
    let read = Config::from_text("deploy/camera-node.toml", REFERENCE, []).expect("the reference is right");
    assert_eq!(read, Config::default());
}

/// The reference with its examples made settings: `#id = "porch"`, `#[[ice.servers]]`. Prose has a space after the `#`.
fn reference_with_examples() -> String {
    REFERENCE
        .lines()
        .map(|line| {
            line.strip_prefix('#')
                .filter(|rest| rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()))
                .unwrap_or(line)
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn the_reference_names_every_key_and_no_other() {
    fn walk(table: &toml::Table, section: &str, named: &mut Vec<String>) {
        for (name, value) in table {
            let path = schema::join(section, name);
            match value {
                toml::Value::Table(inner) => walk(inner, &path, named),
                toml::Value::Array(list) if list.iter().any(toml::Value::is_table) => {
                    list.iter()
                        .filter_map(toml::Value::as_table)
                        .for_each(|inner| walk(inner, &format!("{path}[]"), named));
                }
                _ => named.push(path),
            }
        }
    }
    let mut named = Vec::new();
    walk(&reference_with_examples().parse().expect("TOML, examples too"), "", &mut named);
    named.sort();
    // A list has an example of each kind.
    named.dedup();
    let schema = Config::schema();
    let known: Vec<&str> = schema.leaves().collect();
    assert_eq!(named, known);
}

#[test]
fn the_examples_of_the_reference_can_be_used() {
    // The keys for TLS are refused beside the default, which has none.
    let with_tls = reference_with_examples().replace("\"mqtt://127.0.0.1:1883\"", "\"mqtts://127.0.0.1\"");
    let read = Config::from_text("deploy/camera-node.toml", &with_tls, []);
    if let Err(error) = read {
        panic!("{error}");
    }
}

#[test]
fn the_readmes_config_for_a_board_can_be_used() {
    let readme = include_str!("../../README.md");
    let (_, rest) = readme.split_once("```toml\n").expect("an example");
    let (example, _) = rest.split_once("```").expect("its end");
    assert!(example.contains("[broker]"), "another example: {example}");
    if let Err(error) = Config::from_text("README.md", example, []) {
        panic!("{error}");
    }
}

#[test]
fn the_packages_config_serves_a_lan_with_tokens() {
    let text = include_str!("../../deploy/package/camera-node.toml");
    let config = match Config::from_text("deploy/package/camera-node.toml", text, []) {
        Ok(config) => config,
        Err(error) => panic!("{error}"),
    };
    assert!(config.broker.embedded && config.asks_for_password());
    assert_eq!(config.access.mode, access::Mode::Token);
    assert!(config.http.is_announced() && config.http.tls.self_signed);
    // Its key is the one that the unit makes.
    let unit = include_str!("../../deploy/systemd/camera-node.service");
    let made = unit.lines().find_map(|line| line.strip_prefix("ExecStartPre=")).expect("the unit makes a key");
    let key = &config.access.keys[0];
    let folder = key.file.parent().expect("a file in a folder").display();
    let expected = format!("--kid {} --algorithm {} --dir {folder}", key.kid, key.algorithm);
    assert!(made.ends_with(&expected), "{expected}");
    assert_eq!(key.file.file_name(), Some(format!("{}.secret", key.kid).as_ref()));
    assert_eq!(config.node.state_folder.as_deref(), key.file.parent());
}

#[test]
fn every_key_of_the_reference_is_explained() {
    let lines: Vec<&str> = REFERENCE.lines().collect();
    for (before, line) in lines.iter().zip(&lines[1..]) {
        let is_key = line.contains(" = ") && !line.starts_with("# ");
        assert!(!is_key || before.starts_with("# "), "nothing explains: {line}");
    }
}
