// The authorization server of the tests: oidc-provider (certified), with refresh tokens that rotate.
//
//   node oidc_server.mjs DIRECTORY_OF_NODE_MODULES PUBLIC_JWK
//
// It prints its issuer once it listens, and ends with its standard input. POST /mint makes a refresh token without a browser;
// GET /revoked says how many grants it has revoked because an old token was used again.
import { createServer } from "node:http";
import { pathToFileURL } from "node:url";

const [modules, key] = process.argv.slice(2);
const load = (name) => import(pathToFileURL(`${modules}/${name}`));
const { Provider, errors } = await load("oidc-provider/lib/index.js");
const { createLocalJWKSet, jwtVerify } = await load("jose/dist/webapi/index.js");

const keys = { keys: [JSON.parse(key)] };
const EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";
const BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const client = (client_id, grant_types, more) => ({
  client_id, grant_types, client_secret: `secret of ${client_id}`, redirect_uris: [], response_types: [], ...more,
});
const native = {
  application_type: "native", client_secret: undefined, token_endpoint_auth_method: "none",
  redirect_uris: ["http://127.0.0.1/"], response_types: ["code"],
};

const server = createServer();
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [
    client("robot", ["client_credentials"], { scope: "read write" }),
    client("poster", ["client_credentials"], { token_endpoint_auth_method: "client_secret_post" }),
    client("signer", ["client_credentials"], { client_secret: undefined, token_endpoint_auth_method: "private_key_jwt", jwks: keys }),
    client("exchanger", [EXCHANGE, BEARER]),
    client("bazel", ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"], native),
  ],
  scopes: ["openid", "offline_access", "read", "write", "admin"],
  rotateRefreshToken: true,
  issueRefreshToken: async () => true,
  ttl: { AccessToken: 60, ClientCredentials: 60, RefreshToken: 86400, Grant: 86400, Session: 86400, DeviceCode: 600 },
  findAccount: async (_, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  features: {
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    devInteractions: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: async () => undefined,
      useGrantedResource: async () => true,
      getResourceServerInfo: async (_, resource) => {
        if (!resource.startsWith("https://cache.test/")) throw new errors.InvalidTarget();
        return { scope: "read write", audience: resource, accessTokenTTL: 60, accessTokenFormat: "jwt" };
      },
    },
  },
});

async function issue(ctx, subject) {
  const { AccessToken } = provider;
  const { audience, scope } = ctx.oidc.params;
  const made = new AccessToken({
    accountId: subject, client: ctx.oidc.client, grantId: undefined, gty: "exchange", scope: scope ?? "read", aud: audience,
  });
  ctx.body = {
    access_token: await made.save(), token_type: "Bearer", expires_in: made.expiration, scope: made.scope,
    issued_token_type: "urn:ietf:params:oauth:token-type:access_token",
  };
}

async function verified(token, audience) {
  try {
    return (await jwtVerify(token, createLocalJWKSet(keys), { audience })).payload.sub;
  } catch {
    throw new errors.InvalidGrant("it is not signed as it should be");
  }
}

const more = ["audience", "scope"];
provider.registerGrantType(EXCHANGE, async (ctx) => {
  const { subject_token: token, subject_token_type: kind } = ctx.oidc.params;
  if (kind !== "urn:ietf:params:oauth:token-type:jwt") throw new errors.InvalidRequest("another type of token is wanted");
  await issue(ctx, await verified(token, issuer));
}, ["subject_token", "subject_token_type", "requested_token_type", ...more], ["audience"]);
provider.registerGrantType(BEARER, async (ctx) => issue(ctx, await verified(ctx.oidc.params.assertion, issuer)), ["assertion", ...more]);

let revoked = 0;
provider.on("grant.revoked", () => { revoked += 1; });
provider.on("server_error", (_, error) => console.error(error));

provider.use(async (ctx, next) => {
  if (ctx.path === "/mint") {
    const found = await provider.Client.find("bazel");
    const grant = new provider.Grant({ accountId: "somebody", clientId: "bazel" });
    grant.addOIDCScope("openid offline_access read");
    const token = new provider.RefreshToken({
      accountId: "somebody", client: found, grantId: await grant.save(), gty: "authorization_code", rotations: 0,
      scope: "openid offline_access read", expiresWithSession: false, iiat: Math.floor(Date.now() / 1000),
    });
    ctx.body = await token.save();
  } else if (ctx.path === "/revoked") {
    ctx.body = String(revoked);
  } else {
    await next();
  }
});

server.on("request", provider.callback());
process.stdin.on("end", () => process.exit(0)).resume();
console.log(issuer);
