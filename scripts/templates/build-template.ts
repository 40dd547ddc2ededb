/** Runs a recipe in a container and keeps it as one of the platform's snapshots, from which sandboxes then start. */
import type { Ask } from "../probe/questions.ts";
import type { Recipe } from "./recipes.ts";

export interface BuiltTemplate {
  readonly snapshot: string;
  readonly bytes: number;
}

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const idle = ["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1; done"];
const toldCharacters = 2_000;

export async function buildTemplate(
  ask: Ask,
  box: string,
  name: string,
  { steps, check }: Recipe,
  say: (line: string) => void,
): Promise<BuiltTemplate> {
  try {
    const [came] = await ask<string[]>(box, "start", [{ entrypoint: idle, enableInternet: true }]);
    if (came !== "started") throw new Error(`The container did not start: ${came}`);
    for (const step of [...steps, check]) {
      say(step);
      const { code, stdout, stderr } = await ask<Ran>(box, "exec", ["/bin/sh", "-c", step]);
      if (code !== 0) throw new Error(`It ended with ${code}: ${step}\n${(stdout + stderr).slice(-toldCharacters)}`);
    }
    const { id, size } = await ask<{ id: string; size: number }>(box, "snapshot", name);
    return { snapshot: id, bytes: size };
  } finally {
    await ask(box, "destroy").catch(() => {});
  }
}
