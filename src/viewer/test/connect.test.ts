/** The shipped ways to a broker. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { build } from "esbuild";

import { withAwsAuthorizer, withAwsSignature } from "../lib/connect/aws.ts";
import { withPassword } from "../lib/connect/password.ts";
import { hex, type Presigned, presign, signingKey } from "../lib/connect/sigv4.ts";
import { SecureContextNeeded } from "../lib/secure.ts";
import { withGlobals } from "./globals.ts";

const SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const CREDENTIALS = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: SECRET };
const ENDPOINT = "abc123-ats.iot.eu-west-1.amazonaws.com";

/** A case of AWS's test suite (aws-signing-test-suite, v4): the signature of its request in the presigned form. */
async function signature(request: Partial<Presigned>): Promise<string | undefined> {
  const suite = { host: "example.amazonaws.com", path: "/", service: "service", region: "us-east-1", expiresS: 3_600, at: new Date("2015-08-30T12:36:00Z") };
  return (await presign({ ...suite, ...request }, CREDENTIALS, crypto.subtle)).split("X-Amz-Signature=")[1];
}

test("the signing key is that of AWS's documentation", async () => {
  const key = await signingKey(SECRET, "20150830", "us-east-1", "iam", crypto.subtle);
  assert.equal(hex(key), "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9");
});

test("presigned requests have the signatures of AWS's test suite", async () => {
  const unreserved = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  const cases: [name: string, request: Partial<Presigned>, signature: string][] = [
    ["get-vanilla", {}, "e93c787ed7f371d5c6b165c1b38ede9550f4dce4144713e844b25b7192d3865d"],
    ["get-unreserved", { path: `/${unreserved}` }, "95968482db1b9e0fadef6efc1bd24689f77c77d9ef56919c96a28cc92e0d6005"],
    ["get-vanilla-query-order-key-case", { query: [["Param2", "value2"], ["Param1", "value1"]] }, "86012e2c9ad4d77369f5d81c11f75158aae4f895a085212cc6d3f923d300bed5"],
    ["get-vanilla-query-unreserved", { query: [[unreserved, unreserved]] }, "8e76a88a7433637b12778d5592799b29ad21ecd6cf6325051c21d86f0acda2bf"],
    ["get-vanilla-utf8-query", { query: [["ሴ", "bar"]] }, "0bdd809b1519ac4f0c1dc3540e2cc46bd0c7f778eda408b2ebf3b913d21ff600"],
  ];
  for (const [name, request, expected] of cases) assert.equal(await signature(request), expected, name);
});

test("a signed address for AWS IoT names its service, and the session token comes last, outside of the signature", async () => {
  const plain = await withAwsSignature({ endpoint: ENDPOINT, credentials: () => CREDENTIALS, clientId: "tablet-1" })();
  const credentials = { ...CREDENTIALS, sessionToken: "a+b/c==" };
  const { url, clientId } = await withAwsSignature({ endpoint: ENDPOINT, credentials: () => Promise.resolve(credentials), clientId: "tablet-1" })();
  assert.equal(clientId, "tablet-1");
  assert.match(url, /^wss:\/\/abc123-ats\.iot\.eu-west-1\.amazonaws\.com\/mqtt\?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F\d{8}%2Feu-west-1%2Fiotdevicegateway%2Faws4_request&/);
  assert.match(url, /&X-Amz-Signature=[0-9a-f]{64}&X-Amz-Security-Token=a%2Bb%2Fc%3D%3D$/);
  const names = (address: string): string[] => [...new URL(address).searchParams.keys()];
  assert.deepEqual(names(url), [...names(plain.url), "X-Amz-Security-Token"]);
});

test("every connection is signed with credentials of its own", async () => {
  let asked = 0;
  const connect = withAwsSignature({ endpoint: ENDPOINT, credentials: () => ({ ...CREDENTIALS, accessKeyId: `KEY${(asked += 1)}` }) });
  assert.match((await connect()).url, /Credential=KEY1%2F/);
  assert.match((await connect()).url, /Credential=KEY2%2F/);
});

test("a custom domain must say its region, an endpoint is a host alone", async () => {
  const credentials = () => CREDENTIALS;
  assert.throws(() => withAwsSignature({ endpoint: "iot.example.com", credentials }), /give region too/);
  assert.throws(() => withAwsSignature({ endpoint: `wss://${ENDPOINT}/mqtt`, credentials }), /a host alone/);
  const { url } = await withAwsSignature({ endpoint: "iot.example.com", region: "eu-north-1", credentials })();
  assert.match(url, /%2Feu-north-1%2Fiotdevicegateway%2F/);
});

test("without WebCrypto nothing is signed, and why is said in words before any credentials are fetched", async () => {
  const connect = withAwsSignature({ endpoint: ENDPOINT, credentials: () => assert.fail("credentials were fetched") });
  await withGlobals({ crypto: {}, isSecureContext: false }, () =>
    assert.rejects(connect(), (error) => {
      assert.ok(error instanceof SecureContextNeeded && error.lack === "crypto");
      assert.match(error.message, /cannot sign anything: it did not come over https:\/\/\. Open the page at an https:\/\/ address/);
      return true;
    }),
  );
});

test("a custom authorizer gets everything in the user name, since browsers send no headers", async () => {
  const token = () => Promise.resolve({ token: "a token&more", signature: "c2ln+/==" });
  const connect = withAwsAuthorizer({ endpoint: ENDPOINT, authorizer: "cameras", tokenKeyName: "viewer-token", token, clientId: "tablet-1" });
  assert.deepEqual(await connect(), {
    url: `wss://${ENDPOINT}/mqtt`,
    username: "?x-amz-customauthorizer-name=cameras&viewer-token=a%20token%26more&x-amz-customauthorizer-signature=c2ln%2B%2F%3D%3D",
    clientId: "tablet-1",
  });
  const plain = withAwsAuthorizer({ endpoint: ENDPOINT, tokenKeyName: "t", token: () => ({ token: "x" }), username: "ann", password: "p" });
  assert.deepEqual(await plain(), { url: `wss://${ENDPOINT}/mqtt`, username: "ann?t=x", password: "p" });
});

test("a password may be fetched anew for every connection", async () => {
  let asked = 0;
  const connect = withPassword({ url: "wss://h/mqtt", username: "ann", password: () => Promise.resolve(`p${(asked += 1)}`), protocols: ["mqttv3.1"] });
  assert.deepEqual(await connect(), { url: "wss://h/mqtt", username: "ann", protocols: ["mqttv3.1"], password: "p1" });
  assert.equal((await connect()).password, "p2");
  assert.equal((await withPassword({ url: "wss://h", username: "ann", password: "fixed" })()).password, "fixed");
});

test("who does not use a way to a broker does not ship it", async () => {
  const bundled = async (imports: string): Promise<string> => {
    const stdin = { contents: `import { ${imports} } from "./lib/index.ts"; console.log(${imports});`, resolveDir: "." };
    const { outputFiles } = await build({ stdin, bundle: true, write: false, format: "esm", platform: "browser", packages: "external" });
    return outputFiles[0]?.text ?? "";
  };
  const plain = await bundled("Camera");
  assert.doesNotMatch(plain, /iotdevicegateway|x-amz-customauthorizer|AWS4-HMAC/);
  assert.match(await bundled("Camera, withAwsSignature"), /iotdevicegateway/);
  assert.doesNotMatch(await bundled("withPassword"), /RTCPeerConnection|AWS4-HMAC/);
});
