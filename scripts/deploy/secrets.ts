/**
 * `npm run secrets -- --file F [--set [--env E] [--name N]] [--rotate NAME]`: keeps a deployment's secrets in one file that only you
 * can read, makes those that are missing, and hands them to wrangler. No value is ever printed, or put on a command line.
 *
 * - without more: makes what is missing in F and says what it made;
 * - `--rotate NAME`: a new value; the old one moves to `NAME_PREVIOUS`, so that what it signed or sealed goes on working;
 * - `--set`: sets all of F at the Worker that `--env` or `--name` says.
 *
 * F is the only copy: what is sealed or signed with a secret that is lost cannot be opened again. Exit 1: the file is open to others, or
 * wrangler refused. Exit 2: the command line is wrong.
 */
import { spawnSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { readCommandLine } from "../command-line.ts";
import { repository, toolEnvironment } from "../repository.ts";
import { workerName } from "./deploy-config.ts";
import { otherLines, readSecretFile, writeSecretFile } from "./secret-file.ts";
import { deployedSecrets, type DeployedSecret, freshSecret, rotated } from "./secret-values.ts";

const usage = `Usage: npm run secrets -- --file FILE [--rotate ${deployedSecrets.join("|")}] [--set] [--env ENV] [--name NAME]`;

function fail(exitCode: 1 | 2, message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(exitCode);
}

const { values } = readCommandLine(usage, {
  options: {
    file: { type: "string" },
    rotate: { type: "string" },
    set: { type: "boolean", default: false },
    env: { type: "string" },
    name: { type: "string" },
  },
});
const { file } = values;
if (file === undefined) fail(2, usage);
if (existsSync(file) && (statSync(file).mode & 0o077) !== 0)
  fail(1, `${file} can be read by others, so its secrets count as told: chmod 600 ${file}, and rotate each of them.`);

const others = otherLines(file);
if (others.length > 0)
  fail(
    1,
    `${file} holds more than NAME=value (line ${others.join(", ")}), which would be lost. Take that out, or name another file.`,
  );
const secrets = readSecretFile(file);
const rotating = deployedSecrets.find((each) => each === values.rotate);
if (values.rotate !== undefined && rotating === undefined) fail(2, `There is no secret ${values.rotate}. ${usage}`);
const made = deployedSecrets.filter((name) => (secrets.get(name) ?? "") === "");
for (const name of made) secrets.set(name, freshSecret(name));
if (rotating !== undefined) rotate(rotating);
writeSecretFile(file, secrets);
if (made.length > 0) process.stdout.write(`made: ${made.join(", ")}\n`);
if (rotating !== undefined) tellRotated(rotating);
process.stdout.write(
  `${file} holds ${secrets.size} secrets and is readable by you alone: it is the only copy, so back it up.\n`,
);
if (values.set) set();

function rotate(name: DeployedSecret): void {
  const { current, previous } = rotated(name, secrets);
  secrets.set(name, current);
  secrets.set(`${name}_PREVIOUS`, previous);
}

function tellRotated(name: DeployedSecret): void {
  const after =
    name === "ENV_ENCRYPTION_KEY"
      ? "then POST /v1/admin/secrets/reseal, and take the old one out when it answers that nothing is left"
      : "take the old one out when nobody uses it any more";
  process.stdout.write(`rotated: ${name}. Next: set them with --set; ${after}.\n`);
}

function set(): void {
  const worker = [
    ...(values.env === undefined || values.env === "production" ? [] : ["--name", workerName(values.env)]),
    ...(values.name === undefined ? [] : ["--name", values.name]),
  ];
  // By stdin: an argument would stand in the list of processes.
  const run = spawnSync("wrangler", ["secret", "bulk", ...worker], {
    cwd: repository,
    env: toolEnvironment(),
    input: JSON.stringify(Object.fromEntries(secrets)),
    stdio: ["pipe", "inherit", "inherit"],
    encoding: "utf8",
  });
  if (run.status !== 0)
    fail(1, "wrangler did not set them; what stands above is its own message. Nothing is lost: the file has them.");
}
