/** Kinds of value that the stored forms of a session and of a lease share. */
import { z } from "zod";
import type { Requester } from "../../domain/state/requester.ts";
import type { AttemptId, ContainerId, Generation, InstanceId, SandboxId } from "../../domain/state/ids.ts";
import { providerNames } from "../../domain/state/provider-names.ts";
import { terminateReasonNames } from "../../domain/state/reasons.ts";

/** Ids were checked when they came in, so a load checks only their kind of value. */
export const text = <Id extends string>() => z.custom<Id>((value) => typeof value === "string");
export const sandboxId = text<SandboxId>();
export const instanceId = text<InstanceId>();
export const attempt = text<AttemptId>();
export const container = text<ContainerId>();
export const generation = z.custom<Generation>((value) => Number.isSafeInteger(value));
export const instant = z.number();
export const terminateReason = z.enum(terminateReasonNames);
export const provider = z.enum(providerNames);
export const requester = text<Requester>();
export const limits = z.object({
  timeoutMs: z.number(),
  idleTimeoutMs: z.number().nullable(),
  maxLifetimeMs: z.number(),
});
export const purpose = z.enum(["create", "resume", "relaunch", "rebuild", "upgrade"]);
export const savedFor = z.enum(["pause", "rebuild", "upgrade"]);

/** Readonly and intersections are of no account in JSON. */
type Plain<T> = T extends string | number | boolean | null | undefined
  ? T
  : T extends readonly (infer Item)[]
    ? Plain<Item>[]
    : { -readonly [Key in keyof T]: Plain<T[Key]> };
export type Same<A, B> =
  (<T>() => T extends Plain<A> ? 1 : 2) extends <T>() => T extends Plain<B> ? 1 : 2 ? true : false;
