/** Tells whether an order is the one that came before: the same for the same meaning, whatever the order of the keys. */
import { createHash } from "node:crypto";

export function digestOf(order: object): string {
  return createHash("sha256")
    .update(JSON.stringify(sorted(order)))
    .digest("hex");
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.entries(value)
    .filter(([, inner]) => inner !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, inner]) => [name, sorted(inner)]);
}
