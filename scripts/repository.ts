/** Where this checkout is, and how its own tools are found: the scripts work from any directory and any Node on the PATH. */
import { delimiter, join } from "node:path";

export const repository = join(import.meta.dirname, "..");

const binaries = join(repository, "node_modules", ".bin");

/** The environment in which `node` is the one of the devDependencies and every tool is called by its name. */
export function toolEnvironment(extra: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${binaries}${delimiter}${process.env["PATH"] ?? ""}`, ...extra };
}
