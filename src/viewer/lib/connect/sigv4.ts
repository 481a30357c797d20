/**
 * AWS Signature Version 4 in its presigned form: the signature stands in the query. Held to AWS's published test suite.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
 */

/** Credentials of AWS, as Cognito and STS give them. */
export interface AwsCredentials {
  /** The key's name, such as `ASIA…`. */
  accessKeyId: string;
  /** Its secret, which only signs and is not sent. */
  secretAccessKey: string;
  /** Of temporary credentials. */
  sessionToken?: string;
}

/** A GET without a body, whose only signed header is `host`. */
export interface Presigned {
  readonly host: string;
  /** As it stands in the address, already escaped. */
  readonly path: string;
  /** Parameters of its own, not yet escaped. */
  readonly query?: readonly (readonly [name: string, value: string])[];
  readonly service: string;
  readonly region: string;
  /** How long it may be used to connect. */
  readonly expiresS: number;
  readonly at: Date;
}

const ALGORITHM = "AWS4-HMAC-SHA256";

/** The query of the request with its signature at the end. */
export async function presign(request: Presigned, credentials: AwsCredentials, subtle: SubtleCrypto): Promise<string> {
  // 20150830T123600Z
  const time = request.at.toISOString().replace(/[-:]|\.\d+/g, "");
  const day = time.slice(0, 8);
  const scope = `${day}/${request.region}/${request.service}/aws4_request`;
  const parameters = [
    ...(request.query ?? []),
    ["X-Amz-Algorithm", ALGORITHM],
    ["X-Amz-Credential", `${credentials.accessKeyId}/${scope}`],
    ["X-Amz-Date", time],
    ["X-Amz-Expires", String(request.expiresS)],
    ["X-Amz-SignedHeaders", "host"],
  ] as const;
  // Sorted by code, after escaping.
  const query = parameters.map(([name, value]) => `${escaped(name)}=${escaped(value)}`).sort().join("&");
  const body = await sha256("", subtle);
  const canonical = ["GET", request.path, query, `host:${request.host}`, "", "host", body].join("\n");
  const toSign = [ALGORITHM, time, scope, await sha256(canonical, subtle)].join("\n");
  const key = await signingKey(credentials.secretAccessKey, day, request.region, request.service, subtle);
  return `${query}&X-Amz-Signature=${hex(await hmac(key, toSign, subtle))}`;
}

/** The key for one day, region and service. */
export async function signingKey(secret: string, day: string, region: string, service: string, subtle: SubtleCrypto): Promise<ArrayBuffer> {
  let key: ArrayBuffer | Uint8Array<ArrayBuffer> = new TextEncoder().encode(`AWS4${secret}`);
  for (const part of [day, region, service]) key = await hmac(key, part, subtle);
  return hmac(key, "aws4_request", subtle);
}

/** Hex digits of some bytes. */
export function hex(bytes: ArrayBuffer): string {
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** RFC 3986's escapes: four characters more than the browser's own function. */
function escaped(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (each) => `%${each.charCodeAt(0).toString(16).toUpperCase()}`);
}

async function hmac(key: ArrayBuffer | Uint8Array<ArrayBuffer>, text: string, subtle: SubtleCrypto): Promise<ArrayBuffer> {
  const imported = await subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return subtle.sign("HMAC", imported, new TextEncoder().encode(text));
}

async function sha256(text: string, subtle: SubtleCrypto): Promise<string> {
  return hex(await subtle.digest("SHA-256", new TextEncoder().encode(text)));
}
