/** `mooring ports`: servers that run in a sandbox, and addresses for them. */
import type { Command } from "commander";
import type { AnswerOf } from "../../../client/mooring.ts";
import { exitCodes } from "../../exit-codes.ts";
import { CliFault } from "../../fault.ts";
import { command, contextOf, type Shell, withSharedOptions } from "../command.ts";
import { secondsOf } from "./run.ts";

type Listening = AnswerOf<"listPorts">["data"][number];

export function portsCommand(shell: Shell): Command {
  const ports = command("ports", "Servers that run in a sandbox, and addresses for them", [
    ["mooring run -s ID 'python3 -m http.server 8000 &'", "not like this: what a job leaves running ends with it"],
    ["mooring run -d -s ID -- python3 -m http.server 8000", "a server as a job that goes on"],
    ["mooring ports list ID", "on which ports something listens"],
    ["mooring ports open ID 8000", "an address for it, good for an hour"],
  ]);
  const list = command("list", "List the ports on which something listens").argument("<session>", "id of the session");
  ports.addCommand(
    withSharedOptions(list, ["json", "ids"]).action(async (id: string, flags: object) => {
      const context = contextOf(shell, flags);
      const { screen } = context;
      const found = await context.mooring().session(id).ports({ signal: context.signal });
      const columns = [
        { title: "Port", text: ({ port }: Listening) => String(port) },
        { title: "Program", text: ({ program }: Listening) => program },
        { title: "Pid", text: ({ pid }: Listening) => String(pid) },
      ];
      screen.rows(found, columns, ({ port }) => String(port), "Nothing listens in it.");
    }),
  );
  const open = command("open", "Make an address for a port")
    .argument("<session>", "id of the session")
    .argument("<port>", "where the server listens, or will")
    .option("--for <time>", "how long the address opens the port (90s, 15m, 2h, 1d)", "1h")
    .option("--public", "whoever has the address may use it, without the token in it");
  ports.addCommand(
    withSharedOptions(open, ["json", "ids"]).action(
      async (id: string, port: string, flags: { for: string; public?: boolean }) => {
        const context = contextOf(shell, flags);
        if (!/^\d{1,5}$/.test(port)) throw new CliFault(exitCodes.usage, `"${port}" is no port.`);
        const how = { ttl_seconds: secondsOf(flags.for, "--for"), public: flags.public === true };
        const shared = await context.mooring().session(id).sharePort(Number(port), how, { signal: context.signal });
        if (context.screen.form.json) return context.screen.json(shared);
        context.screen.line(shared.url);
        context.screen.note(`It opens port ${shared.port} of this session until ${shared.ends_at}, and nothing else.`);
      },
    ),
  );
  return ports;
}
