// `/capture` as Fastify with better-sqlite3 is usually written: one insert, committed before the answer, for each call.
// Arguments: the database's file, and the port.

import Database from "better-sqlite3";
import Fastify from "fastify";

const [file, port] = process.argv.slice(2);
const COOKIE = "Max-Age=2592000; Path=/; SameSite=Lax; Secure";
const CLICK_ID = /^[A-Za-z0-9._~:%+/=-]{1,64}$/;

const database = new Database(file);
database.pragma("journal_mode = WAL");
database.pragma("synchronous = FULL");
database.exec(
  "CREATE TABLE click (click_id TEXT PRIMARY KEY, captured_at TEXT NOT NULL, referrer TEXT, user_agent TEXT)",
);
const insert = database.prepare("INSERT INTO click VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING");

const app = Fastify();
app.get("/", (request, reply) => reply.code(204).send());
app.get("/capture", (request, reply) => {
  const clickId = request.query.im_ref;
  if (!CLICK_ID.test(clickId ?? "")) return reply.code(400).send();
  const now = new Date();
  insert.run(clickId, now.toISOString(), request.headers.referer, request.headers["user-agent"]);
  return reply
    .code(204)
    .header("Vary", "Origin")
    .header("Cache-Control", "no-store")
    .header("Set-Cookie", [
      `im_ref=${clickId}; ${COOKIE}`,
      `im_ref_at=${Math.floor(now.getTime() / 1000)}; ${COOKIE}`,
    ])
    .send();
});
await app.listen({ host: "127.0.0.1", port: Number(port) });
process.on("SIGTERM", () => process.exit(0));
