// A certified OpenID provider for tests. Reads one line of JSON on standard input (see ../oidcprovider.py), says on
// standard output where it listens, and ends when its input does. Besides the provider's own paths there are:
//   GET, POST /interaction/UID   sign in and consent: a form with `user`, `acr`, `amr`, `deny`
//   GET /claims/USER             that user's distributed claims, as a signed JWT (OpenID Connect Core 5.6.2)
//   POST /test/WORD              what a test does behind the provider's back; JSON in and out
import * as crypto from 'node:crypto';
import * as fs from 'node:fs';
import * as https from 'node:https';
import * as readline from 'node:readline';

import { SignJWT, importJWK } from 'jose';
import Provider, { interactionPolicy } from 'oidc-provider';

import { Storage, revoke, sessions } from './storage.mjs';

const MAX_BODY = 1 << 20;
const given = JSON.parse((await readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]().next()).value);
const users = new Map(Object.entries(given.users));
const signIns = new Map(); // grant id → how its user signed in
const faults = []; // [{path, times, status, body}]: answered instead of the provider
const seen = []; // [path, grant_type]
const cookieKey = crypto.randomBytes(16).toString('hex');
let trusted;
let issuer;
let provider;
let answer;

function account(ctx, name) {
  const user = users.get(name);
  if (!user) return undefined;
  return { accountId: name, claims: () => ({ sub: name, ...claimsOf(name) }) };
}

function claimsOf(name) {
  const { distributed, ...claims } = users.get(name) ?? {};
  if (!distributed) return claims;
  const { groups, ...others } = claims;
  return {
    ...others,
    _claim_names: { groups: 'directory' },
    _claim_sources: { directory: { endpoint: `${issuer}/claims/${name}`, access_token: `for-${name}` } },
  };
}

// A sign-in of a lower level than the client asks for is not enough: it signs in again (acr_values, Core 3.1.2.1).
function policy() {
  const { Check, base } = interactionPolicy;
  const prompts = base();
  prompts.get('login').checks.add(new Check('acr_values', 'a higher level was asked for', ({ oidc }) => {
    const wanted = (oidc.params.acr_values ?? '').split(' ').filter(Boolean);
    return wanted.length > 0 && oidc.session.accountId && !wanted.includes(oidc.session.acr) ? Check.REQUEST_PROMPT : Check.NO_NEED_TO_PROMPT;
  }));
  return prompts;
}

function make() {
  provider = new Provider(issuer, {
    adapter: Storage,
    jwks: { keys: given.keys },
    clients: given.clients,
    cookies: { keys: [cookieKey] },
    findAccount: account,
    acrValues: given.acr_values,
    claims: {
      openid: ['sub', 'acr', 'amr', 'auth_time'],
      profile: ['name', 'preferred_username'],
      email: ['email', 'email_verified'],
      groups: ['groups'],
      sid: null, iss: null,
    },
    conformIdTokenClaims: false,
    scopes: ['openid', 'offline_access'],
    interactions: { policy: policy(), url: (ctx, { uid }) => `/interaction/${uid}` },
    pkce: { required: () => true },
    rotateRefreshToken: () => true,
    expiresWithSession: () => false,
    ttl: { AccessToken: 300, AuthorizationCode: 60, ClientCredentials: 300, DeviceCode: 300, Grant: 86400, IdToken: 300, Interaction: 300, RefreshToken: 86400, Session: 86400, ...given.ttl },
    extraTokenClaims: (ctx, token) => ({ ...(token.accountId && claimsOf(token.accountId)), ...signIns.get(token.grantId) }),
    fetch: (url, options) => post(url, options),
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true, userCodeInputSource: (ctx, form, out, error) => page(ctx, out || error ? `<p>nothing came of it: ${escaped(out?.error ?? error)}` : form), userCodeConfirmSource: page, successSource: page },
      introspection: { enabled: true, allowedPolicy: () => true },
      revocation: { enabled: true, allowedPolicy: () => true },
      rpInitiatedLogout: { enabled: true, logoutSource: page, postLogoutSuccessSource: page },
      userinfo: { enabled: true },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => false,
        getResourceServerInfo: (ctx, resource) => {
          const format = given.resources[resource];
          if (!format) throw Object.assign(new Error('invalid_target'), { statusCode: 400, error: 'invalid_target', expose: true });
          return { scope: 'groups profile email db:read', audience: resource, accessTokenFormat: format, ...(format === 'jwt' && { jwt: { sign: { alg: 'RS256' } } }) };
        },
      },
    },
  });
  provider.on('server_error', (ctx, error) => console.error(error));
  answer = provider.callback();
}

function page(ctx, form) {
  ctx.type = 'html';
  ctx.body = `<!DOCTYPE html><title>test provider</title>${typeof form === 'string' ? form : '<p>done: back to where the code was shown</p>'}`;
}

