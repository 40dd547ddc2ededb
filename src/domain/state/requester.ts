/**
 * Who asked for an end or a pause: what a receipt says of it. `key:` with the id inside the API key, `clock:` with the name of the
 * clock, or a kind of asker.
 */
export type Asker = `key:${string}` | `clock:${string}` | "client" | "operator" | "mooring";
