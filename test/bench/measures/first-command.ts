/**
 * Time to the first command, as the public benchmark of ComputeSDK takes it: from the create until `node -v` has ended, with a probe
 * before it that looks for traces of an earlier sandbox. Through the provider of the client package, on the local provider.
 */
import { computeProvider, Mooring } from "../../../src/client/mooring.ts";
import { open } from "../../support/service-calls.ts";
import { disposeInstances, type Instance, removeDirectories, startInstance } from "../../support/wrapper-instance.ts";
import type { Measure } from "../figure.ts";
import { firstCommandFigures, type Sizes } from "./first-command-modes.ts";
import { withLocalHost } from "./local-host.ts";

const sizes: Readonly<Record<"full" | "small", Sizes>> = {
  full: { sequential: 100, staggered: 100, burst: 100 },
  small: { sequential: 3, staggered: 3, burst: 3 },
};
const command = "node -v";
const longestMs = 120_000;

export const firstCommand: Measure = {
  name: "first-command",
  async run(say, size) {
    try {
      return await withLocalHost(async (client, workerd) => {
        const key = await workerd.key("acme");
        const compute = computeProvider(new Mooring({ url: client.url, key, timeoutMs: longestMs }));
        const ours = async (): Promise<number> => {
          const began = performance.now();
          const sandbox = await compute.sandbox.create();
          try {
            const { exitCode, stdout } = await sandbox.runCommand(freshProbe);
            if (exitCode !== 0 || stdout !== "") throw new Error(`the sandbox is not fresh: ${stdout}`);
            const run = await sandbox.runCommand(command);
            if (run.exitCode !== 0) throw new Error(`${command} ended with ${run.exitCode}: ${run.stderr}`);
            return performance.now() - began;
          } finally {
            await sandbox.destroy();
          }
        };
        return await firstCommandFigures({
          ...{ id: "first-command", where: "by a ComputeSDK provider, local provider", bar: 1.3 },
          ...{ against: "the same wrapper spawned, renewed and asked without Mooring" },
          ...{ sizes: sizes[size], ours, bare, say },
        });
      });
    } finally {
      await disposeInstances();
      removeDirectories();
    }
  },
};

/**
 * Writes what it looks for: a second sandbox in the same place finds it. In the workspace, where the public benchmark looks in /tmp: sandboxes of
 * the local host share that of the machine.
 */
const freshProbe = "cat .bench_fresh 2>/dev/null; echo used > .bench_fresh; readlink /proc/self/ns/pid > /dev/null";

async function bare(): Promise<number> {
  const began = performance.now();
  const instance = await startInstance();
  try {
    await instance.renew();
    await asked(instance, freshProbe);
    await asked(instance, command);
    return performance.now() - began;
  } finally {
    await instance.dispose();
  }
}

async function asked(instance: Instance, line: string): Promise<void> {
  const answer = await open(instance, "POST", "/processes?output=true", { body: JSON.stringify({ command: line }) });
  let text = "";
  for await (const chunk of answer as AsyncIterable<Buffer>) text += chunk.toString();
  if (!text.includes('"exit_code":0')) throw new Error(`${line} did not exit well: ${text.slice(0, 300)}`);
}
