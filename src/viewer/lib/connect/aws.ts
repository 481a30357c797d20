/** The two ways by which a browser can get into AWS IoT Core: a custom authorizer, or a signed address. */

import type { Connect } from "../link.ts";
import { SecureContextNeeded } from "../secure.ts";
import { type AwsCredentials, presign } from "./sigv4.ts";

/** What both ways need. */
interface AwsEndpoint {
  /** The account's device data endpoint, a host alone: `abc123-ats.iot.eu-west-1.amazonaws.com`. */
  endpoint: string;
  /** MQTT client id and peer id in one, as the policy's `${iot:ClientId}` wants it; this tab's own when absent. */
  clientId?: string;
}

/** What a custom authorizer looks at. */
export interface AuthorizerToken {
  /** What the authorizer reads. */
  token: string;
  /** The token's signature in base64, where the authorizer has signing switched on. */
  signature?: string;
}

/** What {@link withAwsAuthorizer} needs. */
export interface AwsAuthorizerOptions extends AwsEndpoint {
  /** The authorizer's name; absent where the endpoint has a default one. */
  authorizer?: string;
  /** The authorizer's `tokenKeyName`: under which name it wants the token. */
  tokenKeyName: string;
  /** Asked anew for every connection. */
  token: () => AuthorizerToken | Promise<AuthorizerToken>;
  /** For authorizers that also look at them. */
  username?: string;
  /** Read by some authorizers beside the user name. */
  password?: string;
}

/**
 * Connects through a custom authorizer. A browser can send no headers with a WebSocket, so everything goes into the MQTT
 * user name, in the form of a query.
 */
export function withAwsAuthorizer(options: AwsAuthorizerOptions): Connect {
  const { clientId, authorizer, tokenKeyName, password } = options;
  const url = addressOf(options.endpoint);
  return async () => {
    const { token, signature } = await options.token();
    const said: [string, string | undefined][] = [
      ["x-amz-customauthorizer-name", authorizer],
      [tokenKeyName, token],
      ["x-amz-customauthorizer-signature", signature],
    ];
    const query = said.flatMap(([name, value]) => (value === undefined ? [] : [`${encodeURIComponent(name)}=${encodeURIComponent(value)}`]));
    const username = `${options.username ?? ""}?${query.join("&")}`;
    return { url, username, ...(password !== undefined && { password }), ...(clientId !== undefined && { clientId }) };
  };
}

/** What {@link withAwsSignature} needs. */
export interface AwsSignedOptions extends AwsEndpoint {
  /** Where the endpoint is; read from its name when absent, which only works with the account's own (`….iot.REGION.…`). */
  region?: string;
  /** Temporary credentials, from Cognito or STS by way of your own server: asked anew for every connection. */
  credentials: () => AwsCredentials | Promise<AwsCredentials>;
}

const SERVICE = "iotdevicegateway";
/** AWS IoT ends every WebSocket after a day; temporary credentials mostly end earlier. */
const SIGNED_FOR_S = 86_400;

/**
 * Connects with an address signed here and now. It takes WebCrypto, which browsers give only to pages from https:// or
 * localhost.
 * @throws {TypeError} when the region is neither given nor part of the endpoint's name.
 */
export function withAwsSignature(options: AwsSignedOptions): Connect {
  const { endpoint, clientId } = options;
  const url = addressOf(endpoint);
  const region = options.region ?? /\.iot\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?$/.exec(endpoint)?.[1];
  if (region === undefined) throw new TypeError(`the endpoint "${endpoint}" does not tell its region: give region too`);
  return async () => {
    const { subtle } = globalThis.crypto as { subtle?: SubtleCrypto };
    if (subtle === undefined) throw new SecureContextNeeded("crypto");
    const credentials = await options.credentials();
    const request = { host: endpoint, path: "/mqtt", service: SERVICE, region, expiresS: SIGNED_FOR_S, at: new Date() };
    const query = await presign(request, credentials, subtle);
    // Other services want the session token among what is signed; AWS IoT wants it after the signature.
    const { sessionToken } = credentials;
    const end = sessionToken === undefined ? "" : `&X-Amz-Security-Token=${encodeURIComponent(sessionToken)}`;
    return { url: `${url}?${query}${end}`, ...(clientId !== undefined && { clientId }) };
  };
}

function addressOf(endpoint: string): string {
  if (!/^[a-z0-9.-]+$/i.test(endpoint)) throw new TypeError(`an endpoint is a host alone, such as abc123-ats.iot.eu-west-1.amazonaws.com, not "${endpoint}"`);
  return `wss://${endpoint}/mqtt`;
}
