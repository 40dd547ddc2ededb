/**
 * What a sandbox may reach. `open`: everything; with `inject`, everything over HTTP and HTTPS. `closed`: nothing. `allow`: HTTP and HTTPS to the hosts of the list.
 *
 * A secret in `inject` is added to requests for its host after they have left the sandbox, so no program in there ever has it.
 */
import { z } from "zod";

const label = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?";
const namePattern = new RegExp(`^${label}(?:\\.${label})*$`);
const listPattern = new RegExp(`^(?:\\*\\.)?${label}(?:\\.${label})*$`);
/** An address of either kind, or a range of them; brackets around IPv6 are for URLs alone. */
const addresses = z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()]);

/** Lower case, no port: rules are about names. */
const host = z.string().max(253).regex(namePattern, "A host name in lower case, such as api.example.com.");
const listedHost = z
  .string()
  .max(253)
  .refine(
    (listed) => listPattern.test(listed) || addresses.safeParse(listed).success,
    "A host name in lower case, `*.` and one (*.example.com is every host below example.com), an address, or a range of them such as 203.0.113.0/24.",
  );

const networkModes = ["open", "closed", "allow"] as const;

export const injectedHeader = z.strictObject({
  host: host.describe("Requests to exactly this host carry the header. It need not be in `allow` as well."),
  header: z
    .string()
    .max(100)
    .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, "The name of an HTTP header.")
    .describe("Set by Mooring, whatever the program sent under that name."),
  secret: z
    .string()
    .min(1)
    .max(8_192)
    .regex(/^[\t\x20-\x7e]+$/, "Printable ASCII in one line.")
    .describe("The header's whole value. Kept sealed, never shown again."),
  plain_http: z.boolean().optional().describe("Also on requests without TLS, where everybody on the way can read it."),
});
export type InjectedHeader = z.infer<typeof injectedHeader>;

export const networkOrder = z
  .strictObject({
    mode: z.enum(networkModes).describe("What the sandbox may reach."),
    allow: z
      .array(listedHost)
      .max(100)
      .optional()
      .describe(
        "Only with `allow`: the hosts that may be reached. An address or a range lets through HTTP requests that name such an address, not names that lead to it. HTTPS to an address is closed: TLS names no host there.",
      ),
    inject: z
      .array(injectedHeader)
      .max(20)
      .optional()
      .describe("Headers that requests to a host get on their way out."),
  })
  .refine(({ mode, allow }) => (mode === "allow") === (allow !== undefined), {
    path: ["allow"],
    message: "A list of hosts goes with `mode: allow`, and only with it.",
  })
  .refine(({ mode, inject }) => mode !== "closed" || inject === undefined || inject.length === 0, {
    path: ["inject"],
    message: "Nothing leaves a closed sandbox, so there is nothing to add a header to.",
  });
export type NetworkOrder = z.infer<typeof networkOrder>;

const networkStates = ["applied", "pending", "partial"] as const;

export const networkView = z.object({
  mode: z.enum(networkModes).describe("What the sandbox may reach."),
  allow: z.array(z.string()).describe("The hosts that may be reached in mode `allow`."),
  inject: z
    .array(
      z.object({
        host: z.string().describe("Requests to exactly this host carry the header."),
        header: z.string().describe("The name of the header."),
      }),
    )
    .describe("Without their secrets."),
  state: z
    .enum(networkStates)
    .describe(
      "`pending`: the running sandbox has not confirmed the last change. `partial`: HTTP and HTTPS follow the rules at once, and connections of other kinds at its next start.",
    ),
});
