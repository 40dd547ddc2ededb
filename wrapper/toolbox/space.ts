/**
 * Room in a shared container: measures it, lists the workspaces, and removes one. The object with the records decides which
 * is stale (src/protocol/sandbox/stale-workspace.ts). This tool looks again right before the removal, and removes nothing
 * when a process cannot be inspected.
 */
import { readdirSync, statfsSync } from "node:fs";
import { join } from "node:path";
import type { z } from "zod";
import {
  spaceOrder,
  surveyOrder,
  vacateOrder,
  type spaceReport,
  type SurveyReport,
  type vacateReport,
} from "../../src/protocol/sandbox/toolbox.ts";
import { removeTree } from "../host/disk/remove-tree.ts";
import { allocatedBytes, newestChange } from "../host/disk/file-tree.ts";
import { Refusal } from "../host/refusal.ts";
import { measureSpace } from "../host/disk/space.ts";
import { inspector } from "./look.ts";

export async function space(input: unknown): Promise<z.infer<typeof spaceReport>> {
  const { directory } = spaceOrder.parse(input);
  const disk = () => {
    const { bavail, blocks, bsize } = statfsSync(directory);
    return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
  };
  try {
    const { freeBytes, totalBytes } = await measureSpace({ path: directory, disk, diskUse: async () => 0 }, null);
    return { free_bytes: freeBytes, total_bytes: totalBytes };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (error.code !== "space_unmeasurable" && error.code !== "filesystem_unusable") throw error;
    return { refused: { code: error.code, message: error.message } };
  }
}

export async function survey(input: unknown): Promise<SurveyReport> {
  const { directory, places } = surveyOrder.parse(input);
  const known = new Map(places.map((place) => [place.name, place]));
  const workspaces = [];
  for (const name of readdirSync(directory)) {
    const place = known.get(name);
    workspaces.push({
      name,
      untouched_ms: await untouchedMs(join(directory, name)),
      processes: place === undefined ? ("none" as const) : await processesOf(place),
    });
  }
  return { workspaces };
}

export async function vacate(input: unknown): Promise<z.infer<typeof vacateReport>> {
  const order = vacateOrder.parse(input);
  const processes = await processesOf(order);
  if (processes === "unknown") return { kept: "processes could not be inspected" };
  if (processes === "live") return { kept: "something of it is running" };
  if (order.untouched_for_ms !== null) {
    const untouched = await untouchedMs(order.workspace);
    if (untouched === null || untouched < order.untouched_for_ms) return { kept: "it was touched meanwhile" };
  }
  const freed = await allocatedBytes(order.workspace);
  for (const path of [order.workspace, ...order.also]) await removeTree(path);
  return { freed_bytes: freed };
}

type Place = Pick<z.infer<typeof vacateOrder>, "aim" | "member">;

async function processesOf({ aim, member }: Place): Promise<"none" | "live" | "unknown"> {
  try {
    return (await inspector(aim, member).of(aim)).length > 0 ? "live" : "none";
  } catch {
    return "unknown";
  }
}

async function untouchedMs(path: string): Promise<number | null> {
  return newestChange(path).then(
    (at) => Date.now() - at,
    () => null,
  );
}
