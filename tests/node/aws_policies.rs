//! What the shipped AWS IoT policies let through, worked out as AWS does
//! (https://docs.aws.amazon.com/iot/latest/developerguide/iot-policy-actions.html), and held against what was really sent.

use std::collections::BTreeMap;
use std::path::Path;

use rumqttc::Packet;
use serde_json::Value;

use crate::brokers::in_doorbell_md;
use crate::recorder::Entry;

const ARN: &str = "arn:aws:iot:REGION:ACCOUNT:";

/// All that the policies refuse: the node's goes by the name `node`, everybody else has a viewer's.
pub fn refused(seen: &[Entry], node: &str) -> Vec<String> {
    let (nodes, viewers) = (shipped("node-policy.json"), shipped("viewer-policy.json"));
    let mut clients: BTreeMap<usize, String> = BTreeMap::new();
    let mut refused = Vec::new();
    for Entry { connection, from_client, packet, .. } in seen {
        if let Packet::Connect(connect) = packet {
            clients.insert(*connection, connect.client_id.clone());
        }
        let Some(client) = clients.get(connection) else { continue };
        let policy = if client == node { &nodes } else { &viewers };
        for (action, resource) in wants(packet, *from_client) {
            if !allows(policy, client, action, &resource) {
                refused.push(format!("{client}: {action} {resource}"));
            }
        }
    }
    refused
}

/// What has to be allowed for this packet: actions, and what they are done to.
fn wants(packet: &Packet, from_client: bool) -> Vec<(&'static str, String)> {
    let publish = |topic: &str, retain: bool| {
        let topic = format!("topic/{topic}");
        let kept = retain.then(|| ("iot:RetainPublish", topic.clone()));
        [("iot:Publish", topic)].into_iter().chain(kept).collect::<Vec<_>>()
    };
    match packet {
        Packet::Connect(connect) => {
            let will = connect.last_will.iter().flat_map(|will| publish(&will.topic, will.retain));
            [("iot:Connect", format!("client/{}", connect.client_id))].into_iter().chain(will).collect()
        }
        Packet::Subscribe(subscribe) => {
            let filters = subscribe.filters.iter();
            filters.map(|filter| ("iot:Subscribe", format!("topicfilter/{}", filter.path))).collect()
        }
        Packet::Publish(sent) if from_client => publish(&sent.topic, sent.retain),
        Packet::Publish(received) => vec![("iot:Receive", format!("topic/{}", received.topic))],
        _ => Vec::new(),
    }
}

/// Whether a statement of `policy` allows it to `client`, which is a thing of the same name.
fn allows(policy: &Value, client: &str, action: &str, resource: &str) -> bool {
    let statements = policy["Statement"].as_array().expect("a list");
    statements.iter().filter(|statement| statement["Action"] == action).any(|statement| {
        let resources: Vec<&str> = match &statement["Resource"] {
            Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
            one => one.as_str().into_iter().collect(),
        };
        resources.iter().filter_map(|pattern| pattern.strip_prefix(ARN)).any(|pattern| {
            let own = pattern.replace("${iot:ClientId}", client).replace("${iot:Connection.Thing.ThingName}", client);
            fits(&own, resource)
        })
    })
}

/// `*` stands for anything, slashes too. MQTT's own `+` and `#` stand for themselves.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => text.strip_prefix(head).is_some_and(|rest| {
            let mut places = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            places.any(|at| fits(tail, &rest[at..]))
        }),
    }
}

fn shipped(file: &str) -> Value {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/aws-iot").join(file));
    serde_json::from_str(&text.expect("it is shipped")).expect("JSON")
}

#[test]
fn what_the_doorbells_document_adds_lets_a_node_hear_its_topic() {
    let bell = ["topicfilter/home/door/bell", "topic/home/door/bell"];
    let before = shipped("node-policy.json");
    let added = in_doorbell_md("json", "iot:Subscribe");
    let after: Value = serde_json::from_str(&format!("{{\"Statement\": [{added}]}}")).expect("JSON");
    for (policy, is_allowed) in [(before, false), (after, true)] {
        for (action, resource) in ["iot:Subscribe", "iot:Receive"].into_iter().zip(bell) {
            assert_eq!(allows(&policy, "porch", action, resource), is_allowed, "{action} {resource}");
        }
    }
}

#[test]
fn the_policies_let_nobody_speak_for_another_or_listen_in() {
    let (node, viewer) = (shipped("node-policy.json"), shipped("viewer-policy.json"));
    for (policy, client, action, resource, is_allowed) in [
        (&node, "porch", "iot:Connect", "client/porch", true),
        (&node, "porch", "iot:Connect", "client/yard", false),
        (&node, "porch", "iot:Publish", "topic/camera-node/v1/porch/out/v-ann", true),
        (&node, "porch", "iot:Publish", "topic/camera-node/v1/yard/out/v-ann", false),
        (&node, "porch", "iot:Publish", "topic/camera-node/v1/porch/in/v-ann", false),
        (&node, "porch", "iot:RetainPublish", "topic/camera-node/v1/porch/out/v-ann", false),
        (&node, "porch", "iot:Subscribe", "topicfilter/camera-node/v1/porch/#", false),
        (&node, "porch", "iot:Receive", "topic/camera-node/v1/yard/in/v-ann", false),
        (&viewer, "v-ann", "iot:Connect", "client/v-ann", true),
        (&viewer, "v-ann", "iot:Connect", "client/porch", false),
        (&viewer, "v-ann", "iot:Publish", "topic/camera-node/v1/porch/in/v-ann", true),
        (&viewer, "v-ann", "iot:Publish", "topic/camera-node/v1/porch/in/v-eve", false),
        (&viewer, "v-ann", "iot:Publish", "topic/camera-node/v1/porch/status", false),
        (&viewer, "v-ann", "iot:RetainPublish", "topic/camera-node/v1/porch/in/v-ann", false),
        (&viewer, "v-ann", "iot:Subscribe", "topicfilter/camera-node/v1/porch/out/v-ann", true),
        (&viewer, "v-ann", "iot:Subscribe", "topicfilter/camera-node/v1/porch/out/+", false),
        (&viewer, "v-ann", "iot:Receive", "topic/camera-node/v1/porch/out/v-eve", false),
    ] {
        assert_eq!(allows(policy, client, action, resource), is_allowed, "{client}: {action} {resource}");
    }
}

#[test]
fn the_shipped_aws_policies_are_json_that_aws_can_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/aws-iot");
    for (file, actions) in [("node-policy.json", 5), ("viewer-policy.json", 4)] {
        let text = std::fs::read_to_string(folder.join(file)).expect("it is shipped");
        // The limit of a policy document, without white space.
        let bytes = text.chars().filter(|c| !c.is_whitespace()).count();
        assert!(bytes <= 2_048, "{file}: {bytes} characters");
        let policy: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(policy["Version"], "2012-10-17");
        let statements = policy["Statement"].as_array().expect("a list");
        assert_eq!(statements.len(), actions, "{file}");
        for statement in statements {
            let action = statement["Action"].as_str().expect("one action a statement");
            let resources = match &statement["Resource"] {
                serde_json::Value::Array(list) => list.iter().filter_map(|one| one.as_str()).collect(),
                one => vec![one.as_str().expect("text")],
            };
            let kind = match action {
                "iot:Connect" => "client",
                "iot:Subscribe" => "topicfilter",
                _ => "topic",
            };
            for resource in resources {
                let begins = format!("arn:aws:iot:REGION:ACCOUNT:{kind}/");
                assert!(resource.starts_with(&begins), "{file}: {action} on {resource}");
            }
        }
    }
}