// Back-channel logout tokens go to a gateway with an authority of its own.
function post(url, { method, headers, body }) {
  return new Promise((resolve, reject) => {
    const ca = trusted && fs.readFileSync(trusted);
    const request = https.request(url, { method, headers: Object.fromEntries(headers), ca }, (response) => {
      response.resume().on('end', () => resolve(new Response(null, { status: response.statusCode })));
    });
    request.on('error', reject).end(String(body));
  });
}

async function read(request) {
  let text = '';
  for await (const part of request) if ((text += part).length > MAX_BODY) throw new Error('too long');
  return text;
}

const escaped = (text) => String(text).replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);

async function interact(request, response) {
  const { prompt, params, session, uid } = await provider.interactionDetails(request, response);
  if (request.method !== 'POST') {
    const acr = (params.acr_values ?? given.acr_values[0]).split(' ')[0];
    response.setHeader('content-type', 'text/html');
    response.end(`<!DOCTYPE html><title>sign in</title><p>${escaped(params.client_id)} wants ${escaped(params.scope)}</p>
      <form method="post" action="/interaction/${uid}"><input name="user" value="${escaped(session?.accountId ?? '')}">
      <input name="acr" value="${escaped(acr)}"><input name="amr" value="pwd"><input name="deny" value=""><button>Sign in</button></form>`);
    return;
  }
  const form = new URLSearchParams(await read(request));
  if (form.get('deny')) {
    await provider.interactionFinished(request, response, { error: 'access_denied', error_description: 'the person said no' });
    return;
  }
  const accountId = prompt.name === 'login' ? form.get('user') : session.accountId;
  if (!users.has(accountId)) {
    response.writeHead(403).end('no such user');
    return;
  }
  const signIn = prompt.name === 'login'
    ? { acr: form.get('acr'), amr: form.get('amr').split(' '), ts: Math.floor(Date.now() / 1000) }
    : { acr: session.acr, amr: session.amr, ts: (await provider.Session.findByUid(session.uid)).authTime() };
  const grant = new provider.Grant({ accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope ?? '');
  for (const resource of [params.resource ?? []].flat()) grant.addResourceScope(resource, params.scope ?? '');
  const grantId = await grant.save();
  signIns.set(grantId, { acr: signIn.acr, amr: signIn.amr, auth_time: signIn.ts });
  await provider.interactionFinished(request, response, { login: { accountId, ...signIn }, consent: { grantId } });
}

async function claims(response, name) {
  const { groups } = users.get(name);
  const key = given.keys[0];
  const token = await new SignJWT({ groups }).setProtectedHeader({ alg: 'RS256', kid: key.kid }).setIssuer(issuer).setSubject(name)
    .setIssuedAt().setExpirationTime('5m').sign(await importJWK(key, 'RS256'));
  response.setHeader('content-type', 'application/jwt');
  response.end(token);
}

const words = {
  user: ({ name, claims }) => { claims ? users.set(name, claims) : users.delete(name); },
  keys: ({ keys }) => { given.keys = keys; make(); },
  revoke: ({ user }) => revoke(user),
  fault: (fault) => { fault.times ? faults.push(fault) : faults.splice(0); },
  seen: () => seen,
  trust: ({ ca }) => { trusted = ca; },
  client: (changed) => { Object.assign(given.clients.find((each) => each.client_id === changed.client_id), changed); make(); },
  // What the provider does when somebody signs out in the browser, for one client.
  signout: async ({ user, client }) => {
    const told = [];
    for (const { authorizations } of sessions(user)) {
      if (!authorizations?.[client]) continue;
      await (await provider.Client.find(client)).backchannelLogout(user, authorizations[client].sid);
      told.push(authorizations[client].sid);
    }
    return told;
  },
};

async function serve(request, response) {
  const path = new URL(request.url, issuer).pathname;
  const [, first, second] = path.split('/');
  if (first === 'test') {
    const said = await words[second](JSON.parse(await read(request)));
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(said ?? null));
    return;
  }
  seen.push(path);
  const fault = faults.find((each) => each.path === path && each.times > 0);
  if (fault) {
    fault.times -= 1;
    if (fault.status === 0) return; // never answered
    response.writeHead(fault.status, { 'content-type': 'application/json', 'cache-control': 'no-store' }).end(JSON.stringify(fault.body));
  } else if (first === 'interaction') await interact(request, response);
  else if (first === 'claims') await claims(response, second);
  else await answer(request, response);
}

const server = https.createServer({ cert: fs.readFileSync(given.certificate), key: fs.readFileSync(given.key) }, (request, response) => {
  serve(request, response).catch((error) => {
    console.error(error);
    if (!response.headersSent) response.writeHead(500);
    response.end(String(error));
  });
});
server.listen(0, '127.0.0.1', () => {
  issuer = `https://127.0.0.1:${server.address().port}`;
  make();
  console.log(JSON.stringify({ issuer }));
});
process.stdin.on('end', () => process.exit(0)).resume();
