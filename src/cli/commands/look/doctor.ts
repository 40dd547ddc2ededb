/** `mooring doctor`: looks at everything between this machine and a sandbox, and names the command that mends what is wrong. */
import type { Command } from "commander";
import { isProblem } from "../../../client/mooring.ts";
import type { Context } from "../../context.ts";
import { exitCodes } from "../../exit-codes.ts";
import { CliFault, faultOf } from "../../fault.ts";
import { relative } from "../../screen/times.ts";
import { version } from "../../version.ts";
import { command, contextOf, type Shell, withSharedOptions } from "../command.ts";

interface Finding {
  readonly what: string;
  readonly state: "ok" | "wrong" | "skipped";
  readonly says: string;
  readonly next: string | null;
}

/** Clocks further apart than this make signed webhooks and receipts look wrong. */
const skewMs = 30_000;
const oldestNode = 20;

export function doctorCommand(shell: Shell): Command {
  const made = command("doctor", "Check everything between this machine and a sandbox", [
    ["mooring doctor", "each check on a line, with the command that mends it; exits 8 when something is wrong"],
    ["mooring doctor --json", "for a script"],
  ]);
  return withSharedOptions(made).action(async (flags: object) => {
    const context = contextOf(shell, flags);
    const findings = await examine(context);
    const { screen } = context;
    if (screen.form.json) screen.json(findings);
    else {
      const { good, bad, dim, accent } = screen.colours;
      for (const { what, state, says, next } of findings) {
        const mark = state === "ok" ? good("✓") : state === "wrong" ? bad("✗") : dim("–");
        screen.line(`${mark} ${what.padEnd(14)} ${screen.plain(says)}`);
        if (next !== null) screen.line(`  ${" ".repeat(14)} ${accent(next)}`);
      }
    }
    const wrong = findings.filter(({ state }) => state === "wrong");
    if (wrong.length > 0)
      throw new CliFault(
        exitCodes.found,
        `${wrong.length} of ${findings.length} checks found something wrong.`,
        wrong.find(({ next }) => next !== null)?.next ?? null,
      );
  });
}

async function examine(context: Context): Promise<readonly Finding[]> {
  const { access } = context;
  const node = Number(process.versions.node.split(".")[0]);
  const findings: Finding[] = [
    found(
      "command line",
      node >= oldestNode,
      `mooring ${version} on Node ${process.versions.node}`,
      `install Node ${oldestNode} or newer`,
    ),
    found("credentials", access.key !== null || access.adminToken !== null, credentialWords(context), "mooring login"),
  ];
  const alive = await reach(context);
  findings.push(...alive);
  if (alive.some(({ state }) => state === "wrong")) return findings;
  findings.push(
    await checked(
      "readiness",
      "mooring fleet   # and /readyz names what is missing; docs/operations.md has each",
      async () => {
        const ready = await context
          .transport(access.adminToken === null ? "open" : "admin")
          .json({ operation: "getReadiness", repeatable: true });
        return `it could start a sandbox now, with the provider ${ready.provider}`;
      },
    ),
  );
  if (access.key !== null)
    findings.push(
      await checked("API key", "mooring login", async () => {
        const page = await context.mooring().page({ limit: 1 });
        return `accepted${page.data.length === 0 ? "; no session yet" : ""}`;
      }),
    );
  if (access.adminToken === null) {
    findings.push({
      what: "fleet",
      state: "skipped",
      says: "alerts, ledger, orphans and layers need the admin token",
      next: null,
    });
    return findings;
  }
  return [...findings, ...(await examineFleet(context))];
}

