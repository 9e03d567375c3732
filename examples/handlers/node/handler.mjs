#!/usr/bin/env node
// A handler of relevo's jobs in JavaScript, with Node's own modules only.
//
//     node handler.mjs --port 8080 --secret-file secret
//
// Prints the port it listens on (--port 0: any free one). The secret file holds one secret a line,
// as in the configuration of relevo; with two of them, a secret can be changed without a pause. The
// contract of requests and answers is in docs/handlers.md.

import { createHmac, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const TOLERANCE_SECONDS = 300;
const BODY_LIMIT = 1024 * 1024;

class Refused extends Error {}

function readKeys(path) {
  const secrets = readFileSync(path, "ascii").split(/\s+/).filter(Boolean);
  if (secrets.length === 0) throw new Error(`${path} holds no secret`);
  return secrets.map((secret) => Buffer.from(secret.replace(/^whsec_/, ""), "base64"));
}

function same(a, b) {
  return a.length === b.length && timingSafeEqual(a, b);
}

// Standard Webhooks, on the raw body: what was parsed and written again may be other bytes.
function verify(keys, headers, body, now) {
  const id = headers["webhook-id"] ?? "";
  const timestamp = headers["webhook-timestamp"] ?? "";
  if (id === "" || !/^[0-9]+$/.test(timestamp)) throw new Refused("a webhook header is missing");
  // An old request may be one that somebody recorded.
  if (Math.abs(now - Number(timestamp)) > TOLERANCE_SECONDS) {
    throw new Refused("the timestamp is too far off");
  }
  const expected = keys.map((key) => {
    const hmac = createHmac("sha256", key).update(`${id}.${timestamp}.`, "latin1").update(body);
    return Buffer.from(`v1,${hmac.digest("base64")}`);
  });
  const given = (headers["webhook-signature"] ?? "").split(" ").map((text) => Buffer.from(text));
  // All are compared, each in constant time: the time taken tells nothing about the signature.
  const fits = given.flatMap((a) => expected.map((b) => same(a, b)));
  if (!fits.includes(true)) throw new Refused("the signature does not fit");
  return id;
}

// What was done, by webhook-id: a job comes again when its answer was lost on the way. In memory
// here. In earnest it is a table with the id as its key, written in the transaction that does the
// work; then a crash in between cannot do it twice.
const done = new Map();

// The promise is kept, not its value: a second request that comes meanwhile waits for the first.
function once(id, work) {
  if (!done.has(id)) {
    const result = Promise.resolve().then(work);
    done.set(id, result);
    result.catch(() => done.delete(id));
  }
  return done.get(id);
}

class BadPayload extends Error {}

const kinds = {
  "mail.send": async (payload) => {
    if (typeof payload?.to !== "string") throw new BadPayload("to is no text");
    return { sent_to: payload.to };
  },
};

async function read(request) {
  const parts = [];
  let size = 0;
  for await (const part of request) {
    size += part.length;
    if (size > BODY_LIMIT) throw new BadPayload("the body is too large");
    parts.push(part);
  }
  return Buffer.concat(parts);
}

async function handle(keys, request) {
  const body = await read(request);
  const id = verify(keys, request.headers, body, Date.now() / 1000);
  const kind = request.headers["relevo-kind"];
  if (!Object.hasOwn(kinds, kind)) return [404, { error: "no such kind here" }];
  return [200, await once(id, () => kinds[kind](JSON.parse(body)))];
}

function statusOf(error) {
  if (error instanceof Refused) return 401;
  return error instanceof BadPayload || error instanceof SyntaxError ? 422 : 500;
}

function option(name, otherwise) {
  const at = process.argv.indexOf(name);
  return at < 0 ? otherwise : process.argv[at + 1];
}

const keys = readKeys(option("--secret-file", "secret"));
const server = createServer(async (request, response) => {
  const [status, value] = await handle(keys, request).catch((error) => {
    const code = statusOf(error);
    return [code, { error: code === 500 ? "internal error" : error.message }];
  });
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(value));
});
server.listen(Number(option("--port", "8080")), option("--host", "127.0.0.1"), () => {
  console.log(server.address().port);
});
