/**
 * Who asked for an end or a pause: what a receipt says of it. `key:` with the id inside the API key, `clock:` with the name of the
 * clock, or a kind of requester.
 */
export type Requester = `key:${string}` | `clock:${string}` | "client" | "operator" | "mooring";
