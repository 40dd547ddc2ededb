/** The demo inside a sandbox: a file goes in and comes out, a terminal answers, a server is opened by an address with an end. */
import { type IncomingMessage, request as sendRequest } from "node:http";
import { text as textOf } from "node:stream/consumers";
import { stripVTControlCharacters } from "node:util";
import { Mooring, type Session } from "../../src/client/mooring.ts";
import { freePort } from "../stack/ports.ts";
import { bold, dim } from "./stage.ts";

interface Reached {
  readonly url: string;
  readonly key: string;
  readonly id: string;
  readonly signal: AbortSignal;
}

/** Lines to show. Throws on what did not hold. Nothing of it runs on when it returns: a server would hold the idle clock. */
export async function reach({ url, key, id, signal }: Reached): Promise<readonly string[]> {
  const session = new Mooring({ url, key }).session(id);
  const page = "<h1>served from a sandbox</h1>";
  const written = await session.files.write("site/index.html", page, { signal });
  const back = await session.files.readText("site/index.html", { signal });
  if (back !== page) throw new Error("The file did not come back as it was written.");
  const said = await inTerminal(session, "echo $((6 * 7)) from a terminal", /42 from a terminal/);
  const served = await serve(session, url, signal);
  if (served !== page) throw new Error(`The server answered ${JSON.stringify(served)}.`);
  return [
    `file      ${bold("site/index.html")} written and read back, ${written.size} bytes, by ${written.owner}`,
    `terminal  ${said}`,
    `port      ${bold(served)} ${dim("by an address that opens this port alone, for a minute")}`,
  ];
}

async function inTerminal(session: Session, command: string, wanted: RegExp): Promise<string> {
  let shown = "";
  const terminal = await session.terminal({ command, onData: (bytes) => (shown += new TextDecoder().decode(bytes)) });
  await terminal.closed;
  const [said] = wanted.exec(stripVTControlCharacters(shown)) ?? [];
  if (said === undefined) throw new Error(`The terminal showed ${JSON.stringify(shown)}.`);
  return said;
}

const serverOf = (port: number): string =>
  `require("node:http").createServer((_, answer) => answer.end(require("node:fs").readFileSync("site/index.html"))).listen(${port}, () => console.log("listens"))`;

async function serve(session: Session, url: string, signal: AbortSignal): Promise<string> {
  const port = (await freePort(0)) ?? 0;
  const server = await session.start({ argv: ["node", "-e", serverOf(port)] }, { signal });
  try {
    // Its first words: it listens.
    await server.output({ signal }).next();
    const shared = await session.sharePort(port, { ttl_seconds: 60 }, { signal });
    return await answerOf(new URL(shared.url), url, shared.token ?? "");
  } finally {
    await server.end();
  }
}

/** Names below `localhost` lead to this machine in every browser, but not in every resolver: the connection goes to the stack itself. */
async function answerOf({ host, pathname }: URL, url: string, token: string): Promise<string> {
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const headers = { host, "mooring-token": token };
    sendRequest(`${url}${pathname}`, { headers }).once("response", resolve).once("error", reject).end();
  });
  return await textOf(answer);
}
