/** Where the console shows what a call is about. Also for the console itself, so nothing heavy is imported here. */

/** The header that the console puts on each of its requests: a page of another origin cannot set it without being asked first. */
export const consoleHeader = "x-mooring-console";

const subjects: readonly (readonly [RegExp, (...parts: string[]) => string])[] = [
  [
    /^\/v1\/(?:admin\/)?sessions\/([a-z0-9]{20})\/jobs\/([\w-]{1,64})(?:\/|$)/,
    (id, job) => `sessions/${id}?tab=jobs&job=${job}`,
  ],
  [/^\/v1\/(?:admin\/)?sessions\/([a-z0-9]{20})\/events/, (id) => `sessions/${id}?tab=events`],
  [
    /^\/v1\/(?:admin\/)?sessions\/([a-z0-9]{20})\/(files|terminal|ports|logs|resources)(?:\/|$)/,
    (id, tab) => `sessions/${id}?tab=${tab}`,
  ],
  [/^\/v1\/(?:admin\/)?sessions\/([a-z0-9]{20})\/(?:receipts|teardown)/, (id) => `sessions/${id}?tab=receipt`],
  [/^\/v1\/(?:admin\/)?sessions\/([a-z0-9]{20})(?:\/|$)/, (id) => `sessions/${id}`],
  [/^\/api\/sandbox\/([a-z0-9]{20})(?:\/|$)/, (id) => `sessions/${id}`],
  [/^\/v1\/(?:admin\/)?sessions/, () => "sessions"],
  [/^\/v1\/admin\/containers\/(shared-[a-z0-9]{20}-g\d{1,16})/, (id) => `containers/${id}`],
  [/^\/v1\/admin\/containers/, () => "containers"],
  [/^\/v1\/admin\/audits\/([\w-]{1,64})/, (id) => `audits/${id}`],
  [/^\/v1\/admin\/audits/, () => "audits"],
  [/^\/v1\/admin\/keys\/([a-z0-9-]{1,32})/, (tenant) => `keys/${tenant}`],
  [/^\/v1\/admin\/(?:ledger|usage)/, () => "ledger"],
  [/^\/v1\/admin\/(?:stats|alerts|cleanup|drain|shards)/, () => "fleet"],
  [/^\/api\/sandbox/, () => "fleet"],
  [/^\/v1\/admin\/log/, () => "log"],
  [/^\/v1\/snapshots/, () => "snapshots"],
  [/^\/v1\/webhooks\/(wh_[a-z0-9]{20})/, (id) => `webhooks/${id}`],
  [/^\/v1\/webhooks/, () => "webhooks"],
];

/** The path of the console's page of what a path of the API is about. Ids that cannot be ids are not repeated. */
export function consolePath(apiPath: string): string {
  for (const [pattern, page] of subjects) {
    const match = pattern.exec(apiPath);
    if (match !== null) return `/console/${page(...match.slice(1))}`;
  }
  return "/console";
}
