/**
 * From a bootstrap order to the command lines of its steps. What a client gave reaches git as single arguments behind `--`
 * or as environment, never as a part of a shell text, so no address or ref can become an option or a command.
 */
import { schemeOf, stepNames, type BootstrapOrder } from "../../../src/protocol/sandbox/workspace.ts";

export interface PlannedStep {
  readonly name: string;
  readonly file: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

export function plannedSteps(order: BootstrapOrder): readonly PlannedStep[] {
  const names = stepNames(order);
  const commands = [
    ...(order.git === undefined ? [] : [clone(order.git, order.env)]),
    ...order.setup.map((command) => setup(command, order.env)),
  ];
  return commands.map((step, index) => ({ ...step, name: names[index] ?? "" }));
}

type Command = Omit<PlannedStep, "name">;

function setup(command: string, environment: Readonly<Record<string, string>>): Command {
  return { file: "sh", args: ["-c", command], environment };
}

function clone(git: NonNullable<BootstrapOrder["git"]>, own: Readonly<Record<string, string>>): Command {
  const depth = git.depth === undefined ? [] : [`--depth=${git.depth}`];
  const environment = { ...gitEnvironment(git), ...own };
  // A full commit id is fetched by itself: `--branch` knows names only.
  if (git.ref !== undefined && /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(git.ref)) {
    const script =
      'git clone --no-checkout $DEPTH -- "$1" . && git fetch $DEPTH origin "$2" && git checkout --detach FETCH_HEAD';
    return {
      file: "sh",
      args: ["-c", script, "clone", git.url, git.ref],
      environment: { ...environment, DEPTH: depth[0] ?? "" },
    };
  }
  const branch = git.ref === undefined ? [] : [`--branch=${git.ref}`];
  return { file: "git", args: ["clone", ...depth, ...branch, "--", git.url, "."], environment };
}

/** Asks nobody anything, follows no other protocol than the one that was allowed, and shows credentials to that host only. */
function gitEnvironment({ url, authorization }: NonNullable<BootstrapOrder["git"]>): Readonly<Record<string, string>> {
  const scheme = schemeOf(url);
  const config: readonly (readonly [string, string])[] = [
    ["protocol.allow", "never"],
    [`protocol.${scheme}.allow`, "always"],
    // A clone of http moves to https; the other way round a credential would travel in plain.
    ...(scheme === "http" ? [["protocol.https.allow", "always"] as const] : []),
    ...(authorization === undefined
      ? []
      : ([
          [`http.${new URL(url).origin}/.extraHeader`, `Authorization: ${authorization}`],
          ["http.followRedirects", "false"],
        ] as const)),
  ];
  return {
    GIT_TERMINAL_PROMPT: "0",
    GIT_SSH_COMMAND: "ssh -oBatchMode=yes -oStrictHostKeyChecking=accept-new -oConnectTimeout=30",
    GIT_CONFIG_COUNT: String(config.length),
    ...Object.fromEntries(
      config.flatMap(([key, value], index) => [
        [`GIT_CONFIG_KEY_${index}`, key],
        [`GIT_CONFIG_VALUE_${index}`, value],
      ]),
    ),
  };
}
