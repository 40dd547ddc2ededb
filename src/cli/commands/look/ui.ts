/** `mooring ui`: opens the console in a browser, signed in by a link that is good for a minute. */
import type { Command } from "commander";
import { ConnectionError } from "../../../client/mooring.ts";
import { exitCodes } from "../../exit-codes.ts";
import { CliFault } from "../../fault.ts";
import { openBrowser } from "../../screen/browser.ts";
import { command, contextOf, type Shell, withSharedOptions } from "../command.ts";

export function uiCommand(shell: Shell): Command {
  const made = command("ui", "Open the console in a browser, signed in", [
    ["mooring ui", "opens a browser; prints the address where there is none"],
    ["mooring ui --print", "only the address, good for a minute"],
  ]).option("--print", "print the address and open nothing");
  return withSharedOptions(made).action(async (flags: { print?: boolean }) => {
    const context = contextOf(shell, flags);
    const { screen, access } = context;
    // An operator sees more, so the admin token is preferred.
    const credential = access.adminToken ?? access.key;
    if (credential === null)
      throw new CliFault(exitCodes.unauthorized, "There is neither a key nor the admin token.", "mooring login");
    const base = access.url;
    const { path } = await ticketFor(base, credential, context.signal);
    const address = `${base}${path}`;
    if (screen.form.json) return screen.json({ url: address });
    if (flags.print === true || !(await openBrowser(address, shell.env))) return screen.line(address);
    screen.line(`Opened ${base}/console in your browser.`);
  });
}

async function ticketFor(base: string, credential: string, signal: AbortSignal): Promise<{ readonly path: string }> {
  const headers = { authorization: `Bearer ${credential}` };
  const answer = await fetch(`${base}/console/ticket`, { method: "POST", headers, signal }).catch((error: unknown) => {
    throw new ConnectionError(`Mooring at ${base} could not be asked: ${String(error)}`, "POST /console/ticket");
  });
  const body = (await answer.json().catch(() => null)) as { readonly path?: string; readonly detail?: string } | null;
  if (answer.ok && typeof body?.path === "string") return { path: body.path };
  const exitCode = answer.status === 401 ? exitCodes.unauthorized : exitCodes.failed;
  throw new CliFault(exitCode, body?.detail ?? `The console answered ${answer.status}.`, "mooring login");
}
