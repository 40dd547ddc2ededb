/** Opens an address in the browser of this machine. */
import { spawn } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * false: there is no browser to open. The address is handed over in a file that only its owner can read: on the command
 * line every user of the machine could read the address, and sign in with it within the minute.
 */
export async function openBrowser(
  address: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<boolean> {
  const [program, ...args] =
    process.platform === "darwin" ? ["open"] : process.platform === "win32" ? ["cmd", "/c", "start", ""] : ["xdg-open"];
  if (process.platform === "linux" && (env["DISPLAY"] ?? env["WAYLAND_DISPLAY"] ?? "") === "") return false;
  return await new Promise((resolve) => {
    const child = spawn(program ?? "", [...args, pageTo(address)], { stdio: "ignore", detached: true });
    child.on("error", () => resolve(false));
    child.on("spawn", () => {
      child.unref();
      resolve(true);
    });
  });
}

/** Answers the path of the file. mkdtemp makes a directory that only its owner can open. */
function pageTo(address: string): string {
  const file = join(mkdtempSync(join(tmpdir(), "mooring-")), "open.html");
  const escaped = address.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");
  writeFileSync(file, `<!doctype html><meta http-equiv="refresh" content="0;url=${escaped}">\n`, { mode: 0o600 });
  return file;
}
