/** Times and durations for people: relative in the text, UTC in the tooltip and in what is copied. */

const units = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "min"],
  [1, "s"],
] as const;

/** The two largest units: "2 h 5 min", "42 s". Never negative. */
export function duration(ms: number): string {
  let seconds = Math.max(0, Math.round(ms / 1_000));
  const parts: string[] = [];
  for (const [size, name] of units) {
    const count = Math.floor(seconds / size);
    if (count > 0 || (size === 1 && parts.length === 0)) parts.push(`${count} ${name}`);
    seconds -= count * size;
    if (parts.length === 2) break;
    if (parts.length === 1 && count === 0) break;
  }
  return parts.filter((part) => !part.startsWith("0 ") || parts.length === 1).join(" ");
}

/** More precise for short times: "340 ms", "4.2 s". */
export function fineDuration(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(ms < 10_000 ? 1 : 0)} s`;
  return duration(ms);
}

export function ago(at: number, now: number): string {
  if (at > now + 1_000) return `in ${duration(at - now)}`;
  return now - at < 2_000 ? "just now" : `${duration(now - at)} ago`;
}

/** UTC to the second, as it is copied and shown on hover. */
export function utc(at: string | number): string {
  return `${new Date(at).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** The time of day alone, where the day is clear. */
export function utcTime(at: string | number): string {
  return new Date(at).toISOString().slice(11, 19);
}
