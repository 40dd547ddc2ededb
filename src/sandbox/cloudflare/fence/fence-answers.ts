/** The calls that a container's object hands to its fence unchanged. */
import type { SandboxObjectApi } from "../object-api.ts";

export type FromFence = Omit<SandboxObjectApi, "fetch" | "launch">;

export const fenceAnswers = {
  launchMember: "fence",
  retire: "fence",
  look: "fence",
  stopInstance: "fence",
  erase: "fence",
  callWrapper: "fence",
  save: "fence",
  readLogs: "fence",
  readResources: "fence",
  retireContainer: "fence",
  lookAtContainer: "fence",
  destroyContainer: "fence",
  inspectCapacity: "fence",
  reclaim: "fence",
} as const satisfies Readonly<Record<keyof FromFence, string>>;
