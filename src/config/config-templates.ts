/**
 * The var TEMPLATES: what containers of the provider `cloudflare` start from, by the names that clients use. A JSON object such as
 *
 *     {"agents": {"snapshot": "3f…", "instance": "standard-1"}, "mine": {"image": "mine"}}
 *
 * `image` is a name below `[containers.images]` in wrangler.toml, or a reference that `start()` of the platform takes. Without image and snapshot
 * it is the platform's managed image. `instance` is the size: a name, or numbers.
 */
import { z } from "zod";
import type { ConfigEnv } from "./env.ts";
import { type Refuse, shown } from "./config-vars.ts";
import { defaultTemplate } from "../domain/state/template.ts";

/** The platform refuses the other names, or sizes outside of these bounds, only after the start: so they are refused here. */
const instance = z.union([
  z.enum(["lite", "standard-1", "standard-2", "standard-3", "standard-4"]),
  z
    .strictObject({
      vcpu: z.number().min(1).max(4),
      memoryMib: z.int().max(12_288),
      diskMb: z.int().min(2_000).max(20_000),
    })
    .refine(({ vcpu, memoryMib }) => memoryMib >= vcpu * 3_072, "At least 3072 MiB for each vcpu."),
]);

const template = z
  .strictObject({
    image: z.string().min(1).max(300).optional(),
    snapshot: z.string().min(1).max(100).optional(),
    instance: instance.optional(),
  })
  .refine(({ image, snapshot }) => image === undefined || snapshot === undefined, "An image or a snapshot, not both.");
type Template = z.infer<typeof template>;

const name = /^[a-z0-9][a-z0-9._-]{0,63}$/;
const templates = z.record(z.string().regex(name), template);
export type Templates = Readonly<Record<string, Template>>;

const alone: Templates = { [defaultTemplate]: {} };

export function readTemplates(env: ConfigEnv, refuse: Refuse): Templates {
  const raw = env.TEMPLATES;
  if (raw === undefined || raw === "") return alone;
  const wrong = (what: string): Templates => {
    refuse("TEMPLATES", `TEMPLATES=${shown(raw)} ${what}`);
    return alone;
  };
  let value: unknown;
  try {
    value = JSON.parse(String(raw));
  } catch {
    return wrong("must be a JSON object of templates by name.");
  }
  const read = templates.safeParse(value);
  if (read.success) return { ...alone, ...read.data };
  const [issue] = read.error.issues;
  return wrong(
    `is refused at ${issue?.path.join(".") || "its top"}: ${issue?.message ?? "it is no list of templates"}`,
  );
}
