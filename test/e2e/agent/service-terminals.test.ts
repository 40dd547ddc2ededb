/** Terminals in a sandbox: WebSockets through a real wrapper, its service process, and a real pseudo terminal. */
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { call, json } from "../../support/service-calls.ts";
import { passHeaders } from "../../support/traffic-call.ts";
import { until } from "../../support/until.ts";
import {
  disposeInstances,
  isRunning,
  removeDirectories,
  startInstance,
  type Instance,
} from "../../support/wrapper-instance.ts";

let instance: Instance;

beforeAll(async () => {
  instance = await startInstance({ lease_ttl_ms: 600_000 });
  await instance.renew();
});
afterAll(async () => {
  await disposeInstances();
  removeDirectories();
});

interface Screen {
  readonly socket: WebSocket;
  readonly pid: number;
  readonly shown: () => Buffer;
  readonly news: readonly Record<string, unknown>[];
  readonly closed: Promise<unknown>;
}

async function terminal(query: Readonly<Record<string, string>>): Promise<Screen> {
  const headers = await passHeaders(instance.boot);
  const url = `ws://127.0.0.1:${instance.port}/traffic/terminal?${new URLSearchParams(query).toString()}`;
  const socket = new WebSocket(url, { headers });
  const chunks: Buffer[] = [];
  const news: Record<string, unknown>[] = [];
  socket.on("message", (data: Buffer, isBinary: boolean) => {
    if (isBinary) chunks.push(data);
    else news.push(JSON.parse(data.toString()) as Record<string, unknown>);
  });
  const closed = once(socket, "close");
  await once(socket, "open");
  await until("it is ready", () => news.length > 0);
  return { socket, pid: Number(news[0]?.["pid"]), shown: () => Buffer.concat(chunks), news, closed };
}

const shows = (screen: Screen, text: string) =>
  until(`the terminal shows ${JSON.stringify(text)} (${screen.shown().toString().slice(-200)})`, () =>
    screen.shown().includes(text),
  );
const type = (screen: Screen, text: string) => screen.socket.send(Buffer.from(text));
const order = (screen: Screen, body: unknown) => screen.socket.send(JSON.stringify(body));

describe("a terminal", () => {
  it("[TRA-10] shows what is typed, knows its size, and is told of another one", async () => {
    const screen = await terminal({ cols: "100", rows: "30" });
    type(screen, "stty size; tty; echo $TERM\n");
    await shows(screen, "30 100\r\n");
    await shows(screen, "/dev/pts/");
    await shows(screen, "xterm-256color\r\n");
    order(screen, { type: "resize", cols: 132, rows: 50 });
    await until("the new size", async () => {
      type(screen, "stty size\n");
      return screen.shown().includes("50 132\r\n");
    });
    type(screen, "exit 7\n");
    await screen.closed;
    expect(screen.news.at(-1)).toEqual({ type: "exit", exit_code: 7, signal: null, timed_out: false });
  });

  it("[TRA-10] Ctrl-C reaches the program, and a signal ends it", async () => {
    const screen = await terminal({ command: "trap 'echo caught' INT; echo up; while :; do sleep 0.1; done" });
    await shows(screen, "up");
    type(screen, "\u0003");
    await shows(screen, "caught");
    order(screen, { type: "signal", signal: "SIGKILL" });
    await screen.closed;
    expect(screen.news.at(-1)).toMatchObject({ type: "exit", exit_code: null, signal: "SIGKILL" });
  });

  it("[TRA-10] passes UTF-8 and raw bytes both ways", async () => {
    const screen = await terminal({
      command: "stty raw -echo; printf ready; head -c 9 | od -An -tx1; printf '\\377\\376☃'",
    });
    await shows(screen, "ready");
    screen.socket.send(Buffer.from([0xff, 0x00, 0x80, 0xe2, 0x98, 0x83, 0x0a, 0x0d, 0x1b]));
    await screen.closed;
    expect(screen.shown().toString("latin1")).toContain("ff 00 80 e2 98 83 0a 0d 1b");
    expect(screen.shown().subarray(-5)).toEqual(Buffer.from([0xff, 0xfe, 0xe2, 0x98, 0x83]));
  });

  it("[TRA-10] outlives its connection: who comes back sees what it showed", async () => {
    const first = await terminal({});
    type(first, "kept=yes; echo first-sight\n");
    await shows(first, "first-sight\r\n");
    first.socket.terminate();
    await first.closed;
    expect(isRunning(first.pid)).toBe(true);
    const second = await terminal({ pid: String(first.pid) });
    await shows(second, "first-sight\r\n");
    type(second, "echo kept-$kept\n");
    await shows(second, "kept-yes");
    await call(instance, "DELETE", `/processes/${first.pid}`);
    await second.closed;
    expect(isRunning(first.pid)).toBe(false);
  });

  it("[TRA-10] shows ten megabytes whole", async () => {
    const screen = await terminal({ command: "stty -opost; head -c 10000000 /dev/zero | tr '\\0' x; printf END" });
    await screen.closed;
    expect(screen.shown().length).toBe(10_000_003);
    expect(screen.shown().subarray(-3).toString()).toBe("END");
  });

  it("[TRA-10] a client that stops reading stops its program, and loses nothing", async () => {
    const screen = await terminal({
      command: "stty -opost -echo; echo up; read line; head -c 10000000 /dev/zero | tr '\\0' x; printf END",
    });
    await shows(screen, "up");
    screen.socket.pause();
    type(screen, "\n");
    const written = async () =>
      Number((json(await call(instance, "GET", `/processes/${screen.pid}`)) as { output_bytes: number }).output_bytes);
    let seen = -1;
    await until("the program waits", async () => {
      const now = await written();
      const stands = now === seen && now > 100;
      seen = now;
      return stands;
    });
    expect(seen).toBeLessThan(10_000_000);
    screen.socket.resume();
    await screen.closed;
    expect(screen.shown().length).toBe(10_000_006);
  });

  it("[TRA-10] shows a program that ends at once, and how it ended", async () => {
    for (let round = 0; round < 40; round += 1) {
      const screen = await terminal({ command: `echo round ${round}; exit 3` });
      await screen.closed;
      expect(screen.shown().toString()).toBe(`round ${round}\r\n`);
      expect(screen.news.at(-1)).toMatchObject({ type: "exit", exit_code: 3 });
    }
  });

  it("is refused in words", async () => {
    const url = `ws://127.0.0.1:${instance.port}/traffic/terminal?pid=999999`;
    const socket = new WebSocket(url, { headers: await passHeaders(instance.boot) });
    const [, answer] = (await once(socket, "unexpected-response")) as [unknown, { statusCode: number }];
    expect(answer.statusCode).toBe(404);
    socket.on("error", () => {});
    socket.terminate();
  });
});
