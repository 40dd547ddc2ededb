/**
 * The few facts of the boot document that the guardian acts on, checked by hand: a schema library would double its
 * memory. The wrapper checks the whole document and exits with `badBoot` when it disagrees.
 */
import { markers } from "../../../src/protocol/sandbox/markers.ts";

export interface GuardianBoot {
  readonly sessionId: string;
  readonly instanceId: string;
  readonly generation: number;
  readonly launchNotAfter: number;
  readonly leaseTtlMs: number;
  readonly jobGraceMs: number;
  readonly stopGraceMs: number;
  readonly workspaceDir: string;
  readonly stateDir: string;
  /** null: jobs run as we do. */
  readonly jobUser: GuardianJobUser | null;
}

export interface GuardianJobUser {
  readonly uid: number;
  readonly gid: number;
  readonly homeDir: string | null;
  readonly ifPossible: boolean;
}

/** A string says what is wrong. It never holds a value of the document: one of them is the secret. */
export function parseGuardianBoot(text: string, environment: NodeJS.ProcessEnv): GuardianBoot | string {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    return "the boot document is not JSON";
  }
  if (typeof document !== "object" || document === null) return "the boot document is not an object";
  const fields = new Map<string, unknown>(Object.entries(document));
  const missing: string[] = [];
  const text_ = (name: string): string => {
    const value = fields.get(name);
    if (typeof value === "string" && value !== "") return value;
    missing.push(name);
    return "";
  };
  const number = (name: string, least: number): number => {
    const value = fields.get(name);
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= least) return value;
    missing.push(name);
    return 0;
  };
  const boot: GuardianBoot = {
    sessionId: text_("session_id"),
    instanceId: text_("instance_id"),
    generation: number("generation", 0),
    launchNotAfter: number("launch_not_after", 0),
    leaseTtlMs: number("lease_ttl_ms", 1),
    jobGraceMs: number("job_grace_ms", 0),
    stopGraceMs: number("stop_grace_ms", 1),
    workspaceDir: text_("workspace_dir"),
    stateDir: text_("state_dir"),
    jobUser: parseJobUser(fields.get("job_user"), () => missing.push("job_user")),
  };
  if (missing.length > 0) return `the boot document lacks a usable ${missing.join(", ")}`;
  // An unmarked guardian could not be found again, so it must not start.
  const marked =
    environment[markers.session] === boot.sessionId &&
    environment[markers.instance] === boot.instanceId &&
    environment[markers.generation] === String(boot.generation) &&
    environment[markers.role] === "guardian";
  return marked ? boot : "the environment does not carry the markers of this instance with the role guardian";
}

/** A job user that is present but malformed is refused: the jobs would run as root. */
function parseJobUser(given: unknown, refuse: () => void): GuardianJobUser | null {
  if (given === undefined) return null;
  const {
    uid,
    gid,
    home_dir: home,
    if_possible: ifPossible = false,
  } = (given ?? {}) as Readonly<Record<string, unknown>>;
  const isHome = home === undefined || (typeof home === "string" && home.startsWith("/"));
  if (isUserId(uid) && isUserId(gid) && isHome && typeof ifPossible === "boolean")
    return { uid, gid, homeDir: home ?? null, ifPossible };
  refuse();
  return null;
}

function isUserId(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 1;
}
