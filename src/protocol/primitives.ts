/** Shapes shared by several resources: ids, times, bounded strings. */
import { z } from "zod";

export const limits = {
  /** Characters of a key or token in a request; a longer one is not looked at. */
  credential: 512,
  labelCount: 32,
  labelKey: 63,
  labelValue: 256,
  envCount: 100,
  envName: 128,
  envValue: 8_192,
  commandBytes: 32_768,
  argvItems: 256,
  stdinBytes: 65_536,
  idempotencyKey: 255,
  bodyBytes: 262_144,
  pageSize: 100,
  reasonText: 500,
} as const;

export const sessionIdPattern = /^[a-z0-9]{20}$/;
export const sessionIdText = z.string().regex(sessionIdPattern, "A session id is 20 lower-case letters and digits.");
export const processIdText = z.string().regex(/^[1-9]\d{0,9}$/, "The number of a process.");
export const jobIdText = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,64}$/, "A job id is 1 to 64 letters, digits, hyphens or underscores.");
export const tenantName = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/, "A tenant is 1 to 32 lower-case letters, digits and inner hyphens.");

/** Mooring's own tenant, in which it tries restores of other tenants' files: a key for it could read them, so there is none. */
export const drillTenantName = "mooring-drill";

/** RFC 3339 in UTC, with milliseconds. */
export const instant = z.iso.datetime();

/** No control characters but tab and newline: names and labels that would forge a log line are refused. */
const noControl = /^[^\u0000-\u001f\u007f\u0080-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]*$/;
export const plainText = (max: number) =>
  z.string().max(max, `At most ${max} characters.`).regex(noControl, "Control characters are not allowed.");

export const labels = z
  .record(
    z
      .string()
      .regex(
        /^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$/,
        `A label key is 1 to ${limits.labelKey} of A-Z a-z 0-9 . _ / -`,
      ),
    plainText(limits.labelValue),
  )
  .refine((value) => Object.keys(value).length <= limits.labelCount, `At most ${limits.labelCount} labels.`);

export const environment = z
  .record(
    z
      .string()
      .max(limits.envName)
      .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "A variable name is letters, digits and underscores.")
      .refine((name) => !name.startsWith("MOORING_"), "Names that begin with MOORING_ are reserved."),
    z
      .string()
      .max(limits.envValue, `At most ${limits.envValue} characters.`)
      .refine((value) => !value.includes("\0"), "No NUL."),
  )
  .refine((value) => Object.keys(value).length <= limits.envCount, `At most ${limits.envCount} variables.`);

export function rfc3339(epochMs: number): string {
  return new Date(epochMs).toISOString();
}

/** A `Host` header for servers in a sandbox. */
export const portHost = z
  .string()
  .max(253)
  .regex(/^(?:[A-Za-z0-9.:_[\]-]|\$\{PORT\})+$/, "A host name, `${PORT}` in it for the port: app.example.com:${PORT}.");
