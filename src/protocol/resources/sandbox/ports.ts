/** Addresses of ports of a sandbox. */
import { z } from "zod";

/** A day. A client that needs longer makes another address. */
export const maxShareSeconds = 86_400;

export const portNumber = z.int().min(1).max(65_535);

export const sharePort = z.strictObject({
  port: portNumber.describe("Where a process of the sandbox listens, or will."),
  ttl_seconds: z
    .int()
    .min(1)
    .max(maxShareSeconds)
    .default(3_600)
    .describe("How long the address opens the port. It ends with the session too, whatever this says."),
  public: z
    .boolean()
    .default(false)
    .describe(
      "true: the host name alone opens the port, for whoever has it: for webhooks, other programs, frames in pages. false: the address carries a token, which a browser gets as a cookie.",
    ),
});

export const sharedPort = z.object({
  port: portNumber.describe("The port that the address opens."),
  url: z.string().describe("Open it in a browser, or send requests below it."),
  token: z
    .string()
    .nullable()
    .describe("What `url` carries, for the header `Mooring-Token` of a program; null: the address is public."),
  public: z.boolean().describe("Whether the host name alone opens the port."),
  ends_at: z.string().describe("From then on the address opens nothing."),
});
export type SharedPort = z.infer<typeof sharedPort>;

export const portList = z.object({
  data: z.array(
    z.object({
      port: portNumber.describe("Where it listens, on any address."),
      pid: z.int().describe("The process that listens."),
      program: z.string().describe("The name of its program, as the process itself gives it."),
    }),
  ),
});