/** Whether the server answers, whether it is Mooring, and how far the two clocks are apart. */
async function reach({ access, signal }: Context): Promise<readonly Finding[]> {
  const began = Date.now();
  try {
    const answer = await fetch(`${access.url.replace(/\/+$/, "")}/healthz`, {
      signal: AbortSignal.any([signal, AbortSignal.timeout(10_000)]),
    });
    const body = (await answer.json().catch(() => null)) as { readonly status?: unknown } | null;
    const tookMs = Date.now() - began;
    const isMooring = answer.ok && body?.status === "alive";
    const findings = [
      found(
        "Mooring",
        isMooring,
        isMooring
          ? `${access.url} answers after ${tookMs} ms`
          : `${access.url} answers ${answer.status}, and not as Mooring does`,
        "mooring login --url URL   # is the address right?",
      ),
    ];
    const date = answer.headers.get("date");
    if (isMooring && date !== null) {
      // The Date header has whole seconds: compare the middle of that second with the middle of the request.
      const apartMs = Math.abs(Date.parse(date) + 500 - (began + tookMs / 2));
      findings.push(
        found(
          "clocks",
          apartMs < skewMs,
          `this machine and Mooring are less than ${Math.ceil(apartMs / 1_000) + 1} s apart`,
          "set this machine's clock: timedatectl set-ntp true",
        ),
      );
    }
    return findings;
  } catch (error) {
    signal.throwIfAborted();
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    return [
      found(
        "Mooring",
        false,
        `${access.url} does not answer: ${cause}`,
        "npm run dev   # starts one here; or name another with --url or MOORING_URL",
      ),
    ];
  }
}

async function examineFleet(context: Context): Promise<readonly Finding[]> {
  const admin = context.admin();
  const now = Date.now();
  return await Promise.all([
    checked("admin token", "mooring login", async () => {
      const stats = await admin.stats();
      return `accepted; ${stats.active} sandboxes active, cap ${stats.global.limit}`;
    }),
    checked("alerts", "mooring attention", async () => {
      const { data, stale, looked_at: looked } = await admin.alerts();
      const firing = data.filter(({ phase }) => phase === "firing");
      if (firing.length > 0) throw new Error(`firing: ${firing.map(({ name }) => name).join(", ")}`);
      if (stale) throw new Error(`the fleet's own watch is late: it looked ${relative(looked, now)}`);
      return `none fires; looked ${relative(looked, now)}`;
    }),
    checked("ledger", "mooring api get-ledger", async () => {
      const { balanced, total } = await admin.ledger();
      if (!balanced)
        throw new Error("it does not balance: some sandbox that was granted is neither open nor given back, or twice");
      return `balanced: ${total.granted} granted, ${total.used} open, ${total.released.proven} proven gone`;
    }),
    checked("stuck", "mooring sessions --stuck", async () => {
      const { stuck } = await admin.stats();
      if (stuck > 0) throw new Error(stuck === 1 ? "one session is stuck" : `${stuck} sessions are stuck`);
      return "no session is stuck";
    }),
    checked("orphans", "mooring audit plan", async () => {
      const [newest] = (await admin.audits()).data;
      if (newest === undefined) return "no audit was made yet: `mooring audit plan` looks for orphans";
      if (newest.findings > 0)
        throw new Error(`the newest audit (${relative(newest.created_at, now)}) has ${newest.findings} findings`);
      return `the newest audit (${relative(newest.created_at, now)}) found none`;
    }),
    checked("cleanup", "mooring api list-cleanup-runs", async () => {
      const { layers } = await admin.cleanupRuns({ limit: 1 });
      const failing = layers.filter(({ failures_in_row: row }) => row > 0);
      if (failing.length > 0)
        throw new Error(
          failing.map(({ layer, failures_in_row: row }) => `${layer} failed ${row} times in a row`).join(", "),
        );
      return `${layers.length} layers ran, none failing`;
    }),
  ]);
}

function credentialWords({ access }: Context): string {
  const held = [access.key === null ? "" : "an API key", access.adminToken === null ? "" : "the admin token"].filter(
    (text) => text !== "",
  );
  return held.length === 0 ? "neither an API key nor the admin token" : `${held.join(" and ")}, from ${access.from}`;
}

function found(what: string, ok: boolean, says: string, next: string): Finding {
  return { what, state: ok ? "ok" : "wrong", says, next: ok ? null : next };
}

async function checked(what: string, next: string, look: () => Promise<string>): Promise<Finding> {
  try {
    return { what, state: "ok", says: await look(), next: null };
  } catch (error) {
    const fault = isProblem(error) ? faultOf(error) : null;
    return {
      what,
      state: "wrong",
      says: fault?.message ?? (error instanceof Error ? error.message : String(error)),
      next: fault?.next ?? next,
    };
  }
}
