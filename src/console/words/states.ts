/** What each state means in a few words, and which colour it gets. */
import type { SessionView } from "../../protocol/resources/session/sessions.ts";

export type Tone = "good" | "busy" | "warn" | "bad" | "quiet";

export const statusTone: Readonly<Record<SessionView["status"], Tone>> = {
  provisioning: "busy",
  running: "good",
  recovering: "warn",
  pausing: "busy",
  paused: "quiet",
  lost: "bad",
  terminating: "busy",
  terminated: "quiet",
  failed: "bad",
};

export const statusWords: Readonly<Record<SessionView["status"], string>> = {
  provisioning: "its sandbox is being started",
  running: "its sandbox holds its lease",
  recovering: "its sandbox was lost and is being replaced",
  pausing: "its files are being saved",
  paused: "its files are saved, it holds no sandbox",
  lost: "its sandbox is gone, it waits for a rebuild",
  terminating: "its sandbox is being proven gone",
  terminated: "its sandbox is proven gone",
  failed: "it could not be started",
};

export function toneOf(status: string): Tone {
  return statusTone[status as SessionView["status"]] ?? "quiet";
}

export const jobTone: Readonly<Record<string, Tone>> = {
  queued: "quiet",
  sent: "busy",
  running: "busy",
  succeeded: "good",
  failed: "bad",
  timed_out: "bad",
  cancelled: "quiet",
  interrupted: "warn",
  lost: "bad",
};

/** `no_capacity` becomes "no capacity". */
export function plain(code: string): string {
  return code.replaceAll("_", " ");
}

/** `1 tenant`, `2 tenants`. */
export function counted(count: number, one: string, more = `${one}s`): string {
  return `${count} ${count === 1 ? one : more}`;
}
